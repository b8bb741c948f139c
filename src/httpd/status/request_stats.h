/* Counts how requests end, each when it is logged. */
#pragma once

#include <httpd.h>

/* Hook log_transaction: counts a request that this module authenticated or refused. */
int la_request_stats_count(request_rec *r);

/* What a counter of la_counters_requests() counts: `accepted`, then the codes of spec section 8.
 * NULL past the end. */
const char *la_request_stats_name(unsigned outcome);

/* Counts how requests end, each when it is logged. */
#ifndef LA_REQUEST_STATS_H
#define LA_REQUEST_STATS_H

#include "shm/counters.h"

#include <httpd.h>

/* Hook log_transaction: counts a request that this module authenticated or refused. */
int la_request_stats_count(request_rec *r);

/* The ways a request can end: `accepted` and the codes of spec section 8. NULL past the end. */
const char *la_request_stats_name(unsigned index);

/* How many requests ended that way. */
apr_uint64_t la_request_stats_requests(const la_counters_t *stats, unsigned index);

#endif

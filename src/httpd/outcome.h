/* How requests end, counted once for each when it is logged. */
#ifndef LA_OUTCOME_H
#define LA_OUTCOME_H

#include "shm/counters.h"

#include <httpd.h>

/* Hook log_transaction: counts a request that this module authenticated or refused. */
int la_outcome_count(request_rec *r);

/* The ways a request can end: `accepted` and the codes of spec section 8. NULL past the end. */
const char *la_outcome_name(unsigned index);

/* How many requests ended so. */
apr_uint64_t la_outcome_requests(const la_counters_t *stats, unsigned index);

#endif

/* What this child has of the signers, and the assertions that requests send. */
#pragma once

#include "httpd/request.h"
#include "shm/counters.h"
#include "shm/holder.h"

/* Readies the signers of the configuration in a child, before its threads start.
 * life: of this server; NULL: nobody is authenticated. stats: count what is made. pool: lives as
 * long as the process. Returns APR_SUCCESS, or what failed. */
apr_status_t la_assertions_child_init(apr_pool_t *pool, la_holder_t *life, la_counters_t *stats);

/* What the counters of a signer count (la_shared_signer_record()). */
typedef enum la_assertions_e {
    LA_ASSERTIONS_SIGNED,
    LA_ASSERTIONS_REUSED,
    LA_ASSERTIONS_FAILED
} la_assertions_e;

/* The value of a line `assertion:SIGNER` for a caller; NULL where none is sent: for a TRACE, which
 * comes back, for a forward proxy's client, who chooses the server, and when libcrypto fails, which
 * is logged. In request threads. */
const char *la_assertions_value(request_rec *r, const la_forward_line_t *line,
                                const la_caller_t *caller);

/* A question to the provider itself, past caches and flights: through its breaker, with a permit,
 * counted. */
#ifndef LA_ASK_H
#define LA_ASK_H

#include "shm/gate.h"
#include "shm/counters.h"
#include "provider/provider.h"

/* Whether a verdict takes a call: only then it needs a permit, and a place among those that wait.
 */
int la_ask_takes_call(const la_provider_type_t *type);

/* A provider's gate with what it was configured to. */
la_gate_terms_t la_ask_terms(const la_provider_common_t *common);

/* Asks the provider, if its breaker allows it and a permit is to be had. Any thread; waits for a
 * permit at most ConnectTimeout.
 *
 * provider: with the gates of its process. result: zeroed here; what it points to lives in `pool`.
 */
void la_ask(la_counters_t *stats, const la_provider_t *provider, const la_call_t *call,
            apr_pool_t *pool, la_result_t *result);

/* Makes an outage of a result. message: for the client; reason: for the log. */
void la_result_set_outage(la_result_t *result, const char *message, const char *reason);

/* Whether an outage is more than this one request's or token's. */
int la_result_concerns_provider(const la_result_t *result);

#endif

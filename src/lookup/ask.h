/* Asks the provider itself: through its breaker, with a permit, counted. */
#pragma once

#include "shm/gate.h"
#include "shm/counters.h"
#include "provider/provider.h"

/* Returns 1 when a verdict takes a call, and so a permit and a worker's place. */
int la_ask_takes_call(const la_provider_type_t *type);

/* Returns the terms of a provider's gate, as configured. */
la_gate_terms_t la_ask_terms(const la_provider_common_t *common);

/* Asks the provider, if its breaker allows it and a permit is free within ConnectTimeout. Any
 * thread. provider: with the gates of its process. result: zeroed here; what it points to lives in
 * `pool`. */
void la_ask(la_counters_t *stats, const la_provider_t *provider, const la_call_t *call,
            apr_pool_t *pool, la_result_t *result);

/* Makes a result an outage. message: for the client; reason: for the log. */
void la_result_set_outage(la_result_t *result, const char *message, const char *reason);

/* Returns 1 when an outage concerns the provider, not this request or token alone. */
int la_result_concerns_provider(const la_result_t *result);

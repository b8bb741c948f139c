/* Counts requests where httpd logs them, so that the sum equals the number of access log lines that
 * concern this module. In request threads. */
#include "httpd/status/request_stats.h"

#include "httpd/request.h"
#include "httpd/segments.h"

/* Slots of the counters: 0 is accepted, then one for each kind of denial. */
#define ACCEPTED     0
#define DENIED(kind) (1 + (unsigned)(kind))
#define SLOTS        DENIED(LA_DENIAL_ACCESS + 1)
_Static_assert(SLOTS <= LA_COUNTERS_OUTCOMES, "every kind of denial has a counter");

/* The order in which kinds are shown. A kind whose code another one has too is listed once. */
static const la_denial_e shown[] = {LA_DENIAL_MISSING_TOKEN, LA_DENIAL_MALFORMED_CREDENTIAL,
                                    LA_DENIAL_REJECTED,      LA_DENIAL_TIMEOUT,
                                    LA_DENIAL_OUTAGE,        LA_DENIAL_SCOPE,
                                    LA_DENIAL_ATTRIBUTE,     LA_DENIAL_ORIGIN,
                                    LA_DENIAL_ACCESS,        LA_DENIAL_REQUESTS,
                                    LA_DENIAL_TOKENS,        LA_DENIAL_QUOTA,
                                    LA_DENIAL_MISCONFIGURED};

/* The state of the last request in a chain of internal redirects that has a denial or a caller. */
static const la_request_t *final_state(const request_rec *r)
{
    while (r->next) {
        r = r->next;
    }
    for (; r; r = r->prev) {
        const la_request_t *state = la_request_get(r);

        if (state && (state->denial || state->caller)) {
            return state;
        }
    }
    return NULL;
}

int la_request_stats_count(request_rec *r)
{
    const la_request_t *state = final_state(r);

    if (state) {
        la_counters_request(la_shared_get()->stats,
                            state->denial ? DENIED(state->denial->kind) : ACCEPTED);
    }
    return DECLINED;
}

const char *la_request_stats_name(unsigned index)
{
    if (index == 0) {
        return "accepted";
    }
    return index <= sizeof(shown) / sizeof(shown[0]) ? la_denial_code(shown[index - 1]) : NULL;
}

apr_uint64_t la_request_stats_requests(const la_counters_t *stats, unsigned index)
{
    const char *name = la_request_stats_name(index);
    apr_uint64_t sum = index == 0 ? la_counters_requests(stats, ACCEPTED) : 0;
    int kind;

    for (kind = 0; name && kind <= LA_DENIAL_ACCESS; kind++) {
        if (strcmp(la_denial_code((la_denial_e)kind), name) == 0) {
            sum += la_counters_requests(stats, DENIED(kind));
        }
    }
    return sum;
}

/* Counts requests where httpd logs them, so that the sum equals the number of access log lines that
 * concern this module. In request threads. */
#include "httpd/status/request_stats.h"

#include "httpd/request.h"
#include "httpd/child.h"

/* Kinds of denials in the order in which they are shown; another order needs another RETAINED_KEY
 * (segments.c), or an upgraded server shows old counts under wrong names. Of kinds that share a
 * code the first is counted for all. Slot 0 of the counters is for accepted requests, the next ones
 * are for these. */
static const la_denial_e shown[] = {LA_DENIAL_MISSING_TOKEN, LA_DENIAL_MALFORMED_CREDENTIAL,
                                    LA_DENIAL_REJECTED,      LA_DENIAL_TIMEOUT,
                                    LA_DENIAL_OUTAGE,        LA_DENIAL_SCOPE,
                                    LA_DENIAL_ATTRIBUTE,     LA_DENIAL_ORIGIN,
                                    LA_DENIAL_ACCESS,        LA_DENIAL_MODEL,
                                    LA_DENIAL_UNKNOWN_MODEL, LA_DENIAL_OPERATION,
                                    LA_DENIAL_BODY_SIZE,     LA_DENIAL_MEDIA_TYPE,
                                    LA_DENIAL_MODEL_LIST,    LA_DENIAL_REQUESTS,
                                    LA_DENIAL_TOKENS,        LA_DENIAL_QUOTA,
                                    LA_DENIAL_MISCONFIGURED};

#define SHOWN (sizeof(shown) / sizeof(shown[0]))
_Static_assert(SHOWN + 1 <= LA_COUNTERS_OUTCOMES, "every code has a counter");

static unsigned slot_of(const la_denial_t *denial)
{
    const char *code = la_denial_code(denial->kind);
    unsigned i = 0;

    while (i < SHOWN && strcmp(la_denial_code(shown[i]), code) != 0) {
        i++;
    }
    return i + 1;
}

int la_request_stats_count(request_rec *r)
{
    const la_request_t *state = la_request_decided(r);

    if (state) {
        la_counters_request(la_shared_get()->stats, state->denial ? slot_of(state->denial) : 0);
    }
    return DECLINED;
}

const char *la_request_stats_name(unsigned outcome)
{
    if (outcome == 0) {
        return "accepted";
    }
    return outcome <= SHOWN ? la_denial_code(shown[outcome - 1]) : NULL;
}

/* Has assertions made for requests, and keeps this child's for reuse. */
#include "httpd/assertions.h"

#include "httpd/config/collected.h"
#include "httpd/field.h"
#include "httpd/segments.h"
#include "io/server.h"
#include "signer/reuse.h"

#include <http_log.h>

APLOG_USE_MODULE(llama_auth);

/* This child's; NULL: each assertion is signed. */
static la_reuse_t *reuse;

static la_counters_t *counters;

apr_status_t la_assertions_child_init(apr_pool_t *pool, la_holder_t *life, la_counters_t *stats)
{
    const apr_array_header_t *signers = la_collected.signers;

    counters = stats;
    for (int i = 0; i < signers->nelts; i++) {
        la_signer_child_init(APR_ARRAY_IDX(signers, i, la_entry_t).signer, pool);
    }
    return life && signers->nelts > 0 ? la_reuse_make(pool, life, &reuse) : APR_SUCCESS;
}

/* Whether the request goes to nobody but the backend. */
static int may_have(const request_rec *r)
{
    return r->proxyreq != PROXYREQ_PROXY && r->method_number != M_TRACE;
}

static void count(const la_signer_t *signer, const char *value, int is_new)
{
    la_assertions_e event = !value   ? LA_ASSERTIONS_FAILED
                            : is_new ? LA_ASSERTIONS_SIGNED
                                     : LA_ASSERTIONS_REUSED;

    la_counters_lookup(counters, la_shared_signer_record(signer), 0, event);
}

const char *la_assertions_value(request_rec *r, const la_forward_line_t *line,
                                const la_caller_t *caller)
{
    const la_assertion_t assertion = {.signer = line->signer,
                                      .identity = caller->identity,
                                      .principal = caller->principal,
                                      .client_id = caller->client_id,
                                      .now = apr_time_now()};
    const char *value;
    int is_new;

    if (!may_have(r)) {
        return NULL;
    }
    value = la_reuse_get(reuse, &assertion, r->pool, &is_new);
    count(line->signer, value, is_new);
    if (!value) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      LA_LOGNO(0371) "libcrypto failed to sign an assertion by signer %s: %s is "
                                     "not sent to the backend of %s",
                      line->signer->name, line->header, r->uri);
        return NULL;
    }
    return la_field_is_same(line->header, "Authorization") ? value
                                                           : value + strlen(LA_ASSERTION_PREFIX);
}

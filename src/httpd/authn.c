/* Authentication: finds the token, asks the providers in order, and keeps the verdict in the
 * request. Authorization is authz.c's, the answer to a denial respond.c's.
 */
#include "httpd/authn.h"

#include "httpd/authz.h"
#include "httpd/credential.h"
#include "httpd/forward.h"
#include "httpd/memo.h"
#include "httpd/respond.h"
#include "httpd/shared.h"
#include "provider/host.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>

APLOG_USE_MODULE(llama_auth);

/* Digits of the client id that a log line shows. */
#define LOG_ID "%.8s"

/* What Retry-After says when the breaker does not know better. */
#define RETRY_AFTER_S 1

int la_authn_is_bearer(request_rec *r)
{
    const char *type = ap_auth_type(r);

    return type && strcasecmp(type, "Bearer") == 0;
}

/* Records a denial and says in the log what the client is told. */
static int deny_for(request_rec *r, la_denial_e kind, const char *message, int retry_after_s)
{
    la_denial_t denial = la_denial_make(kind, message);
    const la_dir_conf_t *conf = la_config_dir(r);

    denial.scope = la_policy_scopes(r->pool, conf->scopes, la_authz_method(r));
    if (kind == LA_DENIAL_TIMEOUT || kind == LA_DENIAL_OUTAGE) {
        denial.status = la_config_outage_status(r->server);
        denial.retry_after_s = retry_after_s;
    }
    return la_respond_deny(r, denial);
}

static int deny(request_rec *r, la_denial_e kind, const char *message)
{
    return deny_for(r, kind, message, RETRY_AFTER_S);
}

static int deny_misconfigured(request_rec *r, const char *missing)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                  LA_LOGNO(0020) "%s is missing for %s: nobody can be authenticated there", missing,
                  r->uri);
    return deny(r, LA_DENIAL_MISCONFIGURED, NULL);
}

static int deny_without_token(request_rec *r, const la_use_t *use)
{
    const la_provider_t *first = use->providers[0];

    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, LA_LOGNO(0021) "no token for %s", r->uri);
    return deny(r, LA_DENIAL_MISSING_TOKEN, first->type->hint(first, r->pool));
}

static int deny_malformed(request_rec *r)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  LA_LOGNO(0022) "the credential for %s is not well-formed", r->uri);
    return deny(r, LA_DENIAL_MALFORMED_CREDENTIAL, NULL);
}

static int deny_several(request_rec *r)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, LA_LOGNO(0028) "more than one token for %s",
                  r->uri);
    return deny(r, LA_DENIAL_SEVERAL_TOKENS, NULL);
}

/* What a result shows of the provider's health: a cached one nothing, a stale one an outage. */
static int tells_of_health(const la_result_t *result)
{
    return result->verdict != LA_VERDICT_NOT_MINE && result->source != LA_SOURCE_HIT &&
           result->source != LA_SOURCE_NEGATIVE && result->source != LA_SOURCE_SHARED;
}

static void log_health(request_rec *r, const la_provider_t *provider, int outage,
                       const char *reason)
{
    if (!la_shared_outage_turns(provider, outage)) {
        return;
    }
    if (outage) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, LA_LOGNO(0024) "provider %s is unavailable: %s",
                      provider->name, reason ? reason : "no reason given");
    } else {
        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                      LA_LOGNO(0025) "provider %s is available again", provider->name);
    }
}

static void log_verdict(request_rec *r, const la_request_t *state, const la_provider_t *provider,
                        const la_result_t *result)
{
    int stale = result->source == LA_SOURCE_STALE;
    const char *reason = result->reason ? result->reason : result->message;

    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                  LA_LOGNO(0023) "provider %s, token " LOG_ID ", cache %s: %s%s%s", provider->name,
                  state->client_id, la_source_name(result->source),
                  la_verdict_name(result->verdict), reason ? ": " : "", reason ? reason : "");
    if (tells_of_health(result)) {
        log_health(r, provider, stale || result->verdict == LA_VERDICT_UNAVAILABLE, reason);
    }
}

static const char *names(apr_pool_t *pool, const la_use_t *use)
{
    const char *text = "";
    int i;

    for (i = 0; i < use->count; i++) {
        text = apr_pstrcat(pool, text, i ? " " : "", use->providers[i]->name, NULL);
    }
    return text;
}

static void explain_token(request_rec *r, const la_request_t *state, const la_call_t *call)
{
    if (APLOGrdebug(r)) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                      LA_LOGNO(0033) "token " LOG_ID ", %" APR_SIZE_T_FMT
                                     " bytes, for %s: LlamaAuthUse %s",
                      state->client_id, call->token.len, r->uri, names(r->pool, state->use));
    }
}

/* Asks the providers in order and folds what they say. */
static void ask(request_rec *r, const la_use_t *use, const la_request_t *state,
                const la_call_t *call, la_chain_t *chain)
{
    int i;

    for (i = 0; i < use->count; i++) {
        const la_provider_t *provider = use->providers[i];
        la_result_t result;

        la_lookup(la_shared_get(), provider, call, r->pool, &result);
        log_verdict(r, state, provider, &result);
        if (la_chain_add(chain, provider, &result)) {
            return;
        }
    }
}

static const char *anonymous(request_rec *r, const la_request_t *state)
{
    char *principal = apr_palloc(r->pool, LA_TOKEN_PRINCIPAL_LEN + 1);

    la_token_principal(state->client_id, principal);
    return principal;
}

static int accept_caller(request_rec *r, la_request_t *state, const la_chain_t *chain)
{
    la_slice_t principal = la_identity_principal(chain->result.identity);

    state->provider = chain->provider;
    state->identity = chain->result.identity;
    state->principal = principal.len ? principal.data : anonymous(r, state);
    la_forward_caller(r, state);
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                  LA_LOGNO(0035) "token " LOG_ID " is %s, says provider %s: %s", state->client_id,
                  principal.len ? principal.data : "somebody without a name", state->provider->name,
                  la_identity_attributes_json(state->identity).data);
    return OK;
}

static int conclude(request_rec *r, la_request_t *state, la_chain_t *chain)
{
    const la_result_t *result = la_chain_end(chain);

    apr_table_setn(r->notes, LA_NOTE_CACHE, la_source_name(result->source));
    switch (result->verdict) {
    case LA_VERDICT_ACCEPTED:
        return accept_caller(r, state, chain);
    case LA_VERDICT_REJECTED:
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      LA_LOGNO(0026) "provider %s rejected token " LOG_ID ": %s",
                      chain->provider->name, state->client_id,
                      result->reason ? result->reason : result->message);
        return deny(r, LA_DENIAL_REJECTED, result->message);
    case LA_VERDICT_UNAVAILABLE:
    case LA_VERDICT_NOT_MINE: /* la_chain_end() leaves none */
        break;
    }
    return deny_for(r, result->timed_out ? LA_DENIAL_TIMEOUT : LA_DENIAL_OUTAGE,
                    result->message ? result->message : LA_MESSAGE_ERROR,
                    result->retry_after_s ? result->retry_after_s : RETRY_AFTER_S);
}

static int same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* The state of this request, or of one it came from, that already says who the caller is here. */
static const la_request_t *earlier_result(const request_rec *r, const la_dir_conf_t *conf)
{
    const request_rec *from;

    for (from = r; from; from = from->prev ? from->prev : from->main) {
        const la_request_t *state = la_request_get(from);

        if (state && state->identity && state->use == conf->use &&
            state->resource == conf->resource && same_text(state->uri, r->uri) &&
            same_text(state->args, r->args)) {
            return state;
        }
    }
    return NULL;
}

static int reuse(request_rec *r, const la_request_t *earlier)
{
    la_request_t *state = la_request_make(r);

    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                  LA_LOGNO(0036) "%s: as found for the request that this one came from", r->uri);
    if (state != earlier) {
        la_request_take_caller(state, earlier);
    }
    la_forward_caller(r, state);
    return OK;
}

/* The request's token; of a request that this one came from, where it was taken out of the headers that both share. */
static la_credential_e find_token(request_rec *r, const la_dir_conf_t *conf, la_slice_t *token)
{
    const request_rec *from;

    for (from = r; from; from = from->prev ? from->prev : from->main) {
        const la_request_t *state = la_request_get(from);

        if (state && state->removed_token.len > 0) {
            *token = state->removed_token;
            return LA_CREDENTIAL_FOUND;
        }
    }
    return la_credential_find(r, conf->sources, token);
}

static int authenticate(request_rec *r, const la_dir_conf_t *conf, la_slice_t token)
{
    unsigned char digest[LA_TOKEN_DIGEST_BYTES];
    la_request_t *state = la_request_make(r);
    la_chain_t chain = {0};
    la_call_t call = {.token = token,
                      .digest = digest,
                      .now = apr_time_now(), /* a request may have begun long ago */
                      .path = r->uri,
                      .query = la_credential_query(r, conf->sources),
                      .client_ip = r->useragent_ip,
                      .headers = r->headers_in,
                      .hidden = {la_sources_all_headers(), la_sources_headers(conf->sources)},
                      .resource = conf->resource ? conf->resource->url : NULL};

    if (la_memo_digest(r, token, digest, state->client_id, &call.memo) != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      LA_LOGNO(0027) "libcrypto failed to hash a token");
        return deny(r, LA_DENIAL_OUTAGE, LA_MESSAGE_ERROR);
    }
    state->use = conf->use;
    state->resource = conf->resource;
    state->uri = apr_pstrdup(r->pool, r->uri);
    state->args = apr_pstrdup(r->pool, r->args);
    state->identity = NULL;
    apr_table_setn(r->notes, LA_NOTE_CLIENT_ID, state->client_id);
    explain_token(r, state, &call);
    ask(r, conf->use, state, &call, &chain);
    return conclude(r, state, &chain);
}

int la_authn_require(request_rec *r)
{
    const la_dir_conf_t *conf = la_config_dir(r);
    const la_request_t *earlier;
    la_slice_t token;

    if (!conf->use) {
        return deny_misconfigured(r, "LlamaAuthUse");
    }
    if (!la_authn_is_bearer(r)) {
        return deny_misconfigured(r, "AuthType Bearer");
    }
    earlier = earlier_result(r, conf);
    if (earlier) {
        return reuse(r, earlier);
    }
    switch (find_token(r, conf, &token)) {
    case LA_CREDENTIAL_MISSING:
        return deny_without_token(r, conf->use);
    case LA_CREDENTIAL_MALFORMED:
        return deny_malformed(r);
    case LA_CREDENTIAL_SEVERAL:
        return deny_several(r);
    case LA_CREDENTIAL_FOUND:
        break;
    }
    return authenticate(r, conf, token);
}

/* The Fetch standard's CORS-preflight request. */
int la_authn_is_preflight(request_rec *r)
{
    return r->method_number == M_OPTIONS && la_config_dir(r)->preflight == LA_ON &&
           apr_table_get(r->headers_in, "Origin") &&
           apr_table_get(r->headers_in, "Access-Control-Request-Method") && la_authn_is_bearer(r);
}

int la_authn_check(request_rec *r)
{
    const char *type = ap_auth_type(r);

    if (la_authn_is_preflight(r)) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                      LA_LOGNO(0029) "a CORS preflight for %s passes", r->uri);
        r->user = (char *)""; /* else httpd calls it an error; the gate takes it back */
        return OK;
    }
    if (la_authn_is_bearer(r)) {
        return la_authn_require(r);
    }
    if (la_authz_in_force(r) && (!la_config_dir(r)->use || !type || !*type)) {
        return la_authn_require(r); /* says what is missing */
    }
    return DECLINED;
}

/* Finds the token, asks the providers in order, and keeps the verdict in the request. authz.c
 * checks what the caller may do, respond.c answers a denial. In request threads. */
#include "httpd/hooks.h"

#include "base/clock.h"
#include "shm/outage.h"
#include "httpd/binding.h"
#include "httpd/credential.h"
#include "httpd/forward.h"
#include "httpd/conn_memo.h"
#include "httpd/respond.h"
#include "httpd/section.h"
#include "httpd/child.h"
#include "httpd/segments.h"
#include "io/server.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_log.h>

APLOG_USE_MODULE(llama_auth);

/* Digits of the client id that a log line shows. */
#define LOG_ID "%.8s"

/* Retry-After if the breaker says nothing else. */
#define RETRY_AFTER_S 1

/* A denial with the scopes that the section needs. */
static la_denial_t make_denial(request_rec *r, la_denial_e kind, const char *message)
{
    la_denial_t denial = la_denial_make(kind, message);

    denial.scope = la_policy_scopes(r->pool, la_config_dir(r)->scopes, la_section_methods(r));
    return denial;
}

static int deny_for(request_rec *r, la_denial_e kind, const char *message, int retry_after_s)
{
    la_denial_t denial = make_denial(r, kind, message);

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

/* Refuses what the client can mend, and says by which proof. scheme: of its credential. */
static int deny_credential(request_rec *r, const la_use_t *use, la_denial_t denial,
                           la_scheme_e scheme, la_proof_fault_e fault)
{
    la_binding_challenge(r, use, scheme, fault, &denial);
    return la_respond_deny(r, denial);
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
    return deny_credential(r, use, make_denial(r, LA_DENIAL_MISSING_TOKEN, first->hint),
                           LA_SCHEME_OTHER, LA_PROOF_FINE);
}

static int deny_form(request_rec *r, const la_credential_t *found)
{
    return deny_credential(
        r, la_config_dir(r)->use,
        make_denial(r, LA_DENIAL_MALFORMED_CREDENTIAL, la_credential_fault(r->pool, found)),
        LA_SCHEME_OTHER, LA_PROOF_FINE);
}

static int deny_malformed(request_rec *r, const la_credential_t *found)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  LA_LOGNO(0022) "the credential in %s for %s is not well-formed: %s",
                  la_credential_source(found), r->uri, la_token_fault(r->pool, found->token));
    return deny_form(r, found);
}

static int deny_long(request_rec *r, const la_credential_t *found)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  LA_LOGNO(0240) "the token in %s for %s is too long: it has %" APR_SIZE_T_FMT
                                 " characters, and at most %d are accepted",
                  la_credential_source(found), r->uri, found->token.len, LA_TOKEN_MAX_BYTES);
    return deny_form(r, found);
}

static int deny_several(request_rec *r, const la_credential_t *found)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  LA_LOGNO(0028) "more than one token for %s, another one is in %s", r->uri,
                  la_credential_source(found));
    return deny(r, LA_DENIAL_SEVERAL_TOKENS, NULL);
}

/* Whether a result shows how the provider is. A cached one does not; one that another request's
 * call brought was logged by that request. */
static int shows_health(const la_result_t *result)
{
    return result->verdict != LA_VERDICT_NOT_MINE && !result->followed &&
           result->source != LA_SOURCE_HIT && result->source != LA_SOURCE_NEGATIVE &&
           result->source != LA_SOURCE_SHARED;
}

/* Whether to log the result: once for each reason, change and minute. */
static int is_news(const la_provider_t *provider, const la_result_t *result, int of_caller)
{
    la_outage_reason_t reason = {.text = result->reason ? result->reason : "",
                                 .status = result->status,
                                 .of_caller = of_caller};

    return la_outage_begin(la_shared_outage(provider), &reason, la_clock_us());
}

static void log_outage(request_rec *r, const la_provider_t *provider, const la_result_t *result)
{
    if (is_news(provider, result, 0)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, LA_LOGNO(0024) "provider %s is unavailable: %s",
                      provider->name, result->reason ? result->reason : "no reason given");
    }
}

/* Logs what an administrator should know although the provider works: it is about one caller's
 * token or request. */
static void log_oddity(request_rec *r, const char *client_id, const la_provider_t *provider,
                       const la_result_t *result)
{
    if (!is_news(provider, result, 1)) {
        return;
    }
    if (result->unusable) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      LA_LOGNO(0110) "provider %s: what it says of token " LOG_ID
                                     " cannot be used, so the token is rejected: %s",
                      provider->name, client_id, result->reason);
    } else {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      LA_LOGNO(0111) "provider %s is not asked about token " LOG_ID ": %s",
                      provider->name, client_id, result->reason);
    }
}

static void log_answer(request_rec *r, const char *client_id, const la_provider_t *provider,
                       const la_result_t *result)
{
    if (result->unusable) {
        log_oddity(r, client_id, provider, result);
    }
    if (la_outage_end(la_shared_outage(provider))) {
        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                      LA_LOGNO(0025) "provider %s is available again", provider->name);
    }
}

static void log_health(request_rec *r, const char *client_id, const la_provider_t *provider,
                       const la_result_t *result)
{
    if (result->verdict != LA_VERDICT_UNAVAILABLE && result->source != LA_SOURCE_STALE) {
        log_answer(r, client_id, provider, result);
        return;
    }
    switch (result->cause) {
    case LA_CAUSE_PROVIDER:
    case LA_CAUSE_ANSWER:
        log_outage(r, provider, result);
        break;
    case LA_CAUSE_REQUEST:
        log_oddity(r, client_id, provider, result);
        break;
    case LA_CAUSE_TOKEN: /* a client's mistake, as far as we know */
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      LA_LOGNO(0112) "provider %s cannot tell yet what token " LOG_ID " is: %s",
                      provider->name, client_id, result->reason);
        break;
    }
}

static void log_verdict(request_rec *r, const char *client_id, const la_provider_t *provider,
                        const la_result_t *result)
{
    const char *reason = result->reason ? result->reason : result->message;

    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                  LA_LOGNO(0023) "provider %s, token " LOG_ID ", cache %s: %s%s%s", provider->name,
                  client_id, la_source_name(result->source), la_verdict_name(result->verdict),
                  reason ? ": " : "", reason ? reason : "");
    if (shows_health(result)) {
        log_health(r, client_id, provider, result);
    }
}

static void log_question(request_rec *r, const la_use_t *use, const la_call_t *call,
                         const char *client_id)
{
    const char *names = "";

    if (!APLOGrdebug(r)) {
        return;
    }
    for (int i = 0; i < use->count; i++) {
        names = apr_pstrcat(r->pool, names, " ", use->providers[i]->name, NULL);
    }
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                  LA_LOGNO(0033) "token " LOG_ID ", %" APR_SIZE_T_FMT
                                 " bytes, for %s: LlamaAuthUse%s",
                  client_id, call->token.len, r->uri, names);
}

/* Asks the providers in order, up to the first that accepts. */
static void ask(request_rec *r, const la_caller_t *asked, const la_call_t *call, la_chain_t *chain)
{
    apr_pool_t *pool =
        la_request_first(r)->pool; /* the whole chain of requests uses the identity */

    for (int i = 0; i < asked->use.count; i++) {
        const la_provider_t *provider = asked->use.providers[i];
        la_result_t result;

        la_lookup(la_shared_get(), provider, call, pool, &result);
        log_verdict(r, asked->client_id, provider, &result);
        la_binding_check(r, provider, call, asked->scheme, &result);
        if (la_chain_add(chain, provider, &result)) {
            return;
        }
    }
}

/* The provider's principal, or one made of the token if the provider named none. */
static const char *principal_of(apr_pool_t *pool, const la_caller_t *caller)
{
    la_slice_t principal = la_identity_principal(caller->identity);
    char *made;

    if (principal.len) {
        return principal.data;
    }
    made = apr_palloc(pool, LA_TOKEN_PRINCIPAL_LEN + 1);
    la_token_principal(caller->client_id, made);
    return made;
}

/* Copies the question of a later request of the chain: that request may end before the first one,
 * which keeps all callers. */
static void keep_question(la_caller_t *caller, apr_pool_t *pool)
{
    caller->use.providers = apr_pmemdup(pool, caller->use.providers,
                                        (apr_size_t)caller->use.count * sizeof(la_provider_t *));
    caller->token.data = apr_pstrmemdup(pool, caller->token.data, caller->token.len);
    caller->resource = apr_pstrdup(pool, caller->resource);
    caller->path = apr_pstrdup(pool, caller->path);
    caller->query = apr_pstrdup(pool, caller->query);
}

/* Makes the caller whom a provider accepted. The identity lives in the first request's pool. */
static const la_caller_t *make_caller(request_rec *r, const la_caller_t *asked,
                                      const la_chain_t *chain)
{
    apr_pool_t *pool = la_request_first(r)->pool;
    la_caller_t *caller = apr_pmemdup(pool, asked, sizeof(*asked));

    if (la_request_origin(r)) {
        keep_question(caller, pool);
    }
    caller->provider = chain->provider;
    caller->identity = chain->result.identity;
    caller->principal = principal_of(pool, caller);
    caller->cache = la_source_name(chain->result.source);
    la_request_add_caller(r, caller);
    return caller;
}

static int take_caller(request_rec *r, const la_caller_t *caller)
{
    la_request_t *state = la_request_make(r);

    memcpy(state->client_id, caller->client_id, sizeof(state->client_id));
    state->caller = caller;
    la_forward_caller(r, caller);
    return OK;
}

static int conclude(request_rec *r, const la_caller_t *asked, la_chain_t *chain)
{
    const la_result_t *result = la_chain_end(chain);

    if (result->verdict == LA_VERDICT_ACCEPTED) {
        const la_caller_t *caller = make_caller(r, asked, chain);

        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                      LA_LOGNO(0035) "token " LOG_ID " is %s, says provider %s: %s",
                      caller->client_id,
                      la_identity_principal(caller->identity).len > 0 ? caller->principal
                                                                      : "somebody without a name",
                      caller->provider->name, la_identity_attributes_json(caller->identity).data);
        return take_caller(r, caller);
    }
    apr_table_setn(r->notes, LA_NOTE_CLIENT_ID, la_request_make(r)->client_id);
    apr_table_setn(r->notes, LA_NOTE_CACHE, la_source_name(result->source));
    if (result->verdict == LA_VERDICT_REJECTED) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      LA_LOGNO(0026) "provider %s rejected token " LOG_ID ": %s",
                      chain->provider->name, asked->client_id,
                      result->reason ? result->reason : result->message);
        return deny_credential(r, &asked->use, make_denial(r, LA_DENIAL_REJECTED, result->message),
                               asked->scheme, result->proof);
    }
    return deny_for(r, result->timed_out ? LA_DENIAL_TIMEOUT : LA_DENIAL_OUTAGE,
                    result->message ? result->message : LA_MESSAGE_ERROR,
                    result->retry_after_s ? result->retry_after_s : RETRY_AFTER_S);
}

/* The question. It has the path and the query only if a verdict may depend on them. */
static la_caller_t make_question(const la_dir_conf_t *conf, const la_call_t *call,
                                 la_scheme_e scheme)
{
    la_caller_t asked = {
        .use = *conf->use, .token = call->token, .scheme = scheme, .resource = call->resource};

    for (int i = 0; i < conf->use->count; i++) {
        const la_vary_t *vary = &conf->use->providers[i]->common.vary;

        asked.path = vary->path ? call->path : asked.path;
        asked.query = vary->params ? call->query : asked.query;
    }
    return asked;
}

static int authenticate(request_rec *r, const la_dir_conf_t *conf, const la_credential_t *found)
{
    unsigned char digest[LA_DIGEST_BYTES];
    la_request_t *state = la_request_make(r);
    la_chain_t chain = {0};
    la_call_t call = {.token = found->token,
                      .digest = digest,
                      .now = apr_time_now(), /* not r->request_time, which may be long ago */
                      .path = r->uri,
                      .query = la_credential_query(r, conf->sources),
                      .client_ip = r->useragent_ip,
                      .headers = la_request_fields(r),
                      .hidden = {la_collected.token_headers, la_sources_headers(conf->sources)},
                      .resource = conf->resource ? conf->resource->url : NULL};
    la_caller_t asked = make_question(conf, &call, found->scheme);
    const la_caller_t *known = la_request_find_caller(r, &asked);

    if (known) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                      LA_LOGNO(0036) "%s: the caller is the one of the request that led here",
                      r->uri);
        return take_caller(r, known);
    }
    if (la_conn_memo_digest(r, found->token, digest, asked.client_id, &call.memo) != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      LA_LOGNO(0027) "libcrypto failed to hash a token");
        return deny(r, LA_DENIAL_OUTAGE, LA_MESSAGE_ERROR);
    }
    memcpy(state->client_id, asked.client_id, sizeof(state->client_id));
    log_question(r, conf->use, &call, state->client_id);
    ask(r, &asked, &call, &chain);
    return conclude(r, &asked, &chain);
}

/* Finds the caller: one that the chain of requests has for the same question, else by the providers
 * of LlamaAuthUse. Returns OK with the state's caller, r->user and the notes set, else the status
 * of a recorded denial. */
static int require_caller(request_rec *r)
{
    const la_dir_conf_t *conf = la_config_dir(r);
    la_request_t *state = la_request_make(r);
    la_credential_t found;

    state->caller = NULL;
    if (!conf->use) {
        return deny_misconfigured(r, "LlamaAuthUse");
    }
    switch (la_credential_find(r, la_request_fields(r), conf->sources,
                               la_binding_takes_dpop(r, conf->use), &found)) {
    case LA_TOKEN_MISSING:
        return deny_without_token(r, conf->use);
    case LA_TOKEN_MALFORMED:
        return deny_malformed(r, &found);
    case LA_TOKEN_TOO_LONG:
        return deny_long(r, &found);
    case LA_TOKEN_SEVERAL:
        return deny_several(r, &found);
    case LA_TOKEN_FOUND:
        break;
    }
    state->token_elsewhere = found.elsewhere;
    return authenticate(r, conf, &found);
}

int la_authn_check(request_rec *r)
{
    const la_dir_conf_t *conf = la_config_dir(r);
    const char *type = ap_auth_type(r);

    if (la_section_is_preflight(r)) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                      LA_LOGNO(0029) "a CORS preflight for %s passes", r->uri);
        r->user = (char *)""; /* without one httpd answers 500; the gate removes it */
        return OK;
    }
    if (type && strcasecmp(type, "Bearer") == 0) {
        return require_caller(r);
    }
    if (la_section_has_rules(r) && (!conf->use || !type || !*type)) {
        return deny_misconfigured(r, conf->use ? "AuthType Bearer" : "LlamaAuthUse");
    }
    return DECLINED;
}

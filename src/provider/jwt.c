/* The `jwt` provider: JSON Web Tokens that are verified in process. Owns its options, how its key
 * set is fetched, and the order in which a token is judged; what the signature and the claims are
 * worth is core's (jwt.c, validity.c), where keys are kept is keyset.c's and remote_doc.c's, how an
 * issuer is asked for them is discovery.c's.
 *
 * Options and finish run while the configuration is read; verify and epoch in any request thread;
 * fetch in whichever thread of any process comes first, the background's tick or a request.
 */
#include "provider/provider.h"

#include "base/clock.h"
#include "jose/jwt.h"
#include "access/validity.h"
#include "provider/discovery.h"
#include "provider/remote_doc.h"
#include "io/secret.h"
#include "io/server.h"
#include "provider/keyset.h"
#include "provider/signature.h"

#include <stddef.h>
#include <string.h>

#include <apr_strings.h>

#define MESSAGE_INVALID "Invalid JWT token"

#define DEFAULT_AUDIENCE   "llama-stack"
#define DEFAULT_REFRESH_US (3600 * APR_USEC_PER_SEC)
#define DEFAULT_LEEWAY_US  (60 * APR_USEC_PER_SEC)

typedef struct jwt_conf_t {
    la_url_t jwks_uri;
    const char *jwks_file;
    la_url_t issuer;
    const char *expect_issuer;     /* finish() makes it the Issuer if it is not set; NULL: any */
    apr_array_header_t *audiences; /* Audience: of const char *; NULL: none, or not given */
    int any_audience;              /* Audience none */
    apr_array_header_t *elsewhere; /* demanded where there is no resource; NULL: any will do */
    la_jwa_set_t algorithms;
    la_secret_t *jwks_token;
    apr_interval_time_t jwks_refresh_us; /* 0: not set */
    apr_interval_time_t leeway_us;
    const char *require_type;
    int require_exp;
    la_remote_doc_source_t source; /* of the key set, unless it is a file */
    la_keyset_t *file_keys;        /* of JwksFile; or NULL */
    const char *hint;
    const char *public_issuer; /* what RFC 9728 calls an authorization server, or NULL */
} jwt_conf_t;

/* What a process keeps. */
typedef struct jwt_state_t {
    la_remote_doc_t *document; /* NULL: the keys are in a file */
    la_keyset_t *keyset;
} jwt_state_t;

/* ---- options ---- */

/* Every name that Algorithms takes. */
#define ALGORITHM_NAMES                                                                            \
    "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519 Ed448 HS256 HS384 HS512"

static const char *parse_algorithms(apr_pool_t *pool, const la_option_t *option, void *base,
                                    int count, const char *const *words)
{
    la_jwa_set_t *algorithms = (void *)((char *)base + option->offset);
    int i;

    *algorithms = 0;
    for (i = 0; i < count; i++) {
        la_jwa_set_t named = la_jwa_named((la_slice_t){words[i], strlen(words[i])});

        if (!named) {
            return apr_psprintf(pool, "'%s' is no algorithm that verifies; there are %s", words[i],
                                ALGORITHM_NAMES);
        }
        *algorithms |= named;
    }
    return NULL;
}

static const char *parse_audience(apr_pool_t *pool, const la_option_t *option, void *base,
                                  int count, const char *const *words)
{
    jwt_conf_t *conf = base;
    int i;

    for (i = 0; i < count; i++) {
        if (strcasecmp(words[i], "none") == 0) {
            conf->any_audience = 1;
        }
    }
    if (conf->any_audience) {
        return count == 1 ? NULL : "none stands alone";
    }
    return la_option_words(pool, option, base, count, words);
}

#define CONF(field) offsetof(jwt_conf_t, field)

static const la_option_t jwt_options[] = {
    {"JwksUri", la_option_url, CONF(jwks_uri), 1, 1, 0, "URL"},
    {"JwksFile", la_option_path, CONF(jwks_file), 1, 1, 0, "PATH"},
    {"Issuer", la_discovery_issuer_option, CONF(issuer), 1, 1, 0, "URL"},
    {"ExpectIssuer", la_option_word, CONF(expect_issuer), 1, 1, 0, "ISS"},
    {"Audience", parse_audience, CONF(audiences), 1, -1, 0, "AUD...|none"},
    {"Algorithms", parse_algorithms, CONF(algorithms), 1, -1, 0, "ALG..."},
    {"JwksToken", la_option_secret, CONF(jwks_token), 1, 1, 0, "SECRET"},
    {"JwksRefresh", la_option_positive_duration, CONF(jwks_refresh_us), 1, 1, 0, "DURATION"},
    {"Leeway", la_option_duration, CONF(leeway_us), 1, 1, 0, "DURATION"},
    {"RequireType", la_option_word, CONF(require_type), 1, 1, 0, "TYP"},
    {"RequireExp", la_option_on_off, CONF(require_exp), 1, 1, 0, "on|off"},
    LA_OPTION_END};

static void jwt_defaults(void *base)
{
    jwt_conf_t *conf = base;

    conf->algorithms = LA_JWA_DEFAULT;
    conf->leeway_us = DEFAULT_LEEWAY_US;
    conf->require_exp = 1;
}

/* ---- the key set ---- */

/* Gets the key set from its URL. JwksToken was entrusted to the places that the configuration
 * names: a URL that metadata names gets it where it is on the issuer's own server. */
static const char *get(const la_provider_t *provider, const char *url, apr_time_t deadline_us,
                       apr_pool_t *pool, la_slice_t *bytes)
{
    const jwt_conf_t *conf = provider->conf;
    int own = conf->jwks_uri.url || la_discovery_same_origin(url, conf->issuer.url);
    apr_table_t *headers = apr_table_make(pool, 2);
    const char *error;
    int status;

    apr_table_setn(headers, "Accept", "application/jwk-set+json, application/json");
    if (conf->jwks_token && own) {
        const char *token = la_secret_get(conf->jwks_token, apr_time_now(), pool);

        apr_table_setn(headers, "Authorization", apr_pstrcat(pool, "Bearer ", token, NULL));
    }
    error =
        la_discovery_get(provider->child->http, url, headers, deadline_us, pool, bytes, &status);
    if (error && status && conf->jwks_token && !own) {
        return apr_pstrcat(
            pool, error, " (JwksToken is sent only to JwksUri, or to the server of Issuer)", NULL);
    }
    return error ? error : la_keyset_check(*bytes, conf->algorithms, pool);
}

/* The document's fetch: one deadline for all its calls. */
static const char *fetch(const la_provider_t *provider, apr_pool_t *pool, la_slice_t *bytes)
{
    const jwt_conf_t *conf = provider->conf;
    apr_time_t deadline_us = la_clock_us() + provider->common.http.timeout_us;
    const char *url = conf->jwks_uri.url;
    const char *error = NULL;

    *bytes = LA_SLICE("");
    if (!url) {
        error = la_discovery_find(provider->child->http, conf->issuer.url, "jwks_uri", deadline_us,
                                  pool, &url);
    }
    return error ? error : get(provider, url, deadline_us, pool, bytes);
}

/* ---- the section's end, and the process's beginning ---- */

static void warn(const la_provider_t *provider)
{
    const jwt_conf_t *conf = provider->conf;

    if (conf->any_audience) {
        la_log(LA_LOG_WARNING,
               LA_LOGNO(0071) "provider %s: Audience is none: a token that was made for any other "
                              "service of the issuer is accepted here",
               provider->name);
    }
    la_provider_warn_of_plain_http(provider, "JwksUri", &conf->jwks_uri);
    /* An issuer beside JwksUri or JwksFile is a name: nobody calls it. */
    if (!conf->jwks_uri.url && !conf->jwks_file) {
        la_provider_warn_of_plain_http(provider, "Issuer", &conf->issuer);
    }
}

/* Where keys come from: just one place. An Issuer beside one is the expected `iss` and no more. */
static const char *check_source(const jwt_conf_t *conf)
{
    if (conf->jwks_uri.url && conf->jwks_file) {
        return "JwksUri and JwksFile are two sources of keys; give one";
    }
    if (!conf->jwks_uri.url && !conf->jwks_file && !conf->issuer.url) {
        return "JwksUri, JwksFile or Issuer is missing";
    }
    if (!conf->jwks_file) {
        return NULL;
    }
    if (conf->jwks_token || conf->jwks_refresh_us) {
        return conf->jwks_token
                   ? "JwksToken has no use with JwksFile: nothing is fetched"
                   : "JwksRefresh has no use with JwksFile, which is read when it changes";
    }
    return NULL;
}

static const char *read_file_keys(const la_provider_t *provider, apr_pool_t *pool)
{
    jwt_conf_t *conf = provider->conf;
    const char *error =
        la_keyset_read(provider->name, conf->jwks_file, conf->algorithms, pool, &conf->file_keys);

    return error ? apr_pstrcat(pool, "JwksFile: ", error, NULL) : NULL;
}

/* What others are told of the issuer. */
static void introduce(jwt_conf_t *conf, apr_pool_t *pool)
{
    const char *issuer = conf->issuer.url ? conf->issuer.url : conf->expect_issuer;
    const char *authority;

    conf->hint = "Authentication required. Please provide a valid OAuth2 Bearer token in the "
                 "Authorization header";
    if (issuer) {
        conf->hint = apr_pstrcat(pool,
                                 "Authentication required. Please provide a valid OAuth2 Bearer "
                                 "token from ",
                                 issuer, NULL);
        conf->public_issuer = la_discovery_issuer_check(pool, issuer, &authority) ? NULL : issuer;
    }
}

static int same(const la_provider_t *provider, la_slice_t old, la_slice_t fetched, apr_pool_t *pool)
{
    const jwt_conf_t *conf = provider->conf;

    return la_keyset_same(old, fetched, conf->algorithms, pool);
}

static const char *jwt_finish(la_provider_t *provider, apr_pool_t *pool)
{
    jwt_conf_t *conf = provider->conf;
    const char *error = check_source(conf);

    if (!error && conf->jwks_file) {
        error = read_file_keys(provider, pool);
    }
    if (error) {
        return error;
    }
    conf->elsewhere = conf->audiences;
    if (!conf->audiences && !conf->any_audience) {
        conf->elsewhere = apr_array_make(pool, 1, sizeof(const char *));
        APR_ARRAY_PUSH(conf->elsewhere, const char *) = DEFAULT_AUDIENCE;
    }
    introduce(conf, pool);
    if (!conf->expect_issuer) {
        conf->expect_issuer = conf->issuer.url;
    }
    conf->source = (la_remote_doc_source_t){
        .fetch = fetch,
        .same = same,
        .refresh_us = conf->jwks_refresh_us ? conf->jwks_refresh_us : DEFAULT_REFRESH_US,
        .what = "the key set"};
    warn(provider);
    return NULL;
}

static const char *jwt_hint(const la_provider_t *provider, apr_pool_t *pool)
{
    const jwt_conf_t *conf = provider->conf;

    (void)pool;
    return conf->hint;
}

static const char *jwt_issuer(const la_provider_t *provider)
{
    const jwt_conf_t *conf = provider->conf;

    return conf->public_issuer;
}

static apr_status_t jwt_child_init(const la_provider_t *provider, apr_pool_t *pchild, void **made)
{
    const jwt_conf_t *conf = provider->conf;
    jwt_state_t *state = apr_pcalloc(pchild, sizeof(*state));

    *made = state;
    if (conf->file_keys) {
        la_keyset_check_readable(conf->file_keys, pchild);
        state->keyset = conf->file_keys;
        return APR_SUCCESS;
    }
    state->document = la_remote_doc_attach(provider, &conf->source, pchild);
    state->keyset = la_keyset_make(provider->name, state->document, conf->algorithms, pchild);
    return APR_SUCCESS;
}

static apr_uint64_t jwt_epoch(const la_provider_t *provider, apr_time_t now)
{
    const jwt_state_t *state = provider->child->state;

    return la_keyset_epoch(state->keyset, now);
}

static void jwt_tick(const la_provider_t *provider, apr_pool_t *scratch)
{
    const jwt_state_t *state = provider->child->state;

    if (state->document) {
        la_remote_doc_tick(state->document, scratch);
    } else {
        la_keyset_epoch(state->keyset, apr_time_now()); /* looks at the file */
    }
}

/* ---- the verdict ---- */

/* One token under judgement. */
typedef struct judgement_t {
    const la_provider_t *provider;
    const la_call_t *call;
    apr_pool_t *pool;
    la_jwt_t jwt;
    la_result_t *result;
} judgement_t;

static void reject(const judgement_t *j, const char *reason)
{
    la_result_set(j->result, LA_VERDICT_REJECTED, MESSAGE_INVALID, reason);
}

static void give_up(const judgement_t *j, const char *reason)
{
    la_result_set(j->result, LA_VERDICT_UNAVAILABLE, LA_MESSAGE_ERROR, reason);
}

/* Takes the token apart and looks whose it is, before any key is asked for. Returns 1 when it is
 * ours to verify; else the result is set. */
static int is_ours(judgement_t *j)
{
    const jwt_conf_t *conf = j->provider->conf;
    const char *reason = NULL;
    const char *foreign;

    switch (la_jwt_parse(j->pool, j->call->token, &j->jwt, &reason)) {
    case LA_JWT_FOREIGN:
        la_result_set(j->result, LA_VERDICT_NOT_MINE, MESSAGE_INVALID, reason);
        return 0;
    case LA_JWT_REFUSED:
        reject(j, reason);
        return 0;
    case LA_JWT_GOOD:
        break;
    }
    foreign = la_validity_foreign(j->pool, j->jwt.claims, conf->expect_issuer);
    if (foreign) {
        la_result_set(j->result, LA_VERDICT_NOT_MINE, MESSAGE_INVALID, foreign);
        return 0;
    }
    if (conf->require_type && !la_jwt_type_is(&j->jwt, conf->require_type)) {
        reject(j, apr_psprintf(j->pool, "typ is %s, expected %s",
                               j->jwt.type.data ? la_json_quoted(j->pool, j->jwt.type) : "missing",
                               conf->require_type));
        return 0;
    }
    return 1;
}

/* Returns 1 when the signature is right; else the result is set. */
static int is_signed(const judgement_t *j)
{
    const jwt_conf_t *conf = j->provider->conf;
    const jwt_state_t *state = j->provider->child->state;
    la_signature_keys_t keys = {state->keyset, state->document, conf->algorithms};
    la_signature_t said = {0};
    la_signature_e signature = la_signature_check(&keys, &j->jwt, j->call, j->pool, &said);

    /* Of the keys that judged it; what is refused before any is tried is kept like the rest. */
    j->result->epoch = said.epoch ? said.epoch : j->result->epoch;
    switch (signature) {
    case LA_SIGNATURE_RIGHT:
        return 1;
    case LA_SIGNATURE_WRONG:
        reject(j, said.reason);
        return 0;
    case LA_SIGNATURE_EARLY:
        give_up(j, said.reason);
        j->result->cause = LA_CAUSE_TOKEN;
        j->result->retry_after_s = said.retry_after_s;
        return 0;
    case LA_SIGNATURE_NO_KEYS:
        break;
    }
    give_up(j, said.reason);
    return 0;
}

/* What becomes of a token with a right signature. */
static void judge_claims(const judgement_t *j)
{
    const jwt_conf_t *conf = j->provider->conf;
    const la_provider_common_t *common = &j->provider->common;
    la_claims_t claims = {j->jwt.claims, NULL};
    la_validity_terms_t terms = {.now = j->call->now,
                                 .leeway_us = conf->leeway_us,
                                 .audiences = j->call->resource ? conf->audiences : conf->elsewhere,
                                 .resource = j->call->resource,
                                 .issuer = conf->expect_issuer,
                                 .require_exp = conf->require_exp};
    const char *error = la_validity_check(j->pool, j->jwt.claims, &terms, &j->result->expires);

    if (!error) {
        error = la_claims_identity(&claims, common->principal_claims, common->claims, j->pool,
                                   &j->result->identity);
    }
    if (error) {
        reject(j, error);
    } else {
        j->result->verdict = LA_VERDICT_ACCEPTED;
    }
}

static void jwt_verify(const la_provider_t *provider, const la_call_t *call, apr_pool_t *pool,
                       la_result_t *result)
{
    judgement_t j = {.provider = provider, .call = call, .pool = pool, .result = result};

    /* What is refused before any key is asked for is kept like the rest. */
    result->epoch = jwt_epoch(provider, call->now);
    if (is_ours(&j) && is_signed(&j)) {
        judge_claims(&j);
    }
}

static const char *const principal_claims[] = {"sub", "username", "client_id", NULL};

const la_provider_type_t la_jwt_type = {
    .name = "jwt",
    .options = jwt_options,
    .conf_bytes = sizeof(jwt_conf_t),
    .calls_out = 1,
    .judges_alone = 1,
    .checks_audience = 1,
    .cache_vary = &la_vary_nothing,
    .claims = la_oauth_claims,
    .principal_claims = principal_claims,
    .shared_bytes = la_remote_doc_bytes,
    .defaults = jwt_defaults,
    .finish = jwt_finish,
    .child_init = jwt_child_init,
    .verify = jwt_verify,
    .hint = jwt_hint,
    .epoch = jwt_epoch,
    .tick = jwt_tick,
    .issuer = jwt_issuer,
};

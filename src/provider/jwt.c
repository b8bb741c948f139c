/* The `jwt` provider: JSON Web Tokens that are verified in process. Owns its options, how its key
 * set is fetched and when a newer one is asked for, and the order in which a token is checked:
 * form, issuer, type, signature, other claims (validity.c). */
#include "provider/provider.h"

#include "base/clock.h"
#include "jose/jwt.h"
#include "access/validity.h"
#include "provider/discovery.h"
#include "provider/remote_doc.h"
#include "io/secret.h"
#include "io/server.h"
#include "provider/keyset.h"

#include <stddef.h>
#include <string.h>

#include <apr_strings.h>

#define DEFAULT_AUDIENCE   "llama-stack"
#define DEFAULT_REFRESH_US (3600 * APR_USEC_PER_SEC)
#define DEFAULT_LEEWAY_US  (60 * APR_USEC_PER_SEC)

/* What a client is told of each token that is refused. */
#define MESSAGE_REJECTED "Invalid JWT token"

typedef struct jwt_conf_t {
    la_url_t jwks_uri;
    const char *jwks_file;
    la_url_t issuer;
    const char *expect_issuer;     /* finish() makes it the Issuer if it is not set; NULL: any */
    apr_array_header_t *audiences; /* Audience: of const char *; NULL: none, or not given */
    int any_audience;              /* Audience none */
    apr_array_header_t *elsewhere; /* demanded if there is no resource; NULL: any will do */
    la_jwa_set_t algorithms;
    la_secret_t *jwks_token;
    apr_interval_time_t jwks_refresh_us;
    apr_interval_time_t leeway_us;
    const char *require_type;
    int require_exp;
    la_remote_doc_source_t source; /* of the key set, unless it is a file */
    la_keyset_t *file_keys;        /* of JwksFile; or NULL */
} jwt_conf_t;

typedef struct jwt_keys_t {
    la_keyset_t *keyset;
    la_remote_doc_t *document; /* NULL: the keys are in a file */
} jwt_keys_t;

/* ---- options ---- */

static const char *parse_algorithms(const la_option_line_t *line)
{
    la_jwa_set_t *algorithms = LA_OPTION_FIELD(la_jwa_set_t, line);

    *algorithms = 0;
    for (int i = 0; i < line->count; i++) {
        la_jwa_set_t named = la_jwa_named(la_slice_of(line->words[i]));

        if (!named) {
            return apr_psprintf(line->pool, "'%s' is not a signature algorithm; there are %s",
                                line->words[i], la_jwa_names(line->pool, LA_JWA_ALL));
        }
        *algorithms |= named;
    }
    return NULL;
}

static const char *parse_audience(const la_option_line_t *line)
{
    jwt_conf_t *conf = line->base;

    for (int i = 0; i < line->count; i++) {
        conf->any_audience |= strcasecmp(line->words[i], "none") == 0;
    }
    if (conf->any_audience) {
        return line->count == 1 ? NULL : "none stands alone";
    }
    return la_option_words(line);
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
    conf->jwks_refresh_us = DEFAULT_REFRESH_US;
    conf->leeway_us = DEFAULT_LEEWAY_US;
    conf->require_exp = 1;
}

/* ---- the key set ---- */

/* Gets the key set from its URL. JwksToken is for the servers that the configuration names: a URL
 * from the metadata gets it only if it is on the issuer's server. */
static const char *get(const la_provider_t *provider, const char *url, apr_time_t deadline_us,
                       apr_pool_t *pool, la_slice_t *bytes)
{
    const jwt_conf_t *conf = provider->conf;
    int own = conf->jwks_uri.url || la_discovery_same_origin(url, conf->issuer.url);
    apr_table_t *headers = apr_table_make(pool, 2);
    const la_jwks_t *keys;
    const char *error;
    int status;

    apr_table_setn(headers, "Accept", "application/jwk-set+json, application/json");
    if (conf->jwks_token && own) {
        apr_table_setn(headers, "Authorization",
                       apr_pstrcat(pool, "Bearer ",
                                   la_secret_get(conf->jwks_token, apr_time_now(), pool), NULL));
    }
    error =
        la_discovery_get(provider->child->http, url, headers, deadline_us, pool, bytes, &status);
    if (error && status && conf->jwks_token && !own) {
        return apr_pstrcat(
            pool, error, " (JwksToken is sent only to JwksUri, or to the server of Issuer)", NULL);
    }
    return error ? error : la_jwks_parse(pool, *bytes, conf->algorithms, &keys);
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

static int same(const la_provider_t *provider, la_slice_t old, la_slice_t fetched, apr_pool_t *pool)
{
    const jwt_conf_t *conf = provider->conf;

    return la_keyset_same(old, fetched, conf->algorithms, pool);
}

/* ---- at startup, and in a new process ---- */

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

/* Keys come from one place. An Issuer beside it is only the expected `iss`. */
static const char *check_source(const la_provider_t *provider)
{
    const jwt_conf_t *conf = provider->conf;

    if (conf->jwks_uri.url && conf->jwks_file) {
        return "JwksUri and JwksFile are two sources of keys; give one";
    }
    if (!conf->jwks_uri.url && !conf->jwks_file && !conf->issuer.url) {
        return "JwksUri, JwksFile or Issuer is missing";
    }
    if (conf->jwks_file && conf->jwks_token) {
        return "JwksToken has no use with JwksFile: nothing is fetched";
    }
    return conf->jwks_file && la_provider_is_set(provider, "JwksRefresh")
               ? "JwksRefresh has no use with JwksFile, which is read when it changes"
               : NULL;
}

static const char *jwt_finish(la_provider_t *provider, apr_pool_t *pool)
{
    jwt_conf_t *conf = provider->conf;
    const char *error = check_source(provider);

    if (error) {
        return error;
    }
    if (conf->jwks_file) {
        error = la_keyset_read(provider->name, conf->jwks_file, conf->algorithms, pool,
                               &conf->file_keys);
        if (error) {
            return apr_pstrcat(pool, "JwksFile: ", error, NULL);
        }
    }
    conf->elsewhere = conf->audiences;
    if (!conf->audiences && !conf->any_audience) {
        conf->elsewhere = apr_array_make(pool, 1, sizeof(const char *));
        APR_ARRAY_PUSH(conf->elsewhere, const char *) = DEFAULT_AUDIENCE;
    }
    conf->expect_issuer = conf->expect_issuer ? conf->expect_issuer : conf->issuer.url;
    la_provider_set_issuer(provider, conf->issuer.url ? conf->issuer.url : conf->expect_issuer,
                           "in the Authorization header", pool);
    conf->source = (la_remote_doc_source_t){
        .fetch = fetch, .same = same, .refresh_us = conf->jwks_refresh_us, .what = "the key set"};
    warn(provider);
    return NULL;
}

static apr_status_t jwt_child_init(const la_provider_t *provider, apr_pool_t *pchild, void **made)
{
    const jwt_conf_t *conf = provider->conf;
    jwt_keys_t *state = apr_pcalloc(pchild, sizeof(*state));

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
    const jwt_keys_t *state = provider->child->state;

    return la_keyset_epoch(state->keyset, now);
}

static void jwt_tick(const la_provider_t *provider, apr_pool_t *scratch)
{
    const jwt_keys_t *state = provider->child->state;

    if (state->document) {
        la_remote_doc_tick(state->document, scratch);
    } else {
        la_keyset_epoch(state->keyset, apr_time_now()); /* looks at the file */
    }
}

static la_jwa_set_t jwt_algorithms(const la_provider_t *provider)
{
    const jwt_conf_t *conf = provider->conf;

    return conf->algorithms;
}

/* ---- the verdict ---- */

typedef struct token_check_t {
    const la_provider_t *provider;
    const la_call_t *call;
    apr_pool_t *pool;
    const jwt_keys_t *keys;
    la_jwt_t jwt;
    la_result_t *result;
} token_check_t;

static int refuse(const token_check_t *c, la_verdict_e verdict, const char *reason)
{
    la_result_set(c->result, verdict, MESSAGE_REJECTED, reason);
    return 0;
}

/* Parses the token and looks whose it is, before any key is asked for. Returns 1 if it is ours to
 * verify; else the result is set. */
static int is_ours(token_check_t *c)
{
    const jwt_conf_t *conf = c->provider->conf;
    const char *reason = NULL;
    const char *foreign;

    switch (la_jwt_parse(c->pool, c->call->token, &c->jwt, &reason)) {
    case LA_JWT_FOREIGN:
        return refuse(c, LA_VERDICT_NOT_MINE, reason);
    case LA_JWT_REFUSED:
        return refuse(c, LA_VERDICT_REJECTED, reason);
    case LA_JWT_GOOD:
        break;
    }
    foreign = la_validity_foreign(c->pool, c->jwt.claims, conf->expect_issuer);
    if (foreign) {
        return refuse(c, LA_VERDICT_NOT_MINE, foreign);
    }
    if (!conf->require_type || la_jwt_type_is(&c->jwt, conf->require_type)) {
        return 1;
    }
    reason = c->jwt.type.data ? la_json_quoted(c->pool, c->jwt.type) : "missing";
    return refuse(c, LA_VERDICT_REJECTED,
                  apr_psprintf(c->pool, "typ is %s, expected %s", reason, conf->require_type));
}

/* ---- the signature ----
 *
 * Strangers may make up a key's name at any time, and an issuer may begin to use a key at any time.
 * So an unknown key is a rejection only if a fetch has shown that there is no such key.
 */

static int give_up(const token_check_t *c, const char *reason)
{
    la_result_set(c->result, LA_VERDICT_UNAVAILABLE, LA_MESSAGE_ERROR, reason);
    return 0;
}

/* Verifies with the current keys. Sets the result, which stands unless the key is unknown. */
static la_jwt_verified_e try_keys(const token_check_t *c)
{
    const jwt_conf_t *conf = c->provider->conf;
    la_jwt_verified_e verified;
    la_keyset_hold_t hold;
    const char *reason;

    if (!la_keyset_hold(c->keys->keyset, c->call->now, c->pool, &hold)) {
        give_up(c, "there is no key set yet");
        return LA_JWT_BAD;
    }
    verified = la_jwt_verify(c->pool, &c->jwt, hold.keys, conf->algorithms, &reason);
    c->result->epoch = hold.version;
    la_keyset_release(c->keys->keyset, &hold);
    if (verified != LA_JWT_VERIFIED) {
        refuse(c, LA_VERDICT_REJECTED, reason);
    }
    return verified;
}

/* What tells the token's key from others that the set may lack: its name, or without one the token.
 * 0 if libcrypto fails. */
static apr_uint64_t name_of_key(const token_check_t *c)
{
    unsigned char digest[LA_DIGEST_BYTES];
    apr_uint64_t name = 0;

    if (!c->jwt.kid.data) {
        memcpy(&name, c->call->digest, sizeof(name));
    } else if (la_digest_sha256(c->jwt.kid, digest) == APR_SUCCESS) {
        memcpy(&name, digest, sizeof(name));
    }
    return name;
}

/* Nobody can tell yet whether the token's key exists. */
static int ask_later(const token_check_t *c, const char *reason)
{
    c->result->cause = LA_CAUSE_TOKEN;
    c->result->retry_after_s = la_remote_doc_retry_s(c->keys->document);
    return give_up(c, c->jwt.kid.data ? apr_pstrcat(c->pool, reason, ": kid ",
                                                    la_json_quoted(c->pool, c->jwt.kid), NULL)
                                      : reason);
}

/* The key may be newer than the set: tries the token once more with a newer one. */
static int try_newer_keys(const token_check_t *c)
{
    /* Before the keys are read again: what is known of one set says nothing of a later one. */
    la_remote_doc_e answer =
        la_remote_doc_renew(c->keys->document, c->result->epoch, name_of_key(c), c->pool);
    la_jwt_verified_e verified = try_keys(c);

    if (verified != LA_JWT_UNKNOWN_KEY) {
        return verified == LA_JWT_VERIFIED;
    }
    switch (answer) {
    case LA_REMOTE_DOC_CURRENT:
        return 0;
    case LA_REMOTE_DOC_RECENT:
        return ask_later(c, "its key is not in the key set, which was fetched a moment ago");
    case LA_REMOTE_DOC_BUSY:
        return ask_later(c, "its key is not in the key set, which is being fetched");
    case LA_REMOTE_DOC_FAILED:
        break;
    }
    /* Without the key's name: the log tells an outage once for each reason, and strangers choose
     * names. */
    return give_up(c, "its key is not in the key set, and fetching a newer one failed");
}

/* Whether the signature is right, by the current keys or by newer ones; else the result is set. */
static int is_signed(const token_check_t *c)
{
    la_jwt_verified_e verified;

    if (c->keys->document) {
        (void)la_remote_doc_ensure(c->keys->document,
                                   c->pool); /* try_keys() sees what came of it */
    }
    verified = try_keys(c);
    return verified == LA_JWT_UNKNOWN_KEY && c->keys->document ? try_newer_keys(c)
                                                               : verified == LA_JWT_VERIFIED;
}

/* ---- the claims ---- */

/* Decides about a token whose signature is right. */
static void check_claims(const token_check_t *c)
{
    const jwt_conf_t *conf = c->provider->conf;
    const la_provider_common_t *common = &c->provider->common;
    la_claims_t claims = {.first = c->jwt.claims};
    la_validity_terms_t terms = {.now = c->call->now,
                                 .leeway_us = conf->leeway_us,
                                 .audiences = c->call->resource ? conf->audiences : conf->elsewhere,
                                 .resource = c->call->resource,
                                 .issuer = conf->expect_issuer,
                                 .require_exp = conf->require_exp};
    const char *error = la_validity_check(c->pool, c->jwt.claims, &terms, &c->result->expires);

    if (!error) {
        error = la_claims_identity(&claims, common->principal_claims, common->claims, c->pool,
                                   &c->result->identity);
    }
    if (error) {
        refuse(c, LA_VERDICT_REJECTED, error);
    } else {
        c->result->verdict = LA_VERDICT_ACCEPTED;
    }
}

static void jwt_verify(const la_provider_t *provider, const la_call_t *call, apr_pool_t *pool,
                       la_result_t *result)
{
    token_check_t c = {.provider = provider,
                       .call = call,
                       .pool = pool,
                       .keys = provider->child->state,
                       .result = result};

    /* For what is refused before any key is asked for. */
    result->epoch = jwt_epoch(provider, call->now);
    if (is_ours(&c) && is_signed(&c)) {
        check_claims(&c);
    }
}

const la_provider_type_t la_jwt_type = {
    .name = "jwt",
    .options = jwt_options,
    .conf_bytes = sizeof(jwt_conf_t),
    .calls_out = 1,
    .judges_alone = 1,
    .can_bind = 1,
    .checks_audience = 1,
    .cache_vary = &la_vary_nothing,
    .claims = la_oauth_claims,
    .principal_claims = la_oauth_principal_claims,
    .shared_bytes = la_remote_doc_bytes,
    .defaults = jwt_defaults,
    .finish = jwt_finish,
    .child_init = jwt_child_init,
    .verify = jwt_verify,
    .epoch = jwt_epoch,
    .algorithms = jwt_algorithms,
    .tick = jwt_tick,
};

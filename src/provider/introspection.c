/* The `introspection` provider: an OAuth2 server is asked about each token (RFC 7662). Owns its
 * options, how the module shows who it is, and the verdict on the answer; times, audience and
 * issuer are judged by core's validity.c, and where an Issuer's endpoint is, is found ahead of need
 * by discovery.c and kept for all processes by remote_doc.c.
 *
 * Options and finish run while the configuration is read; verify in any request thread, under a
 * permit of the provider's gate; fetch under the one of its document's gate.
 */
#include "provider/provider.h"

#include "access/claims.h"
#include "base/clock.h"
#include "base/json.h"
#include "access/validity.h"
#include "provider/discovery.h"
#include "provider/remote_doc.h"
#include "io/secret.h"
#include "io/server.h"

#include <stddef.h>
#include <string.h>

#include <apr_base64.h>
#include <apr_escape.h>
#include <apr_lib.h>
#include <apr_strings.h>

/* Messages to the client, as the specification words them. */
#define MESSAGE_INACTIVE  "Token not active"
#define MESSAGE_MALFORMED "Token introspection error"

/* How old a discovered endpoint may get. */
#define DISCOVERY_REFRESH_US (3600 * APR_USEC_PER_SEC)

/* Bytes of a kind of token that are looked at, with the NUL: what is longer is none that is known.
 */
#define KIND_BYTES 16

/* How the module shows who it is (RFC 6749 section 2.3.1, RFC 7662 section 2.1). */
typedef enum auth_e { AUTH_BASIC, AUTH_POST, AUTH_BEARER, AUTH_NONE } auth_e;

typedef struct introspection_conf_t {
    la_url_t endpoint;
    la_url_t issuer;
    const char *client_id;
    la_secret_t *client_secret;
    auth_e auth;
    apr_array_header_t *audiences; /* of const char *; NULL: none is demanded */
    const char *expect_issuer; /* must be there; NULL: the Issuer, where the answer has an `iss` */
    apr_interval_time_t leeway_us;
    la_remote_doc_source_t source; /* of the endpoint's URL, where only the Issuer is known */
    const char *hint;
    const char *public_issuer; /* what RFC 9728 calls an authorization server, or NULL */
} introspection_conf_t;

/* ---- options ---- */

static const char *parse_auth(apr_pool_t *pool, const la_option_t *option, void *base, int count,
                              const char *const *words)
{
    static const char *const names[] = {[AUTH_BASIC] = "basic",
                                        [AUTH_POST] = "post",
                                        [AUTH_BEARER] = "bearer",
                                        [AUTH_NONE] = "none"};
    auth_e *auth = (void *)((char *)base + option->offset);
    apr_size_t i;

    (void)count;
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcasecmp(words[0], names[i]) == 0) {
            *auth = (auth_e)i;
            return NULL;
        }
    }
    return apr_psprintf(pool, "'%s' is none of basic, post, bearer, none", words[0]);
}

#define CONF(field) offsetof(introspection_conf_t, field)

static const la_option_t introspection_options[] = {
    {"Endpoint", la_option_url, CONF(endpoint), 1, 1, 0, "URL"},
    {"Issuer", la_discovery_issuer_option, CONF(issuer), 1, 1, 0, "URL"},
    {"ClientId", la_option_word, CONF(client_id), 1, 1, 0, "ID"},
    {"ClientSecret", la_option_secret, CONF(client_secret), 1, 1, 0, "SECRET"},
    {"ClientAuth", parse_auth, CONF(auth), 1, 1, 0, "basic|post|bearer|none"},
    {"Audience", la_option_words, CONF(audiences), 1, -1, 0, "AUD..."},
    {"ExpectIssuer", la_option_word, CONF(expect_issuer), 1, 1, 0, "ISS"},
    {"Leeway", la_option_duration, CONF(leeway_us), 1, 1, 0, "DURATION"},
    LA_OPTION_END};

/* ---- the section's end, and the process's beginning ---- */

/* Whether the module has what it needs to show who it is, and nothing that it would not show. */
static const char *check_credentials(const introspection_conf_t *conf)
{
    switch (conf->auth) {
    case AUTH_BASIC:
    case AUTH_POST:
        if (!conf->client_id || !conf->client_secret) {
            return "ClientId and ClientSecret are needed; an endpoint that asks for neither has "
                   "ClientAuth none";
        }
        return NULL;
    case AUTH_BEARER:
        if (!conf->client_secret) {
            return "ClientAuth bearer needs ClientSecret";
        }
        return conf->client_id ? "ClientAuth bearer has no use for ClientId" : NULL;
    case AUTH_NONE:
        return conf->client_secret ? "ClientAuth none has no use for ClientSecret" : NULL;
    }
    return "ClientAuth is unknown";
}

/* The document's fetch: the endpoint's URL is the document. */
static const char *fetch(const la_provider_t *provider, apr_pool_t *pool, la_slice_t *bytes)
{
    const introspection_conf_t *conf = provider->conf;
    const char *url;
    const char *error =
        la_discovery_find(provider->child->http, conf->issuer.url, "introspection_endpoint",
                          la_clock_us() + provider->common.http.timeout_us, pool, &url);

    *bytes = error ? LA_SLICE("") : la_slice_of(url);
    return error;
}

/* What others are told of who judges the tokens. */
static void introduce(introspection_conf_t *conf, apr_pool_t *pool)
{
    const char *issuer = conf->issuer.url ? conf->issuer.url : conf->expect_issuer;
    const char *authority;

    conf->hint = apr_pstrcat(
        pool, "Authentication required. Please provide a valid OAuth2 Bearer token ",
        issuer ? "from " : "validated by ", issuer ? issuer : conf->endpoint.authority, NULL);
    if (issuer) {
        conf->public_issuer = la_discovery_issuer_check(pool, issuer, &authority) ? NULL : issuer;
    }
}

static const char *introspection_finish(la_provider_t *provider, apr_pool_t *pool)
{
    introspection_conf_t *conf = provider->conf;
    const char *error = check_credentials(conf);

    if (!conf->endpoint.url && !conf->issuer.url) {
        return "Endpoint or Issuer is missing";
    }
    if (error) {
        return error;
    }
    introduce(conf, pool);
    conf->source = (la_remote_doc_source_t){.fetch = fetch,
                                            .refresh_us = DISCOVERY_REFRESH_US,
                                            .what = "the introspection endpoint's URL"};
    la_provider_warn_of_plain_http(provider, conf->endpoint.url ? "Endpoint" : "Issuer",
                                   conf->endpoint.url ? &conf->endpoint : &conf->issuer);
    return NULL;
}

static apr_status_t introspection_child_init(const la_provider_t *provider, apr_pool_t *pchild,
                                             void **state)
{
    const introspection_conf_t *conf = provider->conf;

    if (!conf->endpoint.url) {
        *state = la_remote_doc_attach(provider, &conf->source, pchild);
    }
    return APR_SUCCESS;
}

static void introspection_tick(const la_provider_t *provider, apr_pool_t *scratch)
{
    if (provider->child->state) {
        la_remote_doc_tick(provider->child->state, scratch);
    }
}

static const char *introspection_hint(const la_provider_t *provider, apr_pool_t *pool)
{
    const introspection_conf_t *conf = provider->conf;

    (void)pool;
    return conf->hint;
}

static const char *introspection_issuer(const la_provider_t *provider)
{
    const introspection_conf_t *conf = provider->conf;

    return conf->public_issuer;
}

/* ---- the question ---- */

/* As application/x-www-form-urlencoded has it. */
static const char *encode(apr_pool_t *pool, const char *text)
{
    return apr_pescape_urlencoded(pool, text);
}

static const char *basic(apr_pool_t *pool, const char *id, const char *secret)
{
    const char *pair = apr_pstrcat(pool, encode(pool, id), ":", encode(pool, secret), NULL);
    int len = (int)strlen(pair);
    char *text = apr_palloc(pool, (apr_size_t)apr_base64_encode_len(len));

    apr_base64_encode_binary(text, (const unsigned char *)pair, len);
    return apr_pstrcat(pool, "Basic ", text, NULL);
}

/* Adds what shows who asks to the fields, or returns it to be added to the body. */
static const char *authenticate(const introspection_conf_t *conf, const la_call_t *call,
                                apr_table_t *headers, apr_pool_t *pool)
{
    const char *secret =
        conf->client_secret ? la_secret_get(conf->client_secret, call->now, pool) : "";

    switch (conf->auth) {
    case AUTH_BASIC:
        apr_table_setn(headers, "Authorization", basic(pool, conf->client_id, secret));
        return "";
    case AUTH_POST:
        return apr_pstrcat(pool, "&client_id=", encode(pool, conf->client_id),
                           "&client_secret=", encode(pool, secret), NULL);
    case AUTH_BEARER:
        apr_table_setn(headers, "Authorization", apr_pstrcat(pool, "Bearer ", secret, NULL));
        return "";
    case AUTH_NONE:
        return conf->client_id
                   ? apr_pstrcat(pool, "&client_id=", encode(pool, conf->client_id), NULL)
                   : "";
    }
    return "";
}

/* Where to ask; NULL while nobody knows. */
static const char *endpoint_of(const la_provider_t *provider, apr_pool_t *pool)
{
    const introspection_conf_t *conf = provider->conf;
    la_remote_doc_t *document = provider->child->state;
    apr_uint64_t version;
    la_slice_t url;

    if (conf->endpoint.url) {
        return conf->endpoint.url;
    }
    (void)la_remote_doc_ensure(document, pool); /* what came of it, the next line sees */
    return la_remote_doc_read(document, pool, &url, &version) ? url.data : NULL;
}

static void ask(const la_provider_t *provider, const la_call_t *call, const char *url,
                apr_time_t deadline_us, apr_pool_t *pool, la_http_response_t *response)
{
    apr_table_t *headers = apr_table_make(pool, 4);
    const char *token = encode(pool, apr_pstrmemdup(pool, call->token.data, call->token.len));
    la_http_request_t request = {
        .method = "POST", .url = url, .headers = headers, .deadline_us = deadline_us};
    const char *credentials = authenticate(provider->conf, call, headers, pool);
    const char *body =
        apr_pstrcat(pool, "token=", token, "&token_type_hint=access_token", credentials, NULL);

    apr_table_setn(headers, "Content-Type", "application/x-www-form-urlencoded");
    apr_table_setn(headers, "Accept", "application/json");
    request.body = la_slice_of(body);
    la_http_call(provider->child->http, &request, pool, response);
}

/* ---- the verdict ---- */

static void malformed(la_result_t *result, const char *reason)
{
    la_result_set(result, LA_VERDICT_UNAVAILABLE, MESSAGE_MALFORMED, reason);
}

static void inactive(la_result_t *result, const char *reason)
{
    la_result_set(result, LA_VERDICT_REJECTED, MESSAGE_INACTIVE, reason);
}

/* Only JSON true is active: "true", 1 and null are not. */
static int is_active(const la_json_t *answer)
{
    const la_json_t *member;
    int active = 0;

    return la_json_member(answer, "active", &member) && la_json_boolean(member, &active) && active;
}

/* Who the caller is. Returns NULL, or what is malformed. */
static const char *read_claims(const la_provider_common_t *common, const la_json_t *answer,
                               la_identity_builder_t *builder, apr_pool_t *pool)
{
    la_claims_t claims = {answer, NULL};
    int found;
    const char *error =
        la_claims_principal(&claims, common->principal_claims, builder, pool, &found);

    la_claims_map(&claims, common->claims, builder, pool);
    return error || found ? error : "no member names the principal";
}

/* The letters of a kind of token, in lower case: "refresh_token" and "Refresh" differ in nothing
 * else. A URN's last part counts. */
static void shorten_kind(la_slice_t text, char kind[KIND_BYTES])
{
    apr_size_t len = 0;
    apr_size_t i;

    for (i = 0; i < text.len && len < KIND_BYTES - 1; i++) {
        if (text.data[i] == ':') {
            len = 0;
        } else if (apr_isalpha(text.data[i])) {
            kind[len++] = (char)apr_tolower(text.data[i]);
        }
    }
    kind[len] = '\0';
}

/* Whether the answer calls the token one that is no access token: `token_use`, `token_type`, and
 * Keycloak's `typ`. Some servers call those active. Returns NULL, or why the token is refused. */
static const char *check_kind(const la_json_t *answer)
{
    static const char *const members[] = {"token_use", "token_type", "typ"};
    static const char *const others[] = {"refresh",      "refreshtoken", "offline",
                                         "offlinetoken", "id",           "idtoken"};
    char kind[KIND_BYTES];
    apr_size_t i;
    apr_size_t j;

    for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        const la_json_t *member;
        la_slice_t text;

        if (!la_json_member(answer, members[i], &member) || !la_json_string(member, &text)) {
            continue;
        }
        shorten_kind(text, kind);
        for (j = 0; j < sizeof(others) / sizeof(others[0]); j++) {
            if (strcmp(kind, others[j]) == 0) {
                return "it is a refresh, offline or ID token, and no access token";
            }
        }
    }
    return NULL;
}

/* Judges what is said of an active token. */
static void judge_active(const la_provider_t *provider, const la_call_t *call,
                         const la_json_t *answer, apr_pool_t *pool, la_result_t *result)
{
    const introspection_conf_t *conf = provider->conf;
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    la_validity_terms_t terms = {.now = call->now,
                                 .leeway_us = conf->leeway_us,
                                 .audiences = conf->audiences,
                                 .resource = call->resource,
                                 .issuer =
                                     conf->expect_issuer ? conf->expect_issuer : conf->issuer.url,
                                 .issuer_optional = !conf->expect_issuer,
                                 .null_is_absent = 1};
    const char *error = check_kind(answer);

    error = error ? error : la_validity_check(pool, answer, &terms, &result->expires);
    if (error) {
        inactive(result, error);
        return;
    }
    error = read_claims(&provider->common, answer, builder, pool);
    if (!error && la_identity_build(builder, pool, &result->identity) != APR_SUCCESS) {
        error = "the identity is too large";
    }
    if (error) {
        la_result_set_unusable(result, MESSAGE_MALFORMED,
                               apr_pstrcat(pool, "in the answer ", error, NULL));
    } else {
        result->verdict = LA_VERDICT_ACCEPTED;
    }
}

static void judge_body(const la_provider_t *provider, const la_call_t *call, la_slice_t body,
                       apr_pool_t *pool, la_result_t *result)
{
    const la_json_t *answer;
    const char *error = la_json_parse(pool, body, &answer);

    if (error) {
        malformed(result, apr_psprintf(pool, "the answer is not JSON: %s", error));
    } else if (la_json_type(answer) != LA_JSON_OBJECT) {
        malformed(result, "the answer is not a JSON object");
    } else if (!is_active(answer)) {
        inactive(result, "active is not true");
    } else {
        judge_active(provider, call, answer, pool, result);
    }
}

/* RFC 7009 section 2.2.1: a server that introspects no tokens of this kind says so with an error.
 */
static int is_unsupported_type(apr_pool_t *pool, const la_http_response_t *response)
{
    const la_json_t *answer;
    const la_json_t *member;
    la_slice_t text;

    return response->status == 400 && !la_json_parse(pool, response->body, &answer) &&
           la_json_member(answer, "error", &member) && la_json_string(member, &text) &&
           la_slice_is(text, "unsupported_token_type");
}

static const char *status_reason(apr_pool_t *pool, int status)
{
    return status == 401 || status == 403
               ? apr_psprintf(
                     pool,
                     "the endpoint answered %d to our own credentials: ClientId, ClientSecret or "
                     "ClientAuth is wrong, or this client may not introspect tokens",
                     status)
               : apr_psprintf(pool, "the endpoint answered %d", status);
}

static void judge_answer(const la_provider_t *provider, const la_call_t *call,
                         const la_http_response_t *response, apr_pool_t *pool, la_result_t *result)
{
    if (response->status == 200) {
        judge_body(provider, call, response->body, pool, result);
    } else if (is_unsupported_type(pool, response)) {
        inactive(result, "the endpoint does not support this type of token");
    } else {
        la_result_set(result, LA_VERDICT_UNAVAILABLE,
                      apr_psprintf(pool, "Token introspection failed: %d", response->status),
                      status_reason(pool, response->status));
    }
}

/* Finding the endpoint counts: others wait for this verdict, and not longer than for one call. */
static void introspection_verify(const la_provider_t *provider, const la_call_t *call,
                                 apr_pool_t *pool, la_result_t *result)
{
    apr_time_t deadline_us = la_clock_us() + provider->common.http.timeout_us;
    const char *url = endpoint_of(provider, pool);
    la_http_response_t response;

    if (!url) {
        la_result_set(result, LA_VERDICT_UNAVAILABLE, LA_MESSAGE_ERROR,
                      "the issuer's introspection endpoint is not known yet");
        return;
    }
    ask(provider, call, url, deadline_us, pool, &response);
    la_result_take_call(result, &response);
    if (response.outcome == LA_HTTP_ANSWERED) {
        judge_answer(provider, call, &response, pool, result);
    } else {
        la_result_set_failed(result, &response);
    }
}

static const char *const principal_claims[] = {"sub", "username", "client_id", NULL};

const la_provider_type_t la_introspection_type = {
    .name = "introspection",
    .options = introspection_options,
    .conf_bytes = sizeof(introspection_conf_t),
    .calls_out = 1,
    .checks_audience = 1,
    .cache_vary = &la_vary_nothing,
    .claims = la_oauth_claims,
    .principal_claims = principal_claims,
    .shared_bytes = la_remote_doc_bytes,
    .finish = introspection_finish,
    .child_init = introspection_child_init,
    .verify = introspection_verify,
    .hint = introspection_hint,
    .tick = introspection_tick,
    .issuer = introspection_issuer,
};

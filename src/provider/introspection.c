/* The `introspection` provider: asks an OAuth2 server about each token (RFC 7662). If only the
 * Issuer is configured, discovery.c finds the endpoint ahead of need and remote_doc.c keeps its URL
 * for all processes. */
#include "provider/answer.h"

#include "access/claims.h"
#include "access/validity.h"
#include "base/clock.h"
#include "provider/discovery.h"
#include "provider/remote_doc.h"
#include "io/secret.h"

#include <stddef.h>
#include <string.h>

#include <apr_base64.h>
#include <apr_escape.h>
#include <apr_lib.h>
#include <apr_strings.h>

#define MESSAGE_INACTIVE  "Token not active"
#define MESSAGE_MALFORMED "Token introspection error"

/* How long a discovered endpoint is used. */
#define DISCOVERY_REFRESH_US (3600 * APR_USEC_PER_SEC)

/* Bytes of a kind of token, with the NUL; a longer one is unknown. */
#define KIND_BYTES 16

/* How we authenticate to the server (RFC 6749 section 2.3.1, RFC 7662 section 2.1), in the order of
 * the option's help. */
typedef enum auth_e { AUTH_BASIC, AUTH_POST, AUTH_BEARER, AUTH_NONE } auth_e;

typedef struct introspection_conf_t {
    la_url_t endpoint;
    la_url_t issuer;
    const char *client_id;
    la_secret_t *client_secret;
    auth_e auth;
    apr_array_header_t *audiences; /* of const char *; NULL: any will do */
    const char *expect_issuer;     /* must be there; NULL: the Issuer, if the answer has an `iss` */
    apr_interval_time_t leeway_us;
    la_remote_doc_source_t source; /* of the endpoint's URL, if only the Issuer is known */
} introspection_conf_t;

/* ---- options ---- */

#define CONF(field) offsetof(introspection_conf_t, field)

static const la_option_t introspection_options[] = {
    {"Endpoint", la_option_url, CONF(endpoint), 1, 1, 0, "URL"},
    {"Issuer", la_discovery_issuer_option, CONF(issuer), 1, 1, 0, "URL"},
    {"ClientId", la_option_word, CONF(client_id), 1, 1, 0, "ID"},
    {"ClientSecret", la_option_secret, CONF(client_secret), 1, 1, 0, "SECRET"},
    {"ClientAuth", la_option_choice, CONF(auth), 1, 1, 0, "basic|post|bearer|none"},
    {"Audience", la_option_words, CONF(audiences), 1, -1, 0, "AUD..."},
    {"ExpectIssuer", la_option_word, CONF(expect_issuer), 1, 1, 0, "ISS"},
    {"Leeway", la_option_duration, CONF(leeway_us), 1, 1, 0, "DURATION"},
    LA_OPTION_END};

/* ---- the section's end, and the process's beginning ---- */

/* Checks that we have the credentials that ClientAuth sends, and no others. */
static const char *check_credentials(const introspection_conf_t *conf)
{
    if (conf->auth == AUTH_NONE) {
        return conf->client_secret ? "ClientAuth none has no use for ClientSecret" : NULL;
    }
    if (conf->auth == AUTH_BEARER) {
        return !conf->client_secret ? "ClientAuth bearer needs ClientSecret"
               : conf->client_id    ? "ClientAuth bearer has no use for ClientId"
                                    : NULL;
    }
    return conf->client_id && conf->client_secret
               ? NULL
               : "ClientId and ClientSecret are needed; an endpoint that asks for neither has "
                 "ClientAuth none";
}

/* Fetches the document, which is the endpoint's URL. */
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
    la_provider_set_issuer(provider, conf->issuer.url ? conf->issuer.url : conf->expect_issuer,
                           apr_pstrcat(pool, "validated by ", conf->endpoint.authority, NULL),
                           pool);
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

/* ---- the question ---- */

static const char *make_basic(apr_pool_t *pool, const char *id, const char *secret)
{
    const char *pair = apr_pstrcat(pool, apr_pescape_urlencoded(pool, id), ":",
                                   apr_pescape_urlencoded(pool, secret), NULL);
    int len = (int)strlen(pair);
    char *text = apr_palloc(pool, (apr_size_t)apr_base64_encode_len(len));

    apr_base64_encode_binary(text, (const unsigned char *)pair, len);
    return apr_pstrcat(pool, "Basic ", text, NULL);
}

/* Adds our credentials to the fields, or returns them for the body. */
static const char *add_credentials(const introspection_conf_t *conf, apr_time_t now,
                                   apr_table_t *headers, apr_pool_t *pool)
{
    const char *secret = conf->client_secret ? la_secret_get(conf->client_secret, now, pool) : "";
    const char *id = conf->client_id ? apr_pescape_urlencoded(pool, conf->client_id) : NULL;

    switch (conf->auth) {
    case AUTH_BASIC:
        apr_table_setn(headers, "Authorization", make_basic(pool, conf->client_id, secret));
        return "";
    case AUTH_POST:
        return apr_pstrcat(pool, "&client_id=", id,
                           "&client_secret=", apr_pescape_urlencoded(pool, secret), NULL);
    case AUTH_BEARER:
        apr_table_setn(headers, "Authorization", apr_pstrcat(pool, "Bearer ", secret, NULL));
        return "";
    case AUTH_NONE:
        return id ? apr_pstrcat(pool, "&client_id=", id, NULL) : "";
    }
    return "";
}

/* The endpoint's URL; NULL while nobody has found it. */
static const char *find_endpoint(const la_provider_t *provider, apr_pool_t *pool)
{
    const introspection_conf_t *conf = provider->conf;
    la_remote_doc_t *document = provider->child->state;
    apr_uint64_t version;
    la_slice_t url;

    if (conf->endpoint.url) {
        return conf->endpoint.url;
    }
    (void)la_remote_doc_ensure(document, pool);
    return la_remote_doc_read(document, pool, &url, &version) ? url.data : NULL;
}

static int ask(la_answer_t *answer, const char *url, apr_time_t deadline_us)
{
    apr_pool_t *pool = answer->pool;
    la_slice_t token = answer->call->token;
    apr_table_t *headers = apr_table_make(pool, 4);
    const char *credentials =
        add_credentials(answer->provider->conf, answer->call->now, headers, pool);
    const char *body = apr_pstrcat(
        pool, "token=", apr_pescape_urlencoded(pool, apr_pstrmemdup(pool, token.data, token.len)),
        "&token_type_hint=access_token", credentials, NULL);
    la_http_request_t request = {.method = "POST",
                                 .url = url,
                                 .headers = headers,
                                 .body = la_slice_of(body),
                                 .deadline_us = deadline_us};

    apr_table_setn(headers, "Content-Type", "application/x-www-form-urlencoded");
    apr_table_setn(headers, "Accept", "application/json");
    return la_answer_ask(answer, &request, pool);
}

/* ---- the verdict ---- */

/* Checks `active`: "true", 1 and null are not true. Returns NULL, or why the token is refused. */
static const char *check_active(const la_answer_t *answer, const la_json_t *document)
{
    const la_json_t *member;
    int active = 0;

    if (!la_json_member(document, "active", &member)) {
        return apr_pstrcat(answer->pool, "active is missing, expected true",
                           la_answer_quote(answer, document), NULL);
    }
    if (!la_json_boolean(member, &active)) {
        return la_claims_wrong_kind(answer->pool, "active", member, "true");
    }
    return active ? NULL : "active is false, expected true";
}

/* Copies the letters of a kind of token, in lower case: "refresh_token" and "Refresh" mean the
 * same, and so does a URN that ends so. */
static void shorten_kind(la_slice_t text, char kind[KIND_BYTES])
{
    apr_size_t len = 0;

    for (apr_size_t i = 0; i < text.len && len < KIND_BYTES - 1; i++) {
        if (text.data[i] == ':') {
            len = 0;
        } else if (apr_isalpha(text.data[i])) {
            kind[len++] = (char)apr_tolower(text.data[i]);
        }
    }
    kind[len] = '\0';
}

static int is_other_kind(la_slice_t text)
{
    static const char *const others[] = {"refresh",      "refreshtoken", "offline",
                                         "offlinetoken", "id",           "idtoken"};
    char kind[KIND_BYTES];

    shorten_kind(text, kind);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (strcmp(kind, others[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Checks that the answer does not call the token a refresh, offline or ID token, which some servers
 * call active: `token_use`, `token_type`, and Keycloak's `typ`. Returns NULL, or why it is refused.
 */
static const char *check_kind(apr_pool_t *pool, const la_json_t *document)
{
    static const char *const members[] = {"token_use", "token_type", "typ"};

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        la_slice_t text;

        if (la_json_string(la_json_get(document, members[i]), &text) && is_other_kind(text)) {
            return apr_pstrcat(pool, members[i], " is ", la_json_quoted(pool, text),
                               ", expected an access token", NULL);
        }
    }
    return NULL;
}

/* Checks that the answer tells the key of a token that it says is one for DPoP (RFC 9449 section
 * 6.2): a server that leaves `cnf` out must not make a bearer token of it. Returns NULL, or why it
 * is refused. */
static const char *check_bound(const la_provider_t *provider, const la_json_t *document)
{
    la_confirmation_t confirmation;
    la_slice_t type;

    if (provider->common.binding == LA_BINDING_IGNORE ||
        la_confirmation_read(document, 1, &confirmation) ||
        !la_json_string(la_json_get(document, "token_type"), &type)) {
        return NULL;
    }
    return type.len == 4 && strncasecmp(type.data, "DPoP", 4) == 0
               ? "token_type is DPoP, expected a cnf with the key that the token is bound to"
               : NULL;
}

/* Returns NULL, or why the token may not be used here and now. */
static const char *check_claims(const la_answer_t *answer, const la_json_t *document)
{
    const introspection_conf_t *conf = answer->provider->conf;
    const char *issuer = conf->expect_issuer ? conf->expect_issuer : conf->issuer.url;
    la_validity_terms_t terms = {.now = answer->call->now,
                                 .leeway_us = conf->leeway_us,
                                 .audiences = conf->audiences,
                                 .resource = answer->call->resource,
                                 .issuer = issuer,
                                 .issuer_optional = !conf->expect_issuer,
                                 .null_is_absent = 1};
    const char *error = check_active(answer, document);

    error = error ? error : check_kind(answer->pool, document);
    error = error ? error : check_bound(answer->provider, document);
    return error ? error
                 : la_validity_check(answer->pool, document, &terms, &answer->result->expires);
}

static void judge_body(la_answer_t *answer)
{
    const la_provider_common_t *common = &answer->provider->common;
    const la_json_t *document = la_answer_parse(answer, LA_JSON_OBJECT, answer->pool);
    const char *error;

    if (!document) {
        return;
    }
    error = check_claims(answer, document);
    if (error) {
        la_result_set(answer->result, LA_VERDICT_REJECTED, MESSAGE_INACTIVE, error);
    } else {
        la_claims_t claims = {.first = document, .null_is_absent = 1};

        la_answer_conclude(answer,
                           la_claims_identity(&claims, common->principal_claims, common->claims,
                                              answer->pool, &answer->result->identity));
    }
}

/* Whether the server says that it introspects no tokens of this kind (RFC 7009 section 2.2.1). */
static int is_unsupported_type(const la_answer_t *answer)
{
    const la_json_t *body;
    la_slice_t text;

    return answer->response.status == 400 &&
           !la_json_parse(answer->pool, answer->response.body, &body) &&
           la_json_string(la_json_get(body, "error"), &text) &&
           la_slice_is(text, "unsupported_token_type");
}

static void judge_answer(la_answer_t *answer)
{
    int status = answer->response.status;

    if (status == 200) {
        judge_body(answer);
    } else if (is_unsupported_type(answer)) {
        la_answer_set_status(answer, LA_VERDICT_REJECTED, MESSAGE_INACTIVE,
                             ": unsupported_token_type");
    } else {
        la_answer_set_status(
            answer, LA_VERDICT_UNAVAILABLE,
            apr_psprintf(answer->pool, "Token introspection failed: %d", status),
            status == 401 || status == 403
                ? " to our own credentials: ClientId, ClientSecret or ClientAuth is wrong, or this "
                  "client may not introspect tokens"
                : "");
    }
}

/* The time to find the endpoint counts too, because others wait for this verdict no longer than for
 * one call. */
static void introspection_verify(const la_provider_t *provider, const la_call_t *call,
                                 apr_pool_t *pool, la_result_t *result)
{
    la_answer_t answer = {provider, call, pool, result, .malformed = MESSAGE_MALFORMED};
    apr_time_t deadline_us = la_clock_us() + provider->common.http.timeout_us;
    const char *url = find_endpoint(provider, pool);

    if (!url) {
        la_result_set(result, LA_VERDICT_UNAVAILABLE, LA_MESSAGE_ERROR,
                      "the issuer's introspection endpoint is not known yet");
    } else if (ask(&answer, url, deadline_us)) {
        judge_answer(&answer);
    }
}

const la_provider_type_t la_introspection_type = {
    .name = "introspection",
    .options = introspection_options,
    .conf_bytes = sizeof(introspection_conf_t),
    .calls_out = 1,
    .can_bind = 1,
    .checks_audience = 1,
    .cache_vary = &la_vary_nothing,
    .claims = la_oauth_claims,
    .principal_claims = la_oauth_principal_claims,
    .shared_bytes = la_remote_doc_bytes,
    .finish = introspection_finish,
    .child_init = introspection_child_init,
    .verify = introspection_verify,
    .tick = introspection_tick,
};

/* The `kubernetes` provider: asks the cluster's API server (API group authentication.k8s.io/v1) who
 * a token belongs to: by a TokenReview with a reviewer's token, or by a SelfSubjectReview with the
 * caller's own. */
#include "provider/answer.h"

#include "access/claims.h"
#include "access/validity.h"
#include "base/base64url.h"
#include "io/secret.h"

#include <stddef.h>
#include <string.h>

#include <apr_file_info.h>
#include <apr_strings.h>

/* Where a pod finds the credentials of its service account; tests use another place. */
#ifndef LA_POD_DIRECTORY
#define LA_POD_DIRECTORY "/var/run/secrets/kubernetes.io/serviceaccount"
#endif
#define POD_TOKEN LA_POD_DIRECTORY "/token"
#define POD_CA    LA_POD_DIRECTORY "/ca.crt"

#define DEFAULT_SERVER   "https://kubernetes.default.svc"
#define API              "/apis/authentication.k8s.io/v1"
#define MESSAGE_REJECTED "Invalid or expired token"

/* The API server's user for requests without credentials. */
#define ANONYMOUS "system:anonymous"

/* In the order of the option's help. */
typedef enum review_e { REVIEW_TOKEN, REVIEW_SELF } review_e;

typedef struct kubernetes_conf_t {
    la_url_t server;
    review_e review;
    la_secret_t *reviewer;         /* NULL with REVIEW_SELF */
    apr_array_header_t *audiences; /* of const char *; NULL: the API server's own */
    const char *url;               /* of the review */
} kubernetes_conf_t;

/* ---- options ---- */

#define CONF(field) offsetof(kubernetes_conf_t, field)

static const la_option_t kubernetes_options[] = {
    {"ApiServer", la_option_base_url, CONF(server), 1, 1, 0, "URL"},
    {"Review", la_option_choice, CONF(review), 1, 1, 0, "token|self"},
    {"ReviewerToken", la_option_secret, CONF(reviewer), 1, 1, 0, "SECRET"},
    {"Audience", la_option_words, CONF(audiences), 1, -1, 0, "AUD..."},
    LA_OPTION_END};

/* Refuses options that a self review would ignore, and a client certificate: the API server would
 * take its user for the caller, whatever the token is. */
static const char *check_self(const kubernetes_conf_t *conf, const la_http_options_t *http)
{
    if (conf->reviewer) {
        return "ReviewerToken needs Review token";
    }
    if (conf->audiences) {
        return "Audience needs Review token: a self review does not tell the token's audiences";
    }
    if (http->tls_cert_file) {
        return "TLSCertFile needs Review token: a self review would tell the certificate's user, "
               "whatever the token";
    }
    return NULL;
}

static const char *default_reviewer(kubernetes_conf_t *conf, apr_pool_t *pool)
{
    const char *error =
        conf->reviewer ? NULL : la_secret_make(pool, "file:" POD_TOKEN, &conf->reviewer);

    return error
               ? apr_pstrcat(pool, "ReviewerToken is missing, and the pod has none: ", error, NULL)
               : NULL;
}

/* In a pod the cluster's authority is trusted, elsewhere the system's are. */
static const char *default_authority(la_http_options_t *http, apr_pool_t *pool)
{
    static const la_option_t option = {.name = "TLSCAFile",
                                       .offset = offsetof(la_http_options_t, tls_ca_file)};
    const char *path = POD_CA;
    apr_finfo_t info;
    const char *error;

    if (http->tls_ca_file || apr_stat(&info, path, APR_FINFO_TYPE, pool) != APR_SUCCESS) {
        return NULL;
    }
    error = la_option_certificates(&(la_option_line_t){pool, &option, http, 1, &path});
    return error ? apr_pstrcat(pool, "TLSCAFile: ", error, NULL) : NULL;
}

static const char *kubernetes_finish(la_provider_t *provider, apr_pool_t *pool)
{
    kubernetes_conf_t *conf = provider->conf;
    la_http_options_t *http = &provider->common.http;
    int self = conf->review == REVIEW_SELF;
    const char *error = self ? check_self(conf, http) : default_reviewer(conf, pool);

    la_provider_warn_of_plain_http(provider, "ApiServer", &conf->server);
    conf->url = apr_pstrcat(pool, conf->server.url ? conf->server.url : DEFAULT_SERVER, API,
                            self ? "/selfsubjectreviews" : "/tokenreviews", NULL);
    return error ? error : default_authority(http, pool);
}

/* ---- the question ---- */

static la_slice_t token_review(const kubernetes_conf_t *conf, la_slice_t token, apr_pool_t *pool)
{
    la_json_writer_t writer;

    la_json_writer_init(&writer, pool);
    la_json_write_raw(&writer, LA_SLICE("{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":"
                                        "\"TokenReview\",\"spec\":{\"token\":"));
    la_json_write_string(&writer, token);
    for (int i = 0; conf->audiences && i < conf->audiences->nelts; i++) {
        la_json_write_raw(&writer, i > 0 ? LA_SLICE(",") : LA_SLICE(",\"audiences\":["));
        la_json_write_string(&writer, la_slice_of(APR_ARRAY_IDX(conf->audiences, i, const char *)));
    }
    la_json_write_raw(&writer, conf->audiences ? LA_SLICE("]}}") : LA_SLICE("}}"));
    return (la_slice_t){writer.data, writer.len};
}

static int ask(la_answer_t *answer)
{
    const kubernetes_conf_t *conf = answer->provider->conf;
    la_slice_t token = answer->call->token;
    apr_pool_t *pool = answer->pool;
    apr_table_t *headers = apr_table_make(pool, 4);
    la_http_request_t request = {.method = "POST", .url = conf->url, .headers = headers};
    const char *bearer;

    if (conf->review == REVIEW_SELF) {
        bearer = apr_pstrmemdup(pool, token.data, token.len);
        request.body = LA_SLICE(
            "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"SelfSubjectReview\"}");
    } else {
        bearer = la_secret_get(conf->reviewer, answer->call->now, pool);
        request.body = token_review(conf, token, pool);
    }
    apr_table_setn(headers, "Authorization", apr_pstrcat(pool, "Bearer ", bearer, NULL));
    apr_table_setn(headers, "Content-Type", "application/json");
    apr_table_setn(headers, "Accept", "application/json");
    return la_answer_ask(answer, &request, pool);
}

/* ---- the verdict ---- */

static void reject(const la_answer_t *answer, const char *reason)
{
    la_result_set(answer->result, LA_VERDICT_REJECTED, MESSAGE_REJECTED, reason);
}

/* Returns the reason for a member of the wrong kind. */
static const char *expected(const la_answer_t *answer, const char *name, const la_json_t *member,
                            const char *kind)
{
    return member ? la_claims_wrong_kind(answer->pool, name, member, kind)
                  : apr_pstrcat(answer->pool, name, " is missing, expected ", kind, NULL);
}

/* The `exp` of a token that is a JWT: the API server has verified it, but does not tell it. 0 if it
 * has none. */
static apr_time_t read_end(la_slice_t token, apr_pool_t *pool)
{
    const char *end = token.data + token.len;
    const char *payload = memchr(token.data, '.', token.len);
    const char *signature =
        payload ? memchr(payload + 1, '.', (apr_size_t)(end - payload - 1)) : NULL;
    const la_json_t *claims;
    la_slice_t json;
    double seconds;

    if (!signature ||
        !la_base64url_decode(pool, (la_slice_t){payload + 1, (apr_size_t)(signature - payload - 1)},
                             &json) ||
        la_json_parse(pool, json, &claims) ||
        !la_json_number(la_json_get(claims, "exp"), &seconds) || seconds > 1e12) {
        return 0;
    }
    return seconds < 1 ? 1 : (apr_time_t)(seconds * APR_USEC_PER_SEC);
}

/* Accepts the user that the API server named, unless that is the one for requests without
 * credentials. */
static void accept_user(const la_answer_t *answer, const la_json_t *user)
{
    const la_provider_common_t *common = &answer->provider->common;
    la_claims_t claims = {.first = user};
    la_slice_t name;

    if (la_json_string(la_json_get(user, "username"), &name) && la_slice_is(name, ANONYMOUS)) {
        reject(answer, "the API server calls the caller " ANONYMOUS);
        return;
    }
    answer->result->expires = read_end(answer->call->token, answer->pool);
    la_answer_conclude(answer, la_claims_identity(&claims, common->principal_claims, common->claims,
                                                  answer->pool, &answer->result->identity));
}

/* Whether the token is meant for an audience that was asked for. An API server that knows nothing
 * of audiences names none. Returns NULL, or why not. */
static const char *check_audiences(const la_answer_t *answer, const la_json_t *status)
{
    const kubernetes_conf_t *conf = answer->provider->conf;
    la_validity_terms_t terms = {.audiences = conf->audiences, .null_is_absent = 1};
    const la_json_t *audiences = la_json_get(status, "audiences");

    if (!conf->audiences) {
        return NULL;
    }
    return la_json_type(audiences) == LA_JSON_ARRAY
               ? la_validity_audience(answer->pool, "status.audiences", audiences, &terms)
               : expected(answer, "status.audiences", audiences, "a list");
}

/* `authenticated` is left out if it is false. */
static void judge_token_review(const la_answer_t *answer, const la_json_t *status)
{
    const la_json_t *member = la_json_get(status, "authenticated");
    const char *error;
    int authenticated;

    if (!la_json_boolean(member, &authenticated) && member) {
        la_answer_set_malformed(answer, la_claims_wrong_kind(answer->pool, "status.authenticated",
                                                             member, "a boolean"));
        return;
    }
    if (!authenticated) {
        reject(answer, apr_pstrcat(answer->pool, "status.authenticated is not true",
                                   la_answer_quote(answer, status), NULL));
        return;
    }
    error = check_audiences(answer, status);
    if (error) {
        reject(answer, error);
    } else {
        accept_user(answer, la_json_get(status, "user"));
    }
}

static void judge_body(la_answer_t *answer)
{
    const kubernetes_conf_t *conf = answer->provider->conf;
    const la_json_t *document = la_answer_parse(answer, LA_JSON_OBJECT, answer->pool);
    const la_json_t *status = la_json_get(document, "status");

    if (!document) {
        return;
    }
    if (la_json_type(status) != LA_JSON_OBJECT) { /* a failure's Status has a string there */
        la_answer_set_malformed(answer, expected(answer, "status", status, "an object"));
    } else if (conf->review == REVIEW_TOKEN) {
        judge_token_review(answer, status);
    } else {
        accept_user(answer, la_json_get(status, "userInfo"));
    }
}

/* What an administrator can do about a status. */
static const char *hint_of(review_e review, int status)
{
    if (review == REVIEW_TOKEN && status == 401) {
        return ": it does not accept ReviewerToken";
    }
    if (review == REVIEW_TOKEN && status == 403) {
        return ": RBAC does not let the reviewer create tokenreviews (cluster role "
               "system:auth-delegator)";
    }
    if (status == 403) {
        return ": RBAC does not let the caller create selfsubjectreviews (cluster role "
               "system:basic-user)";
    }
    return "";
}

static void kubernetes_verify(const la_provider_t *provider, const la_call_t *call,
                              apr_pool_t *pool, la_result_t *result)
{
    const kubernetes_conf_t *conf = provider->conf;
    la_answer_t answer = {provider, call, pool, result, .malformed = LA_MESSAGE_ERROR};
    int status;

    if (!ask(&answer)) {
        return;
    }
    status = answer.response.status;
    if (status == 201 || (status == 200 && conf->review == REVIEW_TOKEN)) {
        judge_body(&answer);
    } else if (status == 401 && conf->review == REVIEW_SELF) {
        la_answer_set_status(&answer, LA_VERDICT_REJECTED, MESSAGE_REJECTED, "");
    } else {
        la_answer_set_status(&answer, LA_VERDICT_UNAVAILABLE,
                             apr_psprintf(pool, "Token validation failed: %d", status),
                             hint_of(conf->review, status));
    }
}

static const la_claim_map_t kubernetes_claims[] = {{"username", "roles", LA_CLAIM_WHOLE},
                                                   {"groups", "teams", LA_CLAIM_WHOLE},
                                                   {NULL, NULL, LA_CLAIM_WHOLE}};

static const char *const kubernetes_principal[] = {"username", NULL};

const la_provider_type_t la_kubernetes_type = {
    .name = "kubernetes",
    .hint = "Authentication required. Please provide a valid Kubernetes service account token as a "
            "Bearer token",
    .options = kubernetes_options,
    .conf_bytes = sizeof(kubernetes_conf_t),
    .calls_out = 1,
    .cache_vary = &la_vary_nothing,
    .claims = kubernetes_claims,
    .principal_claims = kubernetes_principal,
    .finish = kubernetes_finish,
    .verify = kubernetes_verify,
};

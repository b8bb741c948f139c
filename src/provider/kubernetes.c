/* The `kubernetes` provider: the cluster's API server says who a token belongs to, by a TokenReview
 * under a reviewer's token or by a SelfSubjectReview under the caller's own (API group
 * authentication.k8s.io/v1). Owns the questions and the verdicts; the call is http.c's, the
 * reviewer's secret file.c's.
 *
 * Options and finish run while the configuration is read; verify in any request thread, on
 * a configuration that nobody changes.
 */
#include "provider/provider.h"

#include "base/base64url.h"
#include "access/claims.h"
#include "base/json.h"
#include "io/secret.h"

#include <stddef.h>
#include <string.h>

#include <apr_file_info.h>
#include <apr_strings.h>

/* Where a pod finds the credentials of its service account; tests have another place. */
#ifndef LA_POD_DIRECTORY
#define LA_POD_DIRECTORY "/var/run/secrets/kubernetes.io/serviceaccount"
#endif
#define POD_TOKEN LA_POD_DIRECTORY "/token"
#define POD_CA    LA_POD_DIRECTORY "/ca.crt"

#define DEFAULT_SERVER   "https://kubernetes.default.svc"
#define API              "/apis/authentication.k8s.io/v1"
#define MESSAGE_REJECTED "Invalid or expired token"

/* The user that requests without credentials have where the cluster allows them. */
#define ANONYMOUS "system:anonymous"

typedef enum review_e { REVIEW_TOKEN, REVIEW_SELF } review_e;

typedef struct kubernetes_conf_t {
    la_url_t server;
    review_e review;
    la_secret_t *reviewer;         /* NULL with REVIEW_SELF */
    apr_array_header_t *audiences; /* of const char *; NULL: the API server's own */
    const char *url;               /* of the review */
} kubernetes_conf_t;

/* ---- options ---- */

static const char *parse_review(apr_pool_t *pool, const la_option_t *option, void *base, int count,
                                const char *const *words)
{
    review_e *review = (void *)((char *)base + option->offset);
    int self = strcasecmp(words[0], "self") == 0;

    (void)pool;
    (void)count;
    if (!self && strcasecmp(words[0], "token") != 0) {
        return "must be token or self";
    }
    *review = self ? REVIEW_SELF : REVIEW_TOKEN;
    return NULL;
}

#define CONF(field) offsetof(kubernetes_conf_t, field)

static const la_option_t kubernetes_options[] = {
    {"ApiServer", la_option_url, CONF(server), 1, 1, 0, "URL"},
    {"Review", parse_review, CONF(review), 1, 1, 0, "token|self"},
    {"ReviewerToken", la_option_secret, CONF(reviewer), 1, 1, 0, "SECRET"},
    {"Audience", la_option_words, CONF(audiences), 1, -1, 0, "AUD..."},
    LA_OPTION_END};

/* What would be ignored here must not look as if it protected anything. A client certificate would
 * even be taken for the caller: the API server looks at it before the token, whatever that is. */
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
               ? apr_pstrcat(pool, "ReviewerToken is missing, and the pod's own is not to be had: ",
                             error, NULL)
               : NULL;
}

/* The cluster's authority, as every pod is given it; elsewhere the system's authorities hold. */
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
    error = la_option_certificates(pool, &option, http, 1, &path);
    return error ? apr_pstrcat(pool, "TLSCAFile: ", error, NULL) : NULL;
}

static const char *set_url(kubernetes_conf_t *conf, apr_pool_t *pool)
{
    const char *server = conf->server.url ? conf->server.url : DEFAULT_SERVER;
    apr_size_t len = strlen(server);

    if (strchr(server, '?')) {
        return "ApiServer: must have no query";
    }
    while (server[len - 1] == '/') {
        len--;
    }
    conf->url =
        apr_pstrcat(pool, apr_pstrmemdup(pool, server, len), API,
                    conf->review == REVIEW_SELF ? "/selfsubjectreviews" : "/tokenreviews", NULL);
    return NULL;
}

static const char *kubernetes_finish(la_provider_t *provider, apr_pool_t *pool)
{
    kubernetes_conf_t *conf = provider->conf;
    la_http_options_t *http = &provider->common.http;
    const char *error = set_url(conf, pool);

    la_provider_warn_of_plain_http(provider, "ApiServer", &conf->server);
    if (!error) {
        error = conf->review == REVIEW_SELF ? check_self(conf, http) : default_reviewer(conf, pool);
    }
    return error ? error : default_authority(http, pool);
}

static const char *kubernetes_hint(const la_provider_t *provider, apr_pool_t *pool)
{
    (void)provider;
    (void)pool;
    return "Authentication required. Please provide a valid Kubernetes service account token as a "
           "Bearer token";
}

/* ---- the question ---- */

static la_slice_t token_review(const kubernetes_conf_t *conf, la_slice_t token, apr_pool_t *pool)
{
    la_json_writer_t writer;
    int i;

    la_json_writer_init(&writer, pool);
    la_json_write_raw(&writer, LA_SLICE("{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":"
                                        "\"TokenReview\",\"spec\":{\"token\":"));
    la_json_write_string(&writer, token);
    for (i = 0; conf->audiences && i < conf->audiences->nelts; i++) {
        la_json_write_raw(&writer, i > 0 ? LA_SLICE(",") : LA_SLICE(",\"audiences\":["));
        la_json_write_string(&writer, la_slice_of(APR_ARRAY_IDX(conf->audiences, i, const char *)));
    }
    la_json_write_raw(&writer, conf->audiences ? LA_SLICE("]}}") : LA_SLICE("}}"));
    return (la_slice_t){writer.data, writer.len};
}

static void ask(const la_provider_t *provider, const la_call_t *call, apr_pool_t *pool,
                la_http_response_t *response)
{
    const kubernetes_conf_t *conf = provider->conf;
    apr_table_t *headers = apr_table_make(pool, 4);
    la_http_request_t request = {.method = "POST", .url = conf->url, .headers = headers};
    const char *bearer;

    if (conf->review == REVIEW_SELF) {
        bearer = apr_pstrmemdup(pool, call->token.data, call->token.len);
        request.body = LA_SLICE(
            "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"SelfSubjectReview\"}");
    } else {
        bearer = la_secret_get(conf->reviewer, call->now, pool);
        request.body = token_review(conf, call->token, pool);
    }
    apr_table_setn(headers, "Authorization", apr_pstrcat(pool, "Bearer ", bearer, NULL));
    apr_table_setn(headers, "Content-Type", "application/json");
    apr_table_setn(headers, "Accept", "application/json");
    la_http_call(provider->child->http, &request, pool, response);
}

/* ---- the verdict ---- */

static void malformed(la_result_t *result, const char *reason)
{
    la_result_set(result, LA_VERDICT_UNAVAILABLE, LA_MESSAGE_ERROR, reason);
}

/* Reads a UserInfo into the builder. Returns NULL, or what is wrong with it. */
static const char *read_user(const la_provider_common_t *common, const la_json_t *user,
                             la_identity_builder_t *builder, apr_pool_t *pool)
{
    la_claims_t claims = {user, NULL};
    int found;
    const char *error =
        la_claims_principal(&claims, common->principal_claims, builder, pool, &found);

    if (!error && !found) {
        error = "the user has no name";
    }
    if (!error) {
        la_claims_map(&claims, common->claims, builder, pool);
    }
    return error;
}

/* When the token ends by its own account, where it is a JWT: the API server has verified it and
 * does not tell. 0 where it says nothing of that. */
static apr_time_t own_end(la_slice_t token, apr_pool_t *pool)
{
    const char *end = token.data + token.len;
    const char *payload = memchr(token.data, '.', token.len);
    const char *signature =
        payload ? memchr(payload + 1, '.', (apr_size_t)(end - payload - 1)) : NULL;
    const la_json_t *claims;
    const la_json_t *member;
    la_slice_t json;
    double seconds;

    if (!signature ||
        !la_base64url_decode(pool, (la_slice_t){payload + 1, (apr_size_t)(signature - payload - 1)},
                             &json) ||
        la_json_parse(pool, json, &claims) || !la_json_member(claims, "exp", &member) ||
        !la_json_number(member, &seconds) || seconds > 1e12) {
        return 0;
    }
    return seconds < 1 ? 1 : (apr_time_t)(seconds * APR_USEC_PER_SEC);
}

static int is_anonymous(const la_json_t *user)
{
    const la_json_t *member;
    la_slice_t name;

    la_json_member(user, "username", &member);
    return la_json_string(member, &name) && la_slice_is(name, ANONYMOUS);
}

/* Takes the user that the API server named; without credentials that it knew there is none,
 * whatever it calls it. */
static void accept_user(const la_provider_common_t *common, const la_call_t *call,
                        const la_json_t *user, apr_pool_t *pool, la_result_t *result)
{
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    const char *error;

    if (is_anonymous(user)) {
        la_result_set(result, LA_VERDICT_REJECTED, MESSAGE_REJECTED,
                      "to the API server the caller is " ANONYMOUS);
        return;
    }
    error = read_user(common, user, builder, pool);
    if (!error && la_identity_build(builder, pool, &result->identity) != APR_SUCCESS) {
        error = "the identity is too large";
    }
    if (error) {
        la_result_set_unusable(result, LA_MESSAGE_ERROR,
                               apr_pstrcat(pool, "in the API server's answer ", error, NULL));
        return;
    }
    result->verdict = LA_VERDICT_ACCEPTED;
    result->expires = own_end(call->token, pool);
}

/* Finds `status`, which a failure's Status object has too, as a string. Returns NULL, or what is
 * wrong. */
static const char *find_status(la_slice_t body, apr_pool_t *pool, const la_json_t **status)
{
    const la_json_t *answer;
    const char *error = la_json_parse(pool, body, &answer);

    *status = NULL;
    if (error) {
        return apr_psprintf(pool, "the API server's answer is not JSON: %s", error);
    }
    la_json_member(answer, "status", status);
    return la_json_type(*status) == LA_JSON_OBJECT ? NULL
                                                   : "the API server's answer has no status object";
}

static int is_asked(const apr_array_header_t *audiences, const la_json_t *audience)
{
    la_slice_t text;
    int i;

    for (i = 0; la_json_string(audience, &text) && i < audiences->nelts; i++) {
        if (la_slice_is(text, APR_ARRAY_IDX(audiences, i, const char *))) {
            return 1;
        }
    }
    return 0;
}

/* Whether the token is meant for an audience that was asked for; an API server that knows nothing
 * of audiences names none. */
static int is_for_us(const kubernetes_conf_t *conf, const la_json_t *status)
{
    const la_json_t *answered;
    apr_size_t i;

    if (!conf->audiences) {
        return 1;
    }
    la_json_member(status, "audiences", &answered);
    for (i = 0; i < la_json_count(answered); i++) {
        if (is_asked(conf->audiences, la_json_item(answered, i))) {
            return 1;
        }
    }
    return 0;
}

/* `authenticated` is left out when it is false. */
static void judge_token_review(const la_provider_t *provider, const la_call_t *call,
                               const la_json_t *status, apr_pool_t *pool, la_result_t *result)
{
    const la_json_t *member;
    int authenticated;

    la_json_member(status, "authenticated", &member);
    if (!la_json_boolean(member, &authenticated) && member) {
        malformed(result, "the API server's answer: authenticated is not a boolean");
    } else if (!authenticated) {
        la_result_set(result, LA_VERDICT_REJECTED, MESSAGE_REJECTED,
                      "the API server did not authenticate the token");
    } else if (!is_for_us(provider->conf, status)) {
        la_result_set(result, LA_VERDICT_REJECTED, MESSAGE_REJECTED,
                      "the token is for none of the audiences");
    } else {
        la_json_member(status, "user", &member);
        accept_user(&provider->common, call, member, pool, result);
    }
}

static void judge_body(const la_provider_t *provider, const la_call_t *call, la_slice_t body,
                       apr_pool_t *pool, la_result_t *result)
{
    const kubernetes_conf_t *conf = provider->conf;
    const la_json_t *status;
    const la_json_t *user;
    const char *error = find_status(body, pool, &status);

    if (error) {
        malformed(result, error);
    } else if (conf->review == REVIEW_TOKEN) {
        judge_token_review(provider, call, status, pool, result);
    } else {
        la_json_member(status, "userInfo", &user);
        accept_user(&provider->common, call, user, pool, result);
    }
}

/* What an administrator can do about a status. */
static const char *cause(review_e review, int status)
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

static int is_success(review_e review, int status)
{
    return status == 201 || (status == 200 && review == REVIEW_TOKEN);
}

static void judge_answer(const la_provider_t *provider, const la_call_t *call,
                         const la_http_response_t *response, apr_pool_t *pool, la_result_t *result)
{
    const kubernetes_conf_t *conf = provider->conf;
    int status = response->status;

    if (is_success(conf->review, status)) {
        judge_body(provider, call, response->body, pool, result);
    } else if (conf->review == REVIEW_SELF && status == 401) {
        la_result_set(result, LA_VERDICT_REJECTED, MESSAGE_REJECTED,
                      "the API server does not accept the token");
    } else {
        la_result_set(result, LA_VERDICT_UNAVAILABLE,
                      apr_psprintf(pool, "Token validation failed: %d", status),
                      apr_psprintf(pool, "the API server answered %d%s", status,
                                   cause(conf->review, status)));
    }
}

static void kubernetes_verify(const la_provider_t *provider, const la_call_t *call,
                              apr_pool_t *pool, la_result_t *result)
{
    la_http_response_t response;

    ask(provider, call, pool, &response);
    la_result_take_call(result, &response);
    if (response.outcome == LA_HTTP_ANSWERED) {
        judge_answer(provider, call, &response, pool, result);
    } else {
        la_result_set_failed(result, &response);
    }
}

static const la_claim_map_t kubernetes_claims[] = {{"username", "roles", LA_CLAIM_WHOLE},
                                                   {"groups", "teams", LA_CLAIM_WHOLE},
                                                   {NULL, NULL, LA_CLAIM_WHOLE}};

static const char *const kubernetes_principal[] = {"username", NULL};

const la_provider_type_t la_kubernetes_type = {
    .name = "kubernetes",
    .options = kubernetes_options,
    .conf_bytes = sizeof(kubernetes_conf_t),
    .calls_out = 1,
    .cache_vary = &la_vary_nothing,
    .claims = kubernetes_claims,
    .principal_claims = kubernetes_principal,
    .finish = kubernetes_finish,
    .verify = kubernetes_verify,
    .hint = kubernetes_hint,
};

/* The `custom` provider: an endpoint of the administrator's own that is asked about each token, in the form
 * that Llama Stack's middleware asks. Owns the question's JSON and the verdict on the answer; the call is http.c's.
 *
 * Options and finish run while the configuration is read; verify in any request thread, on
 * a configuration that nobody changes.
 */
#include "provider/provider.h"

#include "core/claims.h"
#include "core/form.h"
#include "core/freshness.h"
#include "core/json.h"
#include "core/params.h"
#include "provider/file.h"

#include <stddef.h>
#include <string.h>

#include <apr_strings.h>

/* Messages to the client, as the specification words them. */
#define MESSAGE_MALFORMED "Invalid authentication response format"

/* Which of the request's header fields the endpoint sees. */
typedef enum send_e { SEND_ALL, SEND_NONE, SEND_NAMED } send_e;

typedef struct send_headers_t {
    send_e which;
    apr_array_header_t *names; /* of const char *, for SEND_NAMED */
} send_headers_t;

typedef struct secret_header_t {
    const char *name; /* NULL when the endpoint wants none */
    la_secret_t *secret;
} secret_header_t;

typedef struct custom_conf_t {
    la_url_t endpoint;
    send_headers_t send_headers;
    secret_header_t secret_header;
    const char *hint;
} custom_conf_t;

static la_slice_t slice_of(const char *text)
{
    return (la_slice_t){text, strlen(text)};
}

/* ---- options ---- */

static int in_list(const char *name, const char *const *list)
{
    for (; *list; list++) {
        if (strcasecmp(name, *list) == 0) {
            return 1;
        }
    }
    return 0;
}

/* The caller's credentials, which no endpoint gets besides `api_key`. */
static int is_credential(const char *name)
{
    static const char *const credentials[] = {"authorization", "proxy-authorization", NULL};

    return in_list(name, credentials);
}

static const char *add_name(apr_pool_t *pool, send_headers_t *send, const char *name)
{
    if (strcasecmp(name, "all") == 0 || strcasecmp(name, "none") == 0) {
        return apr_psprintf(pool, "%s stands alone", name);
    }
    if (!la_params_is_name(name)) {
        return apr_psprintf(pool, "'%s' is no name of a header field", name);
    }
    if (is_credential(name)) {
        return apr_psprintf(pool, "%s is never sent; the token is in api_key", name);
    }
    APR_ARRAY_PUSH(send->names, const char *) = apr_pstrdup(pool, name);
    return NULL;
}

static const char *parse_send_headers(apr_pool_t *pool, const la_option_t *option, void *base,
                                      int count, const char *const *words)
{
    send_headers_t *send = (void *)((char *)base + option->offset);
    const char *error = NULL;
    int i;

    if (count == 1 && strcasecmp(words[0], "all") == 0) {
        send->which = SEND_ALL;
    } else if (count == 1 && strcasecmp(words[0], "none") == 0) {
        send->which = SEND_NONE;
    } else {
        send->which = SEND_NAMED;
        send->names = apr_array_make(pool, count, sizeof(const char *));
        for (i = 0; i < count && !error; i++) {
            error = add_name(pool, send, words[i]);
        }
    }
    return error;
}

static const char *parse_secret_header(apr_pool_t *pool, const la_option_t *option, void *base,
                                       int count, const char *const *words)
{
    /* Fields that the HTTP client writes; a second one could change where the request ends. */
    static const char *const reserved[] = {
        "host", "content-length", "content-type", "transfer-encoding", "connection", "expect",
        NULL};
    secret_header_t *header = (void *)((char *)base + option->offset);

    (void)count;
    if (!la_params_is_name(words[0])) {
        return "the first argument is no name of a header field";
    }
    if (in_list(words[0], reserved)) {
        return apr_psprintf(pool, "%s belongs to the HTTP client", words[0]);
    }
    header->name = apr_pstrdup(pool, words[0]);
    return la_secret_make(pool, words[1], &header->secret);
}

#define CONF(field) offsetof(custom_conf_t, field)

static const la_option_t custom_options[] = {
    {"Endpoint", la_option_url, CONF(endpoint), 1, 1, 0, "URL"},
    {"SendHeaders", parse_send_headers, CONF(send_headers), 1, -1, 0, "all|none|NAME..."},
    {"SecretHeader", parse_secret_header, CONF(secret_header), 2, 2, 0, "NAME SECRET"},
    LA_OPTION_END};

static const char *custom_finish(la_provider_t *provider, apr_pool_t *pool)
{
    custom_conf_t *conf = provider->conf;

    if (!conf->endpoint.url) {
        return "Endpoint is missing";
    }
    conf->hint = apr_psprintf(pool,
                              "Authentication required. Please provide your API key as a Bearer "
                              "token (validated by %s)",
                              conf->endpoint.authority);
    la_provider_warn_of_plain_http(provider, "Endpoint", &conf->endpoint);
    return NULL;
}

static apr_status_t custom_child_init(la_provider_t *provider, apr_pool_t *pchild)
{
    custom_conf_t *conf = provider->conf;

    return conf->secret_header.secret ? la_secret_child_init(conf->secret_header.secret, pchild)
                                      : APR_SUCCESS;
}

static const char *custom_hint(const la_provider_t *provider, apr_pool_t *pool)
{
    const custom_conf_t *conf = provider->conf;

    (void)pool;
    return conf->hint;
}

/* ---- the header fields it tells of ---- */

typedef struct field_filter_t {
    const send_headers_t *send;
    const la_call_t *call;
    apr_table_t *fields;
} field_filter_t;

static int is_among(const apr_array_header_t *names, const char *name)
{
    int i;

    for (i = 0; names && i < names->nelts; i++) {
        if (strcasecmp(name, APR_ARRAY_IDX(names, i, const char *)) == 0) {
            return 1;
        }
    }
    return 0;
}

static int take_field(void *data, const char *name, const char *value)
{
    field_filter_t *filter = data;
    const send_headers_t *send = filter->send;

    if (!is_credential(name) && !is_among(filter->call->hidden[0], name) &&
        !is_among(filter->call->hidden[1], name) &&
        (send->which == SEND_ALL || is_among(send->names, name))) {
        apr_table_addn(filter->fields, name, value);
    }
    return 1;
}

/* A name in lower case; ASCII's, whatever the locale. */
static la_slice_t lower(apr_pool_t *pool, const char *name)
{
    char *copy = apr_pstrdup(pool, name);
    char *p;

    for (p = copy; *p; p++) {
        if (*p >= 'A' && *p <= 'Z') {
            *p = (char)(*p + ('a' - 'A'));
        }
    }
    return (la_slice_t){copy, (apr_size_t)(p - copy)};
}

static void write_headers(la_json_writer_t *writer, const send_headers_t *send,
                          const la_call_t *call, apr_pool_t *pool)
{
    field_filter_t filter = {send, call, apr_table_make(pool, 16)};
    const apr_array_header_t *fields;
    int i;

    if (send->which != SEND_NONE) {
        apr_table_do(take_field, &filter, call->headers, NULL);
    }
    /* Repeated fields become one, joined by ", " (RFC 9110 section 5.3): a JSON name stands once. */
    apr_table_compress(filter.fields, APR_OVERLAP_TABLES_MERGE);
    fields = apr_table_elts(filter.fields);
    la_json_write_raw(writer, LA_SLICE("{"));
    for (i = 0; i < fields->nelts; i++) {
        const apr_table_entry_t *field = &APR_ARRAY_IDX(fields, i, apr_table_entry_t);

        la_json_write_raw(writer, i > 0 ? LA_SLICE(",") : LA_SLICE(""));
        la_json_write_string(writer, lower(pool, field->key));
        la_json_write_raw(writer, LA_SLICE(":"));
        la_json_write_string(writer, slice_of(field->val));
    }
    la_json_write_raw(writer, LA_SLICE("}"));
}

/* ---- the question ---- */

static la_slice_t question(const custom_conf_t *conf, const la_call_t *call, apr_pool_t *pool)
{
    la_json_writer_t writer;

    la_json_writer_init(&writer, pool);
    la_json_write_raw(&writer, LA_SLICE("{\"api_key\":"));
    la_json_write_string(&writer, call->token);
    la_json_write_raw(&writer, LA_SLICE(",\"request\":{\"path\":"));
    la_json_write_string(&writer, slice_of(call->path));
    la_json_write_raw(&writer, LA_SLICE(",\"headers\":"));
    write_headers(&writer, &conf->send_headers, call, pool);
    la_json_write_raw(&writer, LA_SLICE(",\"params\":"));
    la_form_write(&writer, call->query ? call->query : "", pool);
    la_json_write_raw(&writer, LA_SLICE("}}"));
    return (la_slice_t){writer.data, writer.len};
}

/* ---- the verdict ---- */

/* The principal: without PrincipalClaim the answer's own member, and no category of that name. */
static const char *take_principal(const la_provider_common_t *common, const la_claims_t *claims,
                                  la_identity_builder_t *builder, apr_pool_t *pool)
{
    const apr_array_header_t *names = common->principal_claims;
    apr_array_header_t *own;
    int found;

    if (names) {
        return la_claims_principal(claims, names, builder, &found);
    }
    own = apr_array_make(pool, 1, sizeof(const char *));
    APR_ARRAY_PUSH(own, const char *) = "principal";
    return la_claims_principal(&(la_claims_t){claims->first, NULL}, own, builder, &found);
}

/* Claim lines take what they name and nothing else; without any the attributes are taken as they are. */
static const char *take_attributes(const la_provider_common_t *common, const la_claims_t *claims,
                                   la_identity_builder_t *builder, apr_pool_t *pool)
{
    if (!common->claims) {
        return la_claims_attributes(claims->second, builder);
    }
    if (claims->second && la_json_type(claims->second) != LA_JSON_OBJECT) {
        return "attributes are not an object";
    }
    la_claims_map(claims, common->claims, builder, pool);
    return NULL;
}

static const char *take_message(const la_json_t *answer, la_identity_builder_t *builder)
{
    const la_json_t *member;
    la_slice_t text;

    if (!la_json_member(answer, "message", &member) || !member) {
        return NULL;
    }
    if (!la_json_string(member, &text)) {
        return "message is not a string";
    }
    la_identity_set_message(builder, text);
    return NULL;
}

/* Bounds the caching; a null is as good as none. */
static const char *take_expires_in(const la_json_t *answer, la_result_t *result)
{
    const la_json_t *member;
    apr_interval_time_t us;
    double seconds;

    if (!la_json_member(answer, "expires_in", &member) || !member) {
        return NULL;
    }
    if (!la_json_number(member, &seconds)) {
        return "not a number";
    }
    us = la_freshness_seconds(seconds);
    if (!result->max_age_known || us < result->max_age_us) {
        result->max_age_known = 1;
        result->max_age_us = us;
    }
    return NULL;
}

/* What the answer says of the caller's attributes; `access_attributes` is an older name of them. */
static const la_json_t *attributes_of(const la_json_t *answer)
{
    const la_json_t *attributes;

    if (!la_json_member(answer, "attributes", &attributes) || !attributes) {
        la_json_member(answer, "access_attributes", &attributes);
    }
    return attributes;
}

/* Reads the whole answer into the builder. Returns NULL, or what is of the wrong form. */
static const char *read_answer(const la_provider_common_t *common, const la_json_t *answer,
                               la_identity_builder_t *builder, apr_pool_t *pool,
                               la_result_t *result)
{
    la_claims_t claims = {answer, attributes_of(answer)};
    const char *error = take_principal(common, &claims, builder, pool);

    if (!error) {
        error = take_attributes(common, &claims, builder, pool);
    }
    if (!error) {
        error = take_message(answer, builder);
    }
    if (!error) {
        error = take_expires_in(answer, result);
    }
    return error ? apr_pstrcat(pool, "in the answer ", error, NULL) : NULL;
}

/* Judges the body of a 200. */
static void judge_body(const la_provider_common_t *common, la_slice_t body, apr_pool_t *pool,
                       la_result_t *result)
{
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    const la_json_t *answer;
    const char *error = la_json_parse(pool, body, &answer);

    if (error) {
        error = apr_psprintf(pool, "the answer is not JSON: %s", error);
    } else if (la_json_type(answer) != LA_JSON_OBJECT) {
        error = "the answer is not a JSON object";
    } else {
        error = read_answer(common, answer, builder, pool, result);
    }
    if (error) {
        la_result_set(result, LA_VERDICT_UNAVAILABLE, MESSAGE_MALFORMED, error);
    } else if (la_identity_build(builder, pool, &result->identity) != APR_SUCCESS) {
        la_result_set(result, LA_VERDICT_UNAVAILABLE, LA_MESSAGE_ERROR,
                      "the identity is too large");
    } else {
        result->verdict = LA_VERDICT_ACCEPTED;
    }
}

/* Whether a status is about the caller's token; the others are about the endpoint's health. */
static int is_refusal(int status)
{
    return status >= 400 && status < 500 && status != 408 && status != 425 && status != 429;
}

static void judge_answer(const la_provider_common_t *common, const la_http_response_t *response,
                         apr_pool_t *pool, la_result_t *result)
{
    if (response->status == 200) {
        result->max_age_known = la_freshness_cache_control(
            apr_table_get(response->headers, "Cache-Control"), &result->max_age_us);
        judge_body(common, response->body, pool, result);
        return;
    }
    la_result_set(result,
                  is_refusal(response->status) ? LA_VERDICT_REJECTED : LA_VERDICT_UNAVAILABLE,
                  apr_psprintf(pool, "Authentication failed: %d", response->status),
                  apr_psprintf(pool, "the endpoint answered %d", response->status));
}

static void ask(const la_provider_t *provider, const la_call_t *call, apr_pool_t *pool,
                la_http_response_t *response)
{
    const custom_conf_t *conf = provider->conf;
    apr_table_t *headers = apr_table_make(pool, 4);
    static const char *const wanted[] = {"Cache-Control", NULL};
    la_http_request_t request = {
        .method = "POST", .url = conf->endpoint.url, .headers = headers, .wanted = wanted};

    apr_table_setn(headers, "Content-Type", "application/json");
    apr_table_setn(headers, "Accept", "application/json");
    if (conf->secret_header.name) {
        apr_table_setn(headers, conf->secret_header.name,
                       la_secret_get(conf->secret_header.secret, call->now, pool));
    }
    request.body = question(conf, call, pool);
    la_http_call(provider->http, &request, pool, response);
}

static void custom_verify(const la_provider_t *provider, const la_call_t *call, apr_pool_t *pool,
                          la_result_t *result)
{
    la_http_response_t response;

    ask(provider, call, pool, &response);
    if (response.outcome == LA_HTTP_ANSWERED) {
        judge_answer(&provider->common, &response, pool, result);
    } else {
        la_result_set_failed(result, &response);
    }
}

const la_provider_type_t la_custom_type = {
    .name = "custom",
    .options = custom_options,
    .conf_bytes = sizeof(custom_conf_t),
    .calls_out = 1,
    .cache_vary = "path params",
    .finish = custom_finish,
    .child_init = custom_child_init,
    .verify = custom_verify,
    .hint = custom_hint,
};

/* The `custom` provider: asks the administrator's own endpoint about each token, as Llama Stack's
 * middleware does: with the token, and the request's path, query and some of its header fields. */
#include "provider/answer.h"

#include "access/claims.h"
#include "base/form.h"
#include "base/params.h"
#include "io/cache_control.h"
#include "io/secret.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include <apr_strings.h>

#define MESSAGE_MALFORMED "Invalid authentication response format"

/* Largest question. A request's fields come from anybody, and JSON makes up to six bytes of one. */
#define QUESTION_MAX_BYTES ((apr_size_t)256 * 1024)

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
} custom_conf_t;

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

static int is_among(const apr_array_header_t *names, const char *name)
{
    for (int i = 0; names && i < names->nelts; i++) {
        if (strcasecmp(name, APR_ARRAY_IDX(names, i, const char *)) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Whether a field of that name holds credentials or a proof of them, which are never sent. */
static int is_credential(const char *name)
{
    static const char *const names[] = {"authorization", "proxy-authorization", "dpop", NULL};

    return in_list(name, names);
}

/* Whether a field of that name is sent, unless the call hides it. */
static int is_sent(const send_headers_t *send, const char *name)
{
    return send->which == SEND_ALL || (send->which == SEND_NAMED && is_among(send->names, name));
}

static const char *add_name(apr_pool_t *pool, send_headers_t *send, const char *name)
{
    static const char *const switches[] = {"on", "off", "any", "*", NULL};

    if (strcasecmp(name, "all") == 0 || strcasecmp(name, "none") == 0) {
        return apr_psprintf(pool, "%s stands alone", name);
    }
    if (in_list(name, switches)) {
        return apr_psprintf(
            pool,
            "'%s' is a header of that name; write all, none or names of headers, as in: "
            "SendHeaders User-Agent",
            name);
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

static const char *parse_send_headers(const la_option_line_t *line)
{
    send_headers_t *send = LA_OPTION_FIELD(send_headers_t, line);
    const char *error = NULL;

    if (line->count == 1 && strcasecmp(line->words[0], "all") == 0) {
        send->which = SEND_ALL;
    } else if (line->count == 1 && strcasecmp(line->words[0], "none") == 0) {
        send->which = SEND_NONE;
    } else {
        send->which = SEND_NAMED;
        send->names = apr_array_make(line->pool, line->count, sizeof(const char *));
        for (int i = 0; i < line->count && !error; i++) {
            error = add_name(line->pool, send, line->words[i]);
        }
    }
    return error;
}

static const char *parse_secret_header(const la_option_line_t *line)
{
    /* http.c writes these; a second one could change where the request ends. */
    static const char *const reserved[] = {
        "host", "content-length", "content-type", "transfer-encoding", "connection", "expect",
        NULL};
    secret_header_t *header = LA_OPTION_FIELD(secret_header_t, line);

    if (!la_params_is_name(line->words[0])) {
        return "the first argument is no name of a header field";
    }
    if (in_list(line->words[0], reserved)) {
        return apr_psprintf(line->pool, "%s belongs to the HTTP client", line->words[0]);
    }
    header->name = apr_pstrdup(line->pool, line->words[0]);
    return la_secret_make(line->pool, line->words[1], &header->secret);
}

#define CONF(field) offsetof(custom_conf_t, field)

static const la_option_t custom_options[] = {
    {"Endpoint", la_option_url, CONF(endpoint), 1, 1, 0, "URL"},
    {"SendHeaders", parse_send_headers, CONF(send_headers), 1, -1, 0, "all|none|NAME..."},
    {"SecretHeader", parse_secret_header, CONF(secret_header), 2, 2, 0, "NAME SECRET"},
    LA_OPTION_END};

/* A verdict may depend on what the endpoint is sent. Of the fields only Host counts by default: it
 * is the same in a caller's requests to one virtual host. CacheVary names others. */
static void set_default_vary(const custom_conf_t *conf, la_provider_t *provider, apr_pool_t *pool)
{
    la_vary_t *vary = &provider->common.vary;

    if (!la_provider_is_set(provider, "CacheVary") && is_sent(&conf->send_headers, "Host")) {
        vary->headers = apr_array_make(pool, 1, sizeof(const char *));
        APR_ARRAY_PUSH(vary->headers, const char *) = "Host";
    }
}

static const char *custom_finish(la_provider_t *provider, apr_pool_t *pool)
{
    custom_conf_t *conf = provider->conf;

    if (!conf->endpoint.url) {
        return "Endpoint is missing";
    }
    provider->hint =
        apr_psprintf(pool,
                     "Authentication required. Please provide your API key as a Bearer "
                     "token (validated by %s)",
                     conf->endpoint.authority);
    set_default_vary(conf, provider, pool);
    la_provider_warn_of_plain_http(provider, "Endpoint", &conf->endpoint);
    return NULL;
}

/* ---- the question ---- */

typedef struct field_filter_t {
    const send_headers_t *send;
    const la_call_t *call;
    apr_table_t *fields;
} field_filter_t;

static int add_field(void *data, const char *name, const char *value)
{
    field_filter_t *filter = data;
    const send_headers_t *send = filter->send;

    if (!is_credential(name) && !is_among(filter->call->hidden[0], name) &&
        !is_among(filter->call->hidden[1], name) && is_sent(send, name)) {
        apr_table_addn(filter->fields, name, value);
    }
    return 1;
}

/* A name in lower case, in ASCII whatever the locale. */
static la_slice_t to_lower(apr_pool_t *pool, const char *name)
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

/* Whether the question has room for `len` bytes more, which JSON may make longer. */
static int has_room(const la_json_writer_t *writer, apr_size_t len)
{
    return writer->len <= QUESTION_MAX_BYTES && len <= QUESTION_MAX_BYTES - writer->len;
}

/* Appends a string. Returns 0 if the question gets too large. */
static int write_bounded(la_json_writer_t *writer, la_slice_t text)
{
    if (!has_room(writer, text.len)) {
        return 0;
    }
    la_json_write_string(writer, text);
    return 1;
}

static int write_field(la_json_writer_t *writer, const apr_table_entry_t *field, apr_pool_t *pool)
{
    if (!write_bounded(writer, to_lower(pool, field->key))) {
        return 0;
    }
    la_json_write_raw(writer, LA_SLICE(":"));
    return write_bounded(writer, la_slice_of(field->val));
}

static int write_headers(la_json_writer_t *writer, const send_headers_t *send,
                         const la_call_t *call, apr_pool_t *pool)
{
    field_filter_t filter = {send, call, apr_table_make(pool, 16)};
    const apr_array_header_t *fields;

    if (send->which != SEND_NONE) {
        apr_table_do(add_field, &filter, call->headers, NULL);
    }
    /* Repeated fields become one, joined by ", " (RFC 9110 section 5.3). */
    apr_table_compress(filter.fields, APR_OVERLAP_TABLES_MERGE);
    fields = apr_table_elts(filter.fields);
    la_json_write_raw(writer, LA_SLICE("{"));
    for (int i = 0; i < fields->nelts; i++) {
        la_json_write_raw(writer, i > 0 ? LA_SLICE(",") : LA_SLICE(""));
        if (!write_field(writer, &APR_ARRAY_IDX(fields, i, apr_table_entry_t), pool)) {
            return 0;
        }
    }
    la_json_write_raw(writer, LA_SLICE("}"));
    return 1;
}

/* Returns 0 if the question would be too large. */
static int make_question(const send_headers_t *send, const la_call_t *call, apr_pool_t *pool,
                         la_slice_t *question)
{
    const char *query = call->query ? call->query : "";
    la_json_writer_t writer;

    la_json_writer_init(&writer, pool);
    la_json_write_raw(&writer, LA_SLICE("{\"api_key\":"));
    la_json_write_string(&writer, call->token);
    la_json_write_raw(&writer, LA_SLICE(",\"request\":{\"path\":"));
    if (!write_bounded(&writer, la_slice_of(call->path))) {
        return 0;
    }
    la_json_write_raw(&writer, LA_SLICE(",\"headers\":"));
    if (!write_headers(&writer, send, call, pool) || !has_room(&writer, strlen(query))) {
        return 0;
    }
    la_json_write_raw(&writer, LA_SLICE(",\"params\":"));
    la_form_write(&writer, query, pool);
    la_json_write_raw(&writer, LA_SLICE("}}"));
    *question = (la_slice_t){writer.data, writer.len};
    return has_room(&writer, 0);
}

/* ---- the verdict ---- */

/* Takes the principal: without PrincipalClaim, the answer's member of that name. */
static const char *take_principal(const la_provider_common_t *common, const la_claims_t *claims,
                                  la_identity_builder_t *builder, apr_pool_t *pool)
{
    const apr_array_header_t *names = common->principal_claims;
    apr_array_header_t *own;
    int found;

    if (names) {
        return la_claims_principal(claims, names, builder, pool, &found);
    }
    own = apr_array_make(pool, 1, sizeof(const char *));
    APR_ARRAY_PUSH(own, const char *) = "principal";
    return la_claims_principal(&(la_claims_t){.first = claims->first}, own, builder, pool, &found);
}

/* Takes what Claim lines name; without any, all attributes as they are. */
static const char *take_attributes(const la_provider_common_t *common, const la_claims_t *claims,
                                   la_identity_builder_t *builder, apr_pool_t *pool)
{
    if (!common->claims) {
        return la_claims_attributes(claims->second, 1, builder, pool);
    }
    if (claims->second && la_json_type(claims->second) != LA_JSON_OBJECT) {
        return la_claims_wrong_kind(pool, "attributes", claims->second, "an object");
    }
    la_claims_map(claims, common->claims, builder, pool);
    return NULL;
}

/* Bounds the caching by `expires_in`. Returns NULL, or what is wrong. */
static const char *take_expires_in(const la_json_t *answer, apr_pool_t *pool, la_result_t *result)
{
    const la_json_t *member = la_json_get(answer, "expires_in");
    apr_interval_time_t us;
    double seconds;

    if (!member) {
        return NULL;
    }
    if (!la_json_number(member, &seconds)) {
        return la_claims_wrong_kind(pool, "expires_in", member, "a number");
    }
    us = la_cache_control_seconds(seconds);
    if (!result->max_age_known || us < result->max_age_us) {
        result->max_age_known = 1;
        result->max_age_us = us;
    }
    return NULL;
}

/* Makes the identity. Returns NULL, or what is of the wrong form. */
static const char *make_identity(const la_answer_t *answer, const la_json_t *document)
{
    const la_provider_common_t *common = &answer->provider->common;
    la_identity_builder_t *builder = la_identity_builder_make(answer->pool);
    la_claims_t claims = {.first = document, .second = la_json_get(document, "attributes")};
    const char *error;
    la_slice_t message;

    if (!claims.second) {
        claims.second = la_json_get(document, "access_attributes"); /* the older name */
    }
    error = take_principal(common, &claims, builder, answer->pool);
    error = error ? error : take_attributes(common, &claims, builder, answer->pool);
    error = error ? error : take_expires_in(document, answer->pool, answer->result);
    if (la_json_string(la_json_get(document, "message"), &message)) {
        la_identity_set_message(builder, message);
    }
    la_claims_confirmation(document, 1, builder);
    return error ? error : la_identity_build(builder, answer->pool, &answer->result->identity);
}

/* Whether a status is about the token, and not about the endpoint's health. */
static int is_refusal(int status)
{
    return status >= 400 && status < 500 && status != 408 && status != 425 && status != 429;
}

static void judge_answer(la_answer_t *answer)
{
    int status = answer->response.status;
    la_result_t *result = answer->result;
    const la_json_t *document;

    if (status != 200) {
        la_answer_set_status(answer,
                             is_refusal(status) ? LA_VERDICT_REJECTED : LA_VERDICT_UNAVAILABLE,
                             apr_psprintf(answer->pool, "Authentication failed: %d", status), "");
        return;
    }
    result->max_age_known = la_cache_control_read(
        apr_table_get(answer->response.headers, "Cache-Control"), &result->max_age_us);
    document = la_answer_parse(answer, LA_JSON_OBJECT, answer->pool);
    if (document) {
        la_answer_conclude(answer, make_identity(answer, document));
    }
}

static int ask(la_answer_t *answer, la_slice_t question)
{
    static const char *const wanted[] = {"Cache-Control", NULL};
    const custom_conf_t *conf = answer->provider->conf;
    apr_table_t *headers = apr_table_make(answer->pool, 4);
    la_http_request_t request = {.method = "POST",
                                 .url = conf->endpoint.url,
                                 .headers = headers,
                                 .body = question,
                                 .wanted = wanted};

    apr_table_setn(headers, "Content-Type", "application/json");
    apr_table_setn(headers, "Accept", "application/json");
    if (conf->secret_header.name) {
        apr_table_setn(headers, conf->secret_header.name,
                       la_secret_get(conf->secret_header.secret, answer->call->now, answer->pool));
    }
    return la_answer_ask(answer, &request, answer->pool);
}

static void custom_verify(const la_provider_t *provider, const la_call_t *call, apr_pool_t *pool,
                          la_result_t *result)
{
    const custom_conf_t *conf = provider->conf;
    la_answer_t answer = {provider, call, pool, result, .malformed = MESSAGE_MALFORMED};
    la_slice_t question;

    if (!make_question(&conf->send_headers, call, pool, &question)) {
        la_result_set(result, LA_VERDICT_UNAVAILABLE, LA_MESSAGE_ERROR,
                      "a request's path, query and fields make a question of more than 256 KB: "
                      "SendHeaders names the fields that are worth sending");
        result->cause = LA_CAUSE_REQUEST;
    } else if (ask(&answer, question)) {
        judge_answer(&answer);
    }
}

static const la_vary_t custom_vary = {.path = 1, .params = 1};

const la_provider_type_t la_custom_type = {
    .name = "custom",
    .options = custom_options,
    .conf_bytes = sizeof(custom_conf_t),
    .calls_out = 1,
    .can_bind = 1,
    .cache_vary = &custom_vary,
    .finish = custom_finish,
    .verify = custom_verify,
};

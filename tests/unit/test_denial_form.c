/* denial_form.c: presets, templates, and that what is written is JSON whatever the values hold. */
#include "support.h"

#include "access/denial_form.h"
#include "base/json.h"

/* ---- values that try to break out ---- */

static const char *const values[] = {"plain",
                                     "",
                                     "quote \" and \\",
                                     "\r\nX-Evil: 1",
                                     "\x01\x1f\x7f",
                                     "4 bytes: \xf0\x9f\x98\x80",
                                     "broken: \xff\xc3(",
                                     "\"}], \"admin\": true",
                                     "%{message}",
                                     "\\u0022",
                                     "\xed\xa0\x80"};

static const char all_places[] =
    "{\"a\": [\"%{message}%{status}\", {\"b\": "
    "\"<%{code}|%{scope}|%{realm}|%{method}|%{path}|%{request_id}>\"}], \"n\": 1}";

static void assert_object(apr_pool_t *pool, la_slice_t text)
{
    const la_json_t *value;
    const char *error = la_json_parse(pool, text, &value);

    if (error) {
        fail_msg("%s: %s", error, text.data);
    }
    assert_int_equal(la_json_type(value), LA_JSON_OBJECT);
    assert_int_equal(strlen(text.data), text.len);
}

static void test_values(void **state)
{
    static const char *const presets[] = {"llama", "ogx", "openai", "anthropic", "problem"};
    apr_pool_t *pool = new_pool();
    const la_denial_form_t *form;
    const char *type;

    (void)state;
    assert_null(la_denial_form_parse(pool, slice_of_text(all_places), &form));
    for (size_t i = 0; i < ROWS(values); i++) {
        la_denial_context_t context = {values[i], values[i], values[i], values[i], NULL};
        la_denial_t denial = la_denial_make(LA_DENIAL_SCOPE, values[i]);

        denial.scope = values[i];
        assert_object(pool, la_denial_form_write(pool, form, &denial, &context, &type));
        for (size_t p = 0; p < ROWS(presets); p++) {
            assert_object(pool, la_denial_form_write(pool, la_denial_form_preset(presets[p]),
                                                     &denial, &context, &type));
        }
    }
    apr_pool_destroy(pool);
}

static void test_nothing_known(void **state)
{
    apr_pool_t *pool = new_pool();
    la_denial_context_t context = {0};
    la_denial_t denial = la_denial_make(LA_DENIAL_REJECTED, NULL);
    const la_denial_form_t *form;
    const char *type;

    (void)state;
    assert_null(la_denial_form_parse(pool, slice_of_text(all_places), &form));
    assert_string_equal(
        la_denial_form_write(pool, form, &denial, &context, &type).data,
        "{\"a\": [\"Invalid token401\", {\"b\": \"<invalid_token|||||>\"}], \"n\": 1}");
    assert_string_equal(la_denial_form_write(pool, NULL, &denial, &context, &type).data,
                        "{\"error\": {\"message\": \"Invalid token\"}}");
    assert_string_equal(type, "application/json");
    apr_pool_destroy(pool);
}

/* ---- JSON-RPC ---- */

typedef struct rpc_t {
    const char *name;
    la_denial_e kind;
    const char *id;
    const char *written;
} rpc_t;

static rpc_t rpcs[] = {
    {"rpc: no id", LA_DENIAL_BODY, NULL,
     "{\"jsonrpc\": \"2.0\", \"id\": null, \"error\": {\"code\": -32600, \"message\": \"m\"}}"},
    {"rpc: a number", LA_DENIAL_OPERATION, "7",
     "{\"jsonrpc\": \"2.0\", \"id\": 7, \"error\": {\"code\": -32000, \"message\": \"m\"}}"},
    {"rpc: a string", LA_DENIAL_DISAGREES, "\"a\\\"b\"",
     "{\"jsonrpc\": \"2.0\", \"id\": \"a\\\"b\", \"error\": {\"code\": -32020, \"message\": "
     "\"m\"}}"},
    {"rpc: too large", LA_DENIAL_BODY_SIZE, NULL,
     "{\"jsonrpc\": \"2.0\", \"id\": null, \"error\": {\"code\": -32600, \"message\": \"m\"}}"},
};

static void test_rpc(void **state)
{
    const rpc_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_denial_context_t context = {.rpc_id = row->id};
    la_denial_t denial = la_denial_make(row->kind, "m");
    const char *type;

    assert_string_equal(
        la_denial_form_write(pool, la_denial_form_preset("mcp"), &denial, &context, &type).data,
        row->written);
    assert_string_equal(type, "application/json");
    apr_pool_destroy(pool);
}

/* ---- templates ---- */

typedef struct template_t {
    const char *name;
    const char *text;
    const char *written; /* for a rejection at /p; NULL: refused */
    const char *error;
} template_t;

static template_t templates[] = {
    {"template: nothing to replace", "{\"a\": \"b\"}", "{\"a\": \"b\"}", NULL},
    {"template: empty object", "{}", "{}", NULL},
    {"template: a value alone", "{\"a\":\"%{path}\"}", "{\"a\":\"/p\"}", NULL},
    {"template: twice", "{\"a\":\"%{path}%{path}\"}", "{\"a\":\"/p/p\"}", NULL},
    {"template: at both ends", "{\"a\":\"%{code} x %{status}\"}", "{\"a\":\"invalid_token x 401\"}",
     NULL},
    {"template: in a list", "{\"a\":[\"%{path}\"]}", "{\"a\":[\"/p\"]}", NULL},
    {"template: names stay", "{\"%{path}\":1,\"%{nonsense}\" : 2}",
     "{\"%{path}\":1,\"%{nonsense}\" : 2}", NULL},
    {"template: after an escaped quote", "{\"a\":\"\\\"%{path}\\\"\"}", "{\"a\":\"\\\"/p\\\"\"}",
     NULL},
    {"template: after an escaped backslash", "{\"a\":\"\\\\%{path}\"}", "{\"a\":\"\\\\/p\"}", NULL},
    {"template: a lone percent", "{\"a\":\"100%\",\"b\":\"%\"}", "{\"a\":\"100%\",\"b\":\"%\"}",
     NULL},
    {"template: a percent before", "{\"a\":\"%%{path}\"}", "{\"a\":\"%/p\"}", NULL},
    {"template: white space and all", " { \"a\" :\t\"%{path}\" }\n", " { \"a\" :\t\"/p\" }\n",
     NULL},
    {"template: UTF-8", "{\"a\":\"\xc3\xa9%{path}\"}", "{\"a\":\"\xc3\xa9/p\"}", NULL},
    {"template: an escaped placeholder is none", "{\"a\":\"\\u0025{path}\"}",
     "{\"a\":\"\\u0025{path}\"}", NULL},
    {"template: no JSON", "{\"a\":}", NULL, "no JSON: "},
    {"template: empty", "", NULL, "no JSON: "},
    {"template: list", "[\"%{path}\"]", NULL, "no JSON object"},
    {"template: string", "\"%{path}\"", NULL, "no JSON object"},
    {"template: two objects", "{}{}", NULL, "no JSON: "},
    {"template: duplicate names", "{\"a\":1,\"a\":2}", NULL, "no JSON: "},
    {"template: unknown placeholder", "{\"a\":\"%{token}\"}", NULL,
     "there is no placeholder %{token}"},
    {"template: empty placeholder", "{\"a\":\"%{}\"}", NULL, "there is no placeholder %{}"},
    {"template: another case", "{\"a\":\"%{Path}\"}", NULL, "there is no placeholder"},
    {"template: no end", "{\"a\":\"%{path\"}", NULL, "a placeholder has no closing"},
    {"template: its end in the next string", "{\"a\":\"%{path\",\"b\":\"}\"}", NULL,
     "a placeholder has no closing"},
};

static void test_template(void **state)
{
    const template_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_denial_context_t context = {"r", "GET", "/p", "id", NULL};
    la_denial_t denial = la_denial_make(LA_DENIAL_REJECTED, NULL);
    const la_denial_form_t *form;
    const char *error = la_denial_form_parse(pool, slice_of_text(row->text), &form);
    const char *type;

    if (row->error) {
        assert_non_null(error);
        assert_null(form);
        assert_int_equal(strncmp(error, row->error, strlen(row->error)), 0);
    } else {
        assert_null(error);
        assert_string_equal(la_denial_form_write(pool, form, &denial, &context, &type).data,
                            row->written);
    }
    apr_pool_destroy(pool);
}

/* ---- presets by status ---- */

static void test_types(void **state)
{
    static const struct {
        int status;
        const char *openai;
        const char *anthropic;
        const char *title;
    } rows[] = {
        {400, "invalid_request_error", "invalid_request_error", "Bad Request"},
        {401, "invalid_request_error", "authentication_error", "Unauthorized"},
        {403, "permission_error", "permission_error", "Forbidden"},
        {404, "invalid_request_error", "not_found_error", "Not Found"},
        {407, "invalid_request_error", "authentication_error", "Proxy Authentication Required"},
        {413, "invalid_request_error", "request_too_large", "Content Too Large"},
        {415, "invalid_request_error", "invalid_request_error", "Unsupported Media Type"},
        {429, "requests", "rate_limit_error", "Too Many Requests"},
        {500, "server_error", "api_error", "Internal Server Error"},
        {502, "server_error", "api_error", "Bad Gateway"},
        {503, "server_error", "api_error", "Service Unavailable"}};
    apr_pool_t *pool = new_pool();
    la_denial_context_t context = {0};
    const char *type;

    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        la_denial_t denial = la_denial_make(LA_DENIAL_OUTAGE, "m");

        denial.status = rows[i].status;
        assert_string_equal(
            la_denial_form_write(pool, la_denial_form_preset("OpenAI"), &denial, &context, &type)
                .data,
            apr_psprintf(pool,
                         "{\"error\": {\"message\": \"m\", \"type\": \"%s\", \"param\": null, "
                         "\"code\": \"provider_error\"}}",
                         rows[i].openai));
        assert_string_equal(
            la_denial_form_write(pool, la_denial_form_preset("anthropic"), &denial, &context, &type)
                .data,
            apr_psprintf(pool,
                         "{\"type\": \"error\", \"error\": {\"type\": \"%s\", \"message\": \"m\"}}",
                         rows[i].anthropic));
        assert_string_equal(
            la_denial_form_write(pool, la_denial_form_preset("problem"), &denial, &context, &type)
                .data,
            apr_psprintf(pool,
                         "{\"type\": \"about:blank\", \"title\": \"%s\", \"status\": %d, "
                         "\"detail\": \"m\", \"code\": \"provider_error\"}",
                         rows[i].title, rows[i].status));
        assert_string_equal(type, "application/problem+json");
        assert_string_equal(
            la_denial_form_write(pool, la_denial_form_preset("ogx"), &denial, &context, &type).data,
            "{\"error\": {\"message\": \"m\"}}");
    }
    {
        la_denial_t denial = la_denial_make(LA_DENIAL_TOKENS, "m");

        assert_string_equal(
            la_denial_form_write(pool, la_denial_form_preset("openai"), &denial, &context, &type)
                .data,
            "{\"error\": {\"message\": \"m\", \"type\": \"tokens\", \"param\": null, "
            "\"code\": \"insufficient_quota\"}}");
    }
    assert_null(la_denial_form_preset("open ai"));
    apr_pool_destroy(pool);
}

/* A look-up's .htaccess is gone when the request that made it is answered. */
static void test_copy(void **state)
{
    apr_pool_t *pool = new_pool();
    apr_pool_t *short_lived = new_pool();
    la_denial_t denial = la_denial_make(LA_DENIAL_SCOPE, "m");
    la_denial_context_t context = {0};
    const la_denial_form_t *form;
    const char *type;

    (void)state;
    assert_null(
        la_denial_form_parse(short_lived, slice_of_text("{\"a\": \"<%{message}>\"}"), &form));
    form = la_denial_form_copy(pool, form);
    apr_pool_destroy(short_lived);
    assert_string_equal(la_denial_form_write(pool, form, &denial, &context, &type).data,
                        "{\"a\": \"<m>\"}");
    assert_string_equal(type, "application/json");
    assert_null(la_denial_form_copy(pool, NULL));
    form = la_denial_form_preset("problem");
    assert_ptr_equal(la_denial_form_copy(pool, form), form);
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(rpcs); i++) {
        add(rpcs[i].name, test_rpc, &rpcs[i]);
    }
    add("values that try to break out", test_values, NULL);
    add("nothing known", test_nothing_known, NULL);
    add("presets by status", test_types, NULL);
    add("a copy in another pool", test_copy, NULL);
    for (size_t i = 0; i < ROWS(templates); i++)
        add(templates[i].name, test_template, &templates[i]);
    return finish("errform");
}

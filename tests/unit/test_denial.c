/* Tests of src/access/denial.c: spec section 8 row by row, and what strangers can put into its
 * texts. */
#include "access/denial_form.h"

#include <apr_general.h>
#include <apr_strings.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static apr_pool_t *pool;

static int fresh_pool(void **state)
{
    (void)state;
    return apr_pool_create(&pool, NULL);
}

static int drop_pool(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

static void assert_text(const char *got, const char *wanted)
{
    if (wanted == NULL)
        assert_null(got);
    else
        assert_string_equal(got, wanted);
}

/* ---- kinds ------------------------------------------------------------------------ */

typedef struct kind_row_t {
    const char *name;
    la_denial_e kind;
    int status;
    const char *code;
    const char *member;
    const char *text;
} kind_row_t;

static const kind_row_t kind_rows[] = {
    {"kind: misconfigured", LA_DENIAL_MISCONFIGURED, 500, "misconfigured", "message",
     "Authentication is not configured"},
    {"kind: missing token", LA_DENIAL_MISSING_TOKEN, 401, "missing_token", "message",
     "Authentication required"},
    {"kind: malformed credential", LA_DENIAL_MALFORMED_CREDENTIAL, 401, "invalid_request",
     "message", "Invalid Authorization header format"},
    {"kind: body", LA_DENIAL_BODY, 400, "invalid_request", "message",
     "The request body cannot be used"},
    {"kind: fields disagree", LA_DENIAL_DISAGREES, 400, "invalid_request", "message",
     "Header fields do not agree with the request body"},
    {"kind: body size", LA_DENIAL_BODY_SIZE, 413, "body_too_large", "message",
     "The request body is too large"},
    {"kind: media type", LA_DENIAL_MEDIA_TYPE, 415, "unsupported_media_type", "message",
     "The request body must be JSON in UTF-8, without Content-Encoding"},
    {"kind: model", LA_DENIAL_MODEL, 403, "model_not_allowed", "detail", "Access denied"},
    {"kind: unknown model", LA_DENIAL_UNKNOWN_MODEL, 404, "model_not_found", "message",
     "The model does not exist"},
    {"kind: operation", LA_DENIAL_OPERATION, 403, "operation_not_allowed", "detail",
     "Access denied"},
    {"kind: model list", LA_DENIAL_MODEL_LIST, 502, "model_list_error", "message",
     "The list of models cannot be used"},
    {"kind: rejected", LA_DENIAL_REJECTED, 401, "invalid_token", "message", "Invalid token"},
    {"kind: timeout", LA_DENIAL_TIMEOUT, 401, "provider_timeout", "message",
     "Authentication service timeout"},
    {"kind: outage", LA_DENIAL_OUTAGE, 401, "provider_error", "message",
     "Authentication service error"},
    {"kind: scope", LA_DENIAL_SCOPE, 403, "insufficient_scope", "detail", "Access denied"},
    {"kind: attribute", LA_DENIAL_ATTRIBUTE, 403, "insufficient_attributes", "detail",
     "Access denied"},
    {"kind: access", LA_DENIAL_ACCESS, 403, "access_denied", "detail", "Access denied"},
    {"kind: one too many", (la_denial_e)(LA_DENIAL_ACCESS + 1), 500, "misconfigured", "message",
     "Authentication is not configured"},
    {"kind: negative", (la_denial_e)-1, 500, "misconfigured", "message",
     "Authentication is not configured"},
};

static void assert_body(const la_denial_t *denial, const char *member, const char *text)
{
    la_denial_context_t context = {0};
    const char *type;
    la_slice_t body = la_denial_form_write(pool, NULL, denial, &context, &type);
    const char *wanted = apr_pstrcat(pool, "{\"error\": {\"", member, "\": \"", text, "\"}}", NULL);

    assert_string_equal(body.data, wanted);
    assert_int_equal(body.len, strlen(wanted));
}

static void test_kind(void **state)
{
    const kind_row_t *row = *state;
    la_denial_t own = la_denial_make(row->kind, NULL);
    la_denial_t given = la_denial_make(row->kind, "Some text");

    assert_int_equal(own.kind, row->kind);
    assert_int_equal(own.status, row->status);
    assert_int_equal(own.retry_after_s, 1);
    assert_null(own.scope);
    assert_string_equal(own.message, row->text);
    assert_string_equal(given.message, "Some text");
    assert_int_equal(given.status, row->status);
    assert_string_equal(la_denial_code(row->kind), row->code);
    assert_body(&own, row->member, row->text);
    assert_body(&given, row->member, "Some text");
}

/* ---- documents -------------------------------------------------------------------- */

typedef struct body_row_t {
    const char *name;
    const char *message;
    const char *json;
} body_row_t;

static const body_row_t body_rows[] = {
    {"body: empty", "", ""},
    {"body: quotes", "a \"b\" c", "a \\\"b\\\" c"},
    {"body: backslash", "a\\", "a\\\\"},
    {"body: newline", "a\r\nb", "a\\r\\nb"},
    {"body: non-ASCII", "caf\xc3\xa9", "caf\\u00e9"},
    {"body: not UTF-8", "a\xff", "a\\ufffd"},
};

static void test_body(void **state)
{
    const body_row_t *row = *state;
    la_denial_t denial = la_denial_make(LA_DENIAL_REJECTED, row->message);

    assert_body(&denial, "message", row->json);
}

/* ---- challenges ------------------------------------------------------------------- */

typedef struct challenge_row_t {
    const char *name;
    la_denial_e kind;
    int status; /* 0: the kind's own */
    const char *message;
    const char *scope;
    const char *realm;
    const char *challenge;
} challenge_row_t;

#define R           "Bearer realm=\"r\""
#define TEXT(error) R ", error=\"" error "\", error_description=\"text\""

static const challenge_row_t challenge_rows[] = {
    {"challenge: missing token", LA_DENIAL_MISSING_TOKEN, 0, "text", NULL, "r", R},
    {"challenge: malformed", LA_DENIAL_MALFORMED_CREDENTIAL, 0, "text", NULL, "r",
     TEXT("invalid_request")},
    {"challenge: rejected", LA_DENIAL_REJECTED, 0, "text", NULL, "r", TEXT("invalid_token")},
    {"challenge: timeout", LA_DENIAL_TIMEOUT, 0, "text", NULL, "r", R},
    {"challenge: outage", LA_DENIAL_OUTAGE, 0, "text", NULL, "r", R},
    {"challenge: timeout as 503", LA_DENIAL_TIMEOUT, 503, "text", NULL, "r", NULL},
    {"challenge: outage as 503", LA_DENIAL_OUTAGE, 503, "text", "a", "r", NULL},
    {"challenge: scope", LA_DENIAL_SCOPE, 0, "text", "a b", "r",
     TEXT("insufficient_scope") ", scope=\"a b\""},
    {"challenge: scope without scopes", LA_DENIAL_SCOPE, 0, "text", NULL, "r",
     TEXT("insufficient_scope")},
    {"challenge: scope as 401", LA_DENIAL_SCOPE, 401, "text", "a", "r",
     TEXT("insufficient_scope") ", scope=\"a\""},
    {"challenge: attribute", LA_DENIAL_ATTRIBUTE, 0, "text", NULL, "r", NULL},
    {"challenge: attribute as 401", LA_DENIAL_ATTRIBUTE, 401, "text", NULL, "r",
     TEXT("insufficient_scope")},
    {"challenge: access", LA_DENIAL_ACCESS, 0, "text", NULL, "r", NULL},
    {"challenge: access as 401", LA_DENIAL_ACCESS, 401, "text", NULL, "r",
     TEXT("insufficient_scope")},
    {"challenge: misconfigured", LA_DENIAL_MISCONFIGURED, 0, "text", NULL, "r", NULL},
    {"challenge: misconfigured as 401", LA_DENIAL_MISCONFIGURED, 401, "text", NULL, "r", R},
    {"challenge: two tokens, 400", LA_DENIAL_MALFORMED_CREDENTIAL, 400, "text", NULL, "r", NULL},
    {"challenge: no such kind", (la_denial_e)77, 403, "text", NULL, "r", NULL},
    {"challenge: scopes with a missing token", LA_DENIAL_MISSING_TOKEN, 0, "text", "a b", "r",
     R ", scope=\"a b\""},
    {"challenge: scopes with a rejection", LA_DENIAL_REJECTED, 0, "text", "a", "r",
     TEXT("invalid_token") ", scope=\"a\""},
    {"challenge: empty scopes", LA_DENIAL_MISSING_TOKEN, 0, "text", "", "r", R},
    {"challenge: quotes, backslash, CR LF in scopes", LA_DENIAL_MISSING_TOKEN, 0, "text",
     "a\"\\\r\nb\xc3\xa9", "r", R ", scope=\"a??  b?\""},
    {"realm: none", LA_DENIAL_MISSING_TOKEN, 0, NULL, NULL, NULL, "Bearer realm=\"llama_auth\""},
    {"realm: empty", LA_DENIAL_MISSING_TOKEN, 0, NULL, NULL, "", "Bearer realm=\"llama_auth\""},
    {"realm: spaces, comma", LA_DENIAL_MISSING_TOKEN, 0, NULL, NULL, "my llama, 1",
     "Bearer realm=\"my llama, 1\""},
    {"realm: quotes and backslashes", LA_DENIAL_MISSING_TOKEN, 0, NULL, NULL, "\"\\\"",
     "Bearer realm=\"\\\"\\\\\\\"\""},
    {"realm: control characters go", LA_DENIAL_MISSING_TOKEN, 0, NULL, NULL, "a\r\nX: b\t\x7f",
     "Bearer realm=\"aX: b\""},
    {"realm: only control characters", LA_DENIAL_MISSING_TOKEN, 0, NULL, NULL, "\r\n",
     "Bearer realm=\"\""},
    {"realm: UTF-8 stays", LA_DENIAL_MISSING_TOKEN, 0, NULL, NULL, "caf\xc3\xa9",
     "Bearer realm=\"caf\xc3\xa9\""},
    {"description: the kind's text", LA_DENIAL_MALFORMED_CREDENTIAL, 0, NULL, NULL, "r",
     R ", error=\"invalid_request\", error_description=\"Invalid Authorization header format\""},
    {"description: quotes and backslash", LA_DENIAL_REJECTED, 0, "a \"b\" \\", NULL, "r",
     R ", error=\"invalid_token\", error_description=\"a ?b? ?\""},
    {"description: control characters", LA_DENIAL_REJECTED, 0, "a\r\nb\tc\x01\x7f", NULL, "r",
     R ", error=\"invalid_token\", error_description=\"a  b c  \""},
    {"description: the ends of what is allowed", LA_DENIAL_REJECTED, 0, " !#[]~", NULL, "r",
     R ", error=\"invalid_token\", error_description=\" !#[]~\""},
    {"description: one ? for a character", LA_DENIAL_REJECTED, 0, "\xc3\xa9 \xf0\x9f\xa6\x99.",
     NULL, "r", R ", error=\"invalid_token\", error_description=\"? ?.\""},
    {"description: not UTF-8", LA_DENIAL_REJECTED, 0, "\xff\x80z\xc3", NULL, "r",
     R ", error=\"invalid_token\", error_description=\"?z?\""},
    {"description: empty", LA_DENIAL_REJECTED, 0, "", NULL, "r",
     R ", error=\"invalid_token\", error_description=\"\""},
};

static void test_challenge(void **state)
{
    const challenge_row_t *row = *state;
    la_denial_t denial = la_denial_make(row->kind, row->message);

    denial.scope = row->scope;
    if (row->status != 0)
        denial.status = row->status;
    assert_text(la_denial_challenge(pool, &denial, row->realm), row->challenge);
}

/* Whatever is put in, no byte leaves that could end the field or the quoted string. */
static void test_every_byte(void **state)
{
    la_denial_t denial = la_denial_make(LA_DENIAL_SCOPE, NULL);
    char text[4] = "a?b";

    (void)state;
    denial.message = text;
    denial.scope = text;
    for (int byte = 1; byte < 256; byte++) {
        const char *challenge;
        int quotes = 0;

        text[1] = (char)byte;
        challenge = la_denial_challenge(pool, &denial, "r");
        for (; *challenge != '\0'; challenge++) {
            quotes += *challenge == '"';
            assert_true(*challenge >= 0x20 && *challenge < 0x7f && *challenge != '\\');
        }
        assert_int_equal(quotes, 8);
        for (challenge = la_denial_challenge(pool, &denial, text); *challenge != '\0'; challenge++)
            assert_true((unsigned char)*challenge >= 0x20 && *challenge != 0x7f);
    }
}

/* ---- running ---------------------------------------------------------------------- */

static struct CMUnitTest tests[128];
static size_t test_count;

static void add(const char *name, CMUnitTestFunction function, const void *row)
{
    tests[test_count++] =
        (struct CMUnitTest){name, function, fresh_pool, drop_pool, (void *)(uintptr_t)row};
}

#define ADD_ROWS(rows, function)                                                                   \
    for (size_t i = 0; i < ROWS(rows); i++)                                                        \
    add((rows)[i].name, function, &(rows)[i])

/* ---- DPoP's challenge ------------------------------------------------------------- */

typedef struct proof_row_t {
    const char *name;
    la_denial_e kind;
    int status; /* 0: the kind's own */
    const char *algs;
    const char *error;
    const char *challenge;
} proof_row_t;

static const proof_row_t proof_rows[] = {
    {"proof: not asked for", LA_DENIAL_REJECTED, 0, NULL, NULL, NULL},
    {"proof: asked for", LA_DENIAL_MISSING_TOKEN, 0, "ES256", NULL, "DPoP algs=\"ES256\""},
    {"proof: bad", LA_DENIAL_REJECTED, 0, "ES256 EdDSA", "invalid_dpop_proof",
     "DPoP error=\"invalid_dpop_proof\", algs=\"ES256 EdDSA\""},
    {"proof: an error alone", LA_DENIAL_REJECTED, 0, NULL, "invalid_dpop_proof", NULL},
    {"proof: not for a 503", LA_DENIAL_OUTAGE, 503, "ES256", NULL, NULL},
    {"proof: not for a 403", LA_DENIAL_SCOPE, 0, "ES256", NULL, NULL},
    {"proof: not for a 400", LA_DENIAL_SEVERAL_TOKENS, 0, "ES256", NULL, NULL},
};

static void test_proof(void **state)
{
    const proof_row_t *row = *state;
    la_denial_t denial = la_denial_make(row->kind, NULL);

    denial.status = row->status ? row->status : denial.status;
    denial.proof_algs = row->algs;
    denial.proof_error = row->error;
    assert_text(la_denial_proof_challenge(pool, &denial), row->challenge);
}

int main(void)
{
    int failed;

    apr_initialize();
    ADD_ROWS(kind_rows, test_kind);
    ADD_ROWS(body_rows, test_body);
    ADD_ROWS(challenge_rows, test_challenge);
    ADD_ROWS(proof_rows, test_proof);
    add("challenge: every byte", test_every_byte, NULL);
    failed = _cmocka_run_group_tests("errdoc", tests, test_count, NULL, NULL);
    apr_terminate();
    return failed;
}

/* Tests of src/access/confirmation.c: what of a `cnf` is known, and that nothing that cannot be
 * understood is taken for a token without one.
 */
#include "access/confirmation.h"

#include <apr_general.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define JKT         "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
#define X5T         "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"

typedef struct row_t {
    const char *name;
    const char *claims;
    uint32_t members; /* 0: there is no cnf */
} row_t;

static const row_t rows[] = {
    {"cnf: none", "{\"sub\":\"a\"}", 0},
    {"cnf: elsewhere", "{\"a\":{\"cnf\":{\"jkt\":\"" JKT "\"}}}", 0},
    {"cnf: another case", "{\"CNF\":{\"jkt\":\"" JKT "\"}}", 0},
    {"cnf: claims are no object", "[\"cnf\"]", 0},
    {"cnf: jkt", "{\"cnf\":{\"jkt\":\"" JKT "\"}}", LA_CONFIRM_JKT},
    {"cnf: x5t#S256", "{\"cnf\":{\"x5t#S256\":\"" X5T "\"}}", LA_CONFIRM_X5T},
    {"cnf: both", "{\"cnf\":{\"x5t#S256\":\"" X5T "\",\"jkt\":\"" JKT "\"}}",
     LA_CONFIRM_JKT | LA_CONFIRM_X5T},
    {"cnf: jkt written with escapes", "{\"c\\u006ef\":{\"\\u006akt\":\"" JKT "\"}}",
     LA_CONFIRM_JKT},
    {"cnf: jwk", "{\"cnf\":{\"jwk\":{\"kty\":\"EC\"}}}", LA_CONFIRM_UNKNOWN},
    {"cnf: kid", "{\"cnf\":{\"kid\":\"1\"}}", LA_CONFIRM_UNKNOWN},
    {"cnf: jkt and kid", "{\"cnf\":{\"jkt\":\"" JKT "\",\"kid\":\"1\"}}",
     LA_CONFIRM_JKT | LA_CONFIRM_UNKNOWN},
    {"cnf: x5t without its hash", "{\"cnf\":{\"x5t\":\"" X5T "\"}}", LA_CONFIRM_UNKNOWN},
    {"cnf: member in another case", "{\"cnf\":{\"JKT\":\"" JKT "\"}}", LA_CONFIRM_UNKNOWN},
    {"keycloak: jkt", "{\"cnf\":{\"jkt\":\"" JKT "\",\"kc-jkt-type\":\"DPoP\"}}", LA_CONFIRM_JKT},
    {"keycloak: jkt comes last", "{\"cnf\":{\"kc-jkt-type\":\"DPoP\",\"jkt\":\"" JKT "\"}}",
     LA_CONFIRM_JKT},
    {"keycloak: jkt of another kind",
     "{\"cnf\":{\"jkt\":\"" JKT "\",\"kc-jkt-type\":\"Client-Attestation\"}}",
     LA_CONFIRM_JKT | LA_CONFIRM_UNKNOWN},
    {"keycloak: a kind that is no string",
     "{\"cnf\":{\"jkt\":\"" JKT "\",\"kc-jkt-type\":[\"DPoP\"]}}",
     LA_CONFIRM_JKT | LA_CONFIRM_UNKNOWN},
    {"keycloak: a kind in another case", "{\"cnf\":{\"jkt\":\"" JKT "\",\"kc-jkt-type\":\"dpop\"}}",
     LA_CONFIRM_JKT | LA_CONFIRM_UNKNOWN},
    {"keycloak: a null kind", "{\"cnf\":{\"jkt\":\"" JKT "\",\"kc-jkt-type\":null}}",
     LA_CONFIRM_JKT | LA_CONFIRM_UNKNOWN},
    {"keycloak: a kind and no key", "{\"cnf\":{\"kc-jkt-type\":\"DPoP\"}}", LA_CONFIRM_UNKNOWN},
    {"cnf: empty", "{\"cnf\":{}}", LA_CONFIRM_UNKNOWN},
    {"cnf: null", "{\"cnf\":null}", LA_CONFIRM_UNKNOWN},
    {"cnf: a list", "{\"cnf\":[{\"jkt\":\"" JKT "\"}]}", LA_CONFIRM_UNKNOWN},
    {"cnf: a string", "{\"cnf\":\"" JKT "\"}", LA_CONFIRM_UNKNOWN},
    {"cnf: false", "{\"cnf\":false}", LA_CONFIRM_UNKNOWN},
    {"jkt: null", "{\"cnf\":{\"jkt\":null}}", LA_CONFIRM_UNKNOWN},
    {"jkt: null beside x5t#S256", "{\"cnf\":{\"jkt\":null,\"x5t#S256\":\"" X5T "\"}}",
     LA_CONFIRM_X5T | LA_CONFIRM_UNKNOWN},
    {"jkt: a number", "{\"cnf\":{\"jkt\":1}}", LA_CONFIRM_UNKNOWN},
    {"jkt: a list", "{\"cnf\":{\"jkt\":[\"" JKT "\"]}}", LA_CONFIRM_UNKNOWN},
    {"jkt: empty", "{\"cnf\":{\"jkt\":\"\"}}", LA_CONFIRM_UNKNOWN},
    {"jkt: one character less",
     "{\"cnf\":{\"jkt\":\"ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I\"}}", LA_CONFIRM_UNKNOWN},
    {"jkt: padded", "{\"cnf\":{\"jkt\":\"" JKT "=\"}}", LA_CONFIRM_UNKNOWN},
    {"jkt: base64", "{\"cnf\":{\"jkt\":\"0ZcOCORZNYy+DWpqq30jZyJGHTN0d2HglBV3uiguA4I\"}}",
     LA_CONFIRM_UNKNOWN},
    {"jkt: a blank", "{\"cnf\":{\"jkt\":\"0ZcOCORZNYy DWpqq30jZyJGHTN0d2HglBV3uiguA4I\"}}",
     LA_CONFIRM_UNKNOWN},
    {"jkt: NUL inside", "{\"cnf\":{\"jkt\":\"0ZcOCORZNYy\\u0000DWpqq30jZyJGHTN0d2HglBV3uiguA4I\"}}",
     LA_CONFIRM_UNKNOWN},
    {"jkt: NUL behind", "{\"cnf\":{\"jkt\":\"" JKT "\\u0000\"}}", LA_CONFIRM_UNKNOWN},
};

static void test_read(void **state)
{
    const row_t *row = *state;
    la_confirmation_t confirmation;
    const la_json_t *claims;
    apr_pool_t *pool;

    apr_pool_create(&pool, NULL);
    memset(&confirmation, 0x55, sizeof(confirmation));
    assert_null(la_json_parse(pool, la_slice_of(row->claims), &claims));
    assert_int_equal(la_confirmation_read(claims, 0, &confirmation), row->members != 0);
    assert_int_equal(confirmation.members, row->members);
    assert_string_equal(confirmation.jkt, row->members & LA_CONFIRM_JKT ? JKT : "");
    assert_string_equal(confirmation.x5t_s256, row->members & LA_CONFIRM_X5T ? X5T : "");
    assert_int_equal(la_confirmation_check(&confirmation), row->members != 0);
    apr_pool_destroy(pool);
}

static void test_read_nothing(void **state)
{
    la_confirmation_t confirmation;

    (void)state;
    assert_int_equal(la_confirmation_read(NULL, 0, &confirmation), 0);
    assert_int_equal(confirmation.members, 0);
}

int main(void)
{
    struct CMUnitTest tests[ROWS(rows) + 1];
    int failed;

    for (size_t i = 0; i < ROWS(rows); i++) {
        tests[i] =
            (struct CMUnitTest){rows[i].name, test_read, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    }
    tests[ROWS(rows)] =
        (struct CMUnitTest){"cnf: of no document", test_read_nothing, NULL, NULL, NULL};
    apr_initialize();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}

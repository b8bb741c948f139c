/* Tests of src/access/origin.c, and of RequireOrigin's lines in src/access/policy.c. */
#include "access/origin.h"

#include "access/policy.h"

#include <apr_general.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

#define X100                                                                                       \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
    "xxxx"                                                                                         \
    "xxxx"

typedef struct row_t {
    const char *text;
    const char *origin; /* NULL for what is none */
    const char *fault;  /* a part of what an administrator is told */
} row_t;

static const row_t rows[] = {
    {"https://a.example", "https://a.example", NULL},
    {"HTTPS://A.Example", "https://a.example", NULL},
    {"https://a.example:443", "https://a.example", NULL},
    {"https://a.example:80", "https://a.example:80", NULL},
    {"http://a.example:80", "http://a.example", NULL},
    {"http://a.example:443", "http://a.example:443", NULL},
    {"ws://a.example:80", "ws://a.example", NULL},
    {"wss://a.example:443", "wss://a.example", NULL},
    {"http://localhost:6274", "http://localhost:6274", NULL},
    {"http://localhost:65535", "http://localhost:65535", NULL},
    {"http://127.0.0.1:1", "http://127.0.0.1:1", NULL},
    {"http://[::1]", "http://[::1]", NULL},
    {"http://[0:0:0:0:0:0:0:1]:80", "http://[::1]", NULL},
    {"http://[2001:DB8::1]:8080", "http://[2001:db8::1]:8080", NULL},
    {"https://xn--pp-xka.example", "https://xn--pp-xka.example", NULL},
    {"https://a_b-c.example.", "https://a_b-c.example.", NULL},
    {"chrome-extension://abcdef", "chrome-extension://abcdef", NULL},
    {"null", "null", NULL},
    {"NULL", "null", NULL},
    {"https://" X100 X100, "https://" X100 X100, NULL},
    {"", NULL, "'' is no origin"},
    {"*", NULL, "write SCHEME://HOST"},
    {"none", NULL, "write SCHEME://HOST"},
    {"a.example", NULL, "write SCHEME://HOST"},
    {"//a.example", NULL, "write SCHEME://HOST"},
    {"://a.example", NULL, "write SCHEME://HOST"},
    {"1https://a.example", NULL, "write SCHEME://HOST"},
    {"https:/a.example", NULL, "write SCHEME://HOST"},
    {"https://", NULL, "write SCHEME://HOST"},
    {"https://a.example/", NULL, "write https://a.example"},
    {"https://A.example:8443/mcp/x", NULL, "write https://a.example:8443"},
    {"https:///x", NULL, "write SCHEME://HOST"},
    {"https://a.example?x", NULL, "write SCHEME://HOST"},
    {"https://a.example#", NULL, "write SCHEME://HOST"},
    {"https://u@a.example", NULL, "write SCHEME://HOST"},
    {"https://a.example:", NULL, "write SCHEME://HOST"},
    {"https://a.example:0", NULL, "write SCHEME://HOST"},
    {"https://a.example:0443", NULL, "write SCHEME://HOST"},
    {"https://a.example:65536", NULL, "write SCHEME://HOST"},
    {"https://a.example:443000", NULL, "write SCHEME://HOST"},
    {"https://a.example:44x", NULL, "write SCHEME://HOST"},
    {"https://a.example https://b.example", NULL, "write SCHEME://HOST"},
    {"https://a.example, https://b.example", NULL, "write SCHEME://HOST"},
    {" https://a.example", NULL, "write SCHEME://HOST"},
    {"https://a.example ", NULL, "write SCHEME://HOST"},
    {"https://a%2eexample", NULL, "write SCHEME://HOST"},
    {"https://*.example", NULL, "write SCHEME://HOST"},
    {"https://\xc3\xa4.example", NULL, "xn--"},
    {"http://[::1", NULL, "write SCHEME://HOST"},
    {"http://[]", NULL, "write SCHEME://HOST"},
    {"http://[::1]x", NULL, "write SCHEME://HOST"},
    {"http://[fe80::1%25eth0]", NULL, "write SCHEME://HOST"},
    {"http://[127.0.0.1]", NULL, "write SCHEME://HOST"},
    {"http://::1", NULL, "write SCHEME://HOST"},
    {"null, null", NULL, "write SCHEME://HOST"},
    {"https://" X100 X100 X100, NULL, "write SCHEME://HOST"},
};

static apr_pool_t *pool;

static int set_up(void **state)
{
    (void)state;
    return apr_pool_create(&pool, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

static void test_origin(void **state)
{
    const row_t *row = *state;
    char *text = strdup(row->text); /* so that reading past its end is seen */
    const char *found = la_origin_normalize(pool, text);
    const char *parsed;
    const char *fault = la_origin_parse(pool, text, &parsed);

    free(text);
    if (row->origin) {
        assert_null(fault);
        assert_string_equal(found, row->origin);
        assert_string_equal(parsed, row->origin);
        assert_string_equal(la_origin_normalize(pool, found), row->origin);
    } else {
        assert_null(found);
        assert_null(parsed);
        assert_non_null(strstr(fault, row->fault));
    }
}

/* ---- RequireOrigin ---------------------------------------------------------------- */

#define GET  ((la_methods_t)1)
#define POST ((la_methods_t)1 << 2)

static const char *add_line(const la_policy_t **policy, la_methods_t methods, const char *first,
                            const char *second)
{
    const char *words[] = {first, second};

    return la_policy_add_origins(pool, policy,
                                 &(la_policy_line_t){methods, NULL, second ? 2 : 1, words});
}

static void test_methods(void **state)
{
    const la_policy_t *policy = NULL;

    (void)state;
    assert_null(add_line(&policy, POST, "HTTPS://a.example", "null"));
    assert_null(la_policy_origin_fault(pool, policy, POST, "https://a.example"));
    assert_null(la_policy_origin_fault(pool, policy, POST, "null"));
    assert_non_null(la_policy_origin_fault(pool, policy, POST, "https://b.example"));
    assert_non_null(la_policy_origin_fault(pool, policy, POST, NULL));
    assert_non_null(la_policy_origin_fault(pool, policy, GET | POST, "https://b.example"));
    assert_null(la_policy_origin_fault(pool, policy, GET, "https://b.example"));
    assert_null(la_policy_origin_fault(pool, NULL, GET, NULL));
}

static void test_two_lines(void **state)
{
    const la_policy_t *policy = NULL;

    (void)state;
    assert_null(add_line(&policy, GET | POST, "https://a.example", "https://b.example"));
    assert_null(add_line(&policy, POST, "https://b.example", "https://c.example"));
    assert_null(la_policy_origin_fault(pool, policy, GET, "https://a.example"));
    assert_non_null(la_policy_origin_fault(pool, policy, POST, "https://a.example"));
    assert_null(la_policy_origin_fault(pool, policy, POST, "https://b.example"));
    assert_non_null(la_policy_origin_fault(pool, policy, POST, "https://c.example"));
    assert_non_null(strstr(add_line(&policy, POST, "https://d.example", NULL), "write one line"));
    assert_non_null(strstr(add_line(&policy, GET, "none", NULL), "none cannot stand"));
}

static void test_nesting(void **state)
{
    const la_policy_t *parent = NULL;
    const la_policy_t *section = NULL;
    const la_policy_t *both;

    (void)state;
    assert_null(add_line(&parent, LA_METHODS_ALL, "https://a.example", NULL));
    assert_null(add_line(&section, POST, "https://b.example", NULL));
    both = la_policy_merge(pool, parent, section);
    assert_null(la_policy_origin_fault(pool, both, GET, "https://a.example"));
    assert_non_null(la_policy_origin_fault(pool, both, POST, "https://a.example"));
    assert_null(la_policy_origin_fault(pool, both, POST, "https://b.example"));
    section = NULL;
    assert_null(add_line(&section, LA_METHODS_ALL, "none", NULL));
    assert_null(la_policy_origin_fault(pool, la_policy_merge(pool, parent, section), POST, "null"));
}

int main(void)
{
    static struct CMUnitTest tests[ROWS(rows) + 3];
    size_t i;

    apr_initialize();
    for (i = 0; i < ROWS(rows); i++) {
        tests[i] = (struct CMUnitTest){rows[i].text, test_origin, set_up, tear_down,
                                       (void *)(uintptr_t)&rows[i]};
    }
    tests[i++] = (struct CMUnitTest){"lines: methods", test_methods, set_up, tear_down, NULL};
    tests[i++] = (struct CMUnitTest){"lines: two", test_two_lines, set_up, tear_down, NULL};
    tests[i++] = (struct CMUnitTest){"lines: nesting", test_nesting, set_up, tear_down, NULL};
    return _cmocka_run_group_tests("origin", tests, i, NULL, NULL);
}

/* origin.c: which URLs name the same resource. */
#include "support.h"

#include "access/origin.h"

typedef struct case_t {
    const char *name;
    const char *a;
    const char *b;
    int same;
} case_t;

static case_t cases[] = {
    {"equal", "https://a/x", "https://a/x", 1},
    {"equal, and no URL", "urn:a", "urn:a", 1},
    {"no URL, another case", "urn:a", "urn:A", 0},
    {"another scheme with an authority", "ftp://a", "ftp://A", 1},
    {"scheme and host in another case", "https://a.example/x", "HTTPS://A.Example/x", 1},
    {"the path in another case", "https://a/x", "https://a/X", 0},
    {"https and http", "https://a/x", "http://a/x", 0},
    {"the default port of https", "https://a/x", "https://a:443/x", 1},
    {"the default port of http", "http://a", "http://a:80/", 1},
    {"the port of the other scheme", "https://a", "https://a:80", 0},
    {"another port", "https://a:8443", "https://a:8444", 0},
    {"the same port", "https://a:8443/", "https://A:8443", 1},
    {"an empty port", "https://a:/x", "https://a/x", 0},
    {"an IPv6 address", "https://[::1]:443/x", "https://[::1]/x", 1},
    {"an IPv6 address and its port", "https://[::1]:8443", "https://[::1]", 0},
    {"a slash alone", "https://a", "https://a/", 1},
    {"a slash alone before a query", "https://a?q", "https://a/?q", 1},
    {"two slashes", "https://a/", "https://a//", 0},
    {"a slash behind a path", "https://a/x", "https://a/x/", 0},
    {"a query more", "https://a/x", "https://a/x?", 0},
    {"a query in another case", "https://a/x?q", "https://a/x?Q", 0},
    {"an escaped byte", "https://a/%78", "https://a/x", 0},
    {"a longer host", "https://a.example", "https://a.example.evil", 0},
    {"a user", "https://u@a/", "https://u@a", 0},
    {"a user before the host", "https://a@b/x", "https://a/x", 0},
    {"a host that is empty", "https:///", "https://", 0},
    {"nothing", "", "https://a", 0},
    {"a scheme alone", "https:", "https://", 0},
};

static void test_case(void **state)
{
    const case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_slice_t a = slice_of_text(row->a);
    la_slice_t b = slice_of_text(row->b);

    assert_int_equal(la_origin_is_same_url(pool, a, b), row->same);
    assert_int_equal(la_origin_is_same_url(pool, b, a), row->same);
    apr_pool_destroy(pool);
}

static void test_nul(void **state)
{
    apr_pool_t *pool = new_pool();

    (void)state;
    assert_false(la_origin_is_same_url(pool, LA_SLICE("https://a/\0"), LA_SLICE("https://a/")));
    assert_false(la_origin_is_same_url(pool, LA_SLICE("https://a\0/"), LA_SLICE("https://a/")));
    assert_false(la_origin_is_same_url(pool, LA_SLICE("https://a/x\0"), LA_SLICE("https://a/x")));
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(cases); i++) {
        add(cases[i].name, test_case, &cases[i]);
    }
    add("a NUL is a byte like others", test_nul, NULL);
    return finish("origin_url");
}

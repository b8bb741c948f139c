/* uri.c: which URLs name the same resource. */
#include "support.h"

#include "base/uri.h"

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
    {"another scheme with an authority", "ftp://a", "ftp://A", 0},
    {"scheme and host in another case", "https://a.example/x", "HTTPS://A.Example/x", 1},
    {"the path in another case", "https://a/x", "https://a/X", 0},
    {"https and http", "https://a/x", "http://a/x", 0},
    {"the default port of https", "https://a/x", "https://a:443/x", 1},
    {"the default port of http", "http://a", "http://a:80/", 1},
    {"the port of the other scheme", "https://a", "https://a:80", 0},
    {"another port", "https://a:8443", "https://a:8444", 0},
    {"the same port", "https://a:8443/", "https://A:8443", 1},
    {"an empty port", "https://a:/x", "https://a/x", 1},
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

    assert_int_equal(la_uri_is_same(slice_of_text(row->a), slice_of_text(row->b)), row->same);
    assert_int_equal(la_uri_is_same(slice_of_text(row->b), slice_of_text(row->a)), row->same);
}

static void test_nul(void **state)
{
    (void)state;
    assert_false(la_uri_is_same(LA_SLICE("https://a/\0"), LA_SLICE("https://a/")));
    assert_false(la_uri_is_same(LA_SLICE("https://a\0/"), LA_SLICE("https://a/")));
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(cases); i++) {
        add(cases[i].name, test_case, &cases[i]);
    }
    add("a NUL is a byte like others", test_nul, NULL);
    return finish("uri");
}

/* Tests of src/base/uri.c: what RFC 3986 sections 6.2.2 and 6.2.3 make equal, and what they do not.
 */
#include "support.h"

#include "base/uri.h"

typedef struct uri_case_t {
    const char *name;
    const char *text;
    const char *normal; /* NULL: refused */
} uri_case_t;

static uri_case_t cases[] = {
    {"as it is", "https://api.example.com/v1/chat", "https://api.example.com/v1/chat"},
    {"http", "http://api.example.com/v1", "http://api.example.com/v1"},
    {"scheme and host in capitals", "HTTPS://API.Example.COM/v1", "https://api.example.com/v1"},
    {"path in capitals", "https://a/V1/Chat", "https://a/V1/Chat"},
    {"no path", "https://a", "https://a/"},
    {"no path, a query", "https://a?x=1", "https://a/"},
    {"no path, a fragment", "https://a#x", "https://a/"},
    {"slash alone", "https://a/", "https://a/"},
    {"slash at the end", "https://a/b/", "https://a/b/"},
    {"double slash", "https://a//b", "https://a//b"},
    {"query", "https://a/b?x=%41&y=/../c", "https://a/b"},
    {"empty query", "https://a/b?", "https://a/b"},
    {"fragment", "https://a/b#c?d", "https://a/b"},
    {"own port: https", "https://a:443/b", "https://a/b"},
    {"own port: http", "http://a:80/b", "http://a/b"},
    {"own port of the other", "http://a:443/b", "http://a:443/b"},
    {"port", "https://a:8443/b", "https://a:8443/b"},
    {"empty port", "https://a:/b", "https://a/b"},
    {"port with zeros", "https://a:00443/b", "https://a/b"},
    {"port 65535", "https://a:65535/b", "https://a:65535/b"},
    {"port 65536", "https://a:65536/b", NULL},
    {"port 0", "https://a:0/b", NULL},
    {"port of letters", "https://a:x/b", NULL},
    {"port, then letters", "https://a:8x/b", NULL},
    {"port of 20 digits", "https://a:18446744073709551617/b", NULL},
    {"negative port", "https://a:-1/b", NULL},
    {"unreserved escapes", "https://a/%7Ebob/%41%2d%2E%5f%30", "https://a/~bob/A-._0"},
    {"reserved escapes stay", "https://a/b%2Fc%3Fd%23e", "https://a/b%2Fc%3Fd%23e"},
    {"escapes in lower case", "https://a/b%2fc%c3%a9", "https://a/b%2Fc%C3%A9"},
    {"escaped percent", "https://a/%2541", "https://a/%2541"},
    {"no escape", "https://a/100%/b%4", "https://a/100%25/b%254"},
    {"no hex digits", "https://a/%zz%4z", "https://a/%25zz%254z"},
    {"half an escape before one", "https://a/%6%41", "https://a/%256A"},
    {"bytes beyond ASCII", "https://a/caf\xc3\xa9", "https://a/caf%C3%A9"},
    {"escape in the host", "https://ex%61MPLE/", "https://example/"},
    {"dot segments", "https://a/b/./c/../d", "https://a/b/d"},
    {"dot segments of RFC 3986", "https://a/a/b/c/./../../g", "https://a/a/g"},
    {"dots at the end", "https://a/b/..", "https://a/"},
    {"dot at the end", "https://a/b/.", "https://a/b/"},
    {"dots above the root", "https://a/../../b", "https://a/b"},
    {"dots alone", "https://a/..", "https://a/"},
    {"escaped dots", "https://a/b/%2e%2E/c", "https://a/c"},
    {"half escaped dots", "https://a/b/.%2e/c", "https://a/c"},
    {"three dots", "https://a/b/.../c", "https://a/b/.../c"},
    {"dots and more", "https://a/b/..c/.d/e..", "https://a/b/..c/.d/e.."},
    {"dots with an escaped slash", "https://a/b/..%2Fc", "https://a/b/..%2Fc"},
    {"dots and an empty segment", "https://a/b//../c", "https://a/b/c"},
    {"IPv6", "https://[2001:DB8::1]/", "https://[2001:db8::1]/"},
    {"IPv6 and a port", "https://[::1]:8443/", "https://[::1]:8443/"},
    {"IPv6, open", "https://[::1/", NULL},
    {"user", "https://alice@a/", NULL},
    {"user and password", "https://alice:x@a/", NULL},
    {"no host", "https:///b", NULL},
    {"no host, a port", "https://:443/b", NULL},
    {"another scheme", "ftp://a/b", NULL},
    {"no scheme", "a/b", NULL},
    {"a path", "/b", NULL},
    {"one slash", "https:/a/b", NULL},
    {"empty", "", NULL},
    {"scheme alone", "https://", NULL},
    {"blank in the path", "https://a/b c", NULL},
    {"blank before", " https://a/b", NULL},
    {"blank behind", "https://a/b ", NULL},
    {"newline", "https://a/b\n", NULL},
    {"DEL", "https://a/\x7f", NULL},
};

static void test_uri(void **state)
{
    const uri_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    size_t len = strlen(row->text);
    char *text = malloc(len + 1); /* of just that length, for ASan */
    la_uri_t uri;
    const char *fault;

    memcpy(text, row->text, len);
    fault = la_uri_parse(pool, (la_slice_t){text, len}, &uri);
    free(text);
    if (!row->normal) {
        assert_non_null(fault);
    } else {
        const char *normal = la_uri_text(pool, &uri);

        assert_null(fault);
        assert_string_equal(normal, row->normal);
        assert_null(la_uri_parse(pool, la_slice_of(normal), &uri)); /* and so it stays */
        assert_string_equal(la_uri_text(pool, &uri), row->normal);
    }
    apr_pool_destroy(pool);
}

typedef struct path_case_t {
    const char *name;
    const char *text;
    const char *normal; /* NULL: none */
} path_case_t;

static path_case_t paths[] = {
    {"path: as it is", "/v1/chat", "/v1/chat"},
    {"path: with a query", "/v1/chat?a=/../b", "/v1/chat"},
    {"path: dots", "/v1/./a/../chat", "/v1/chat"},
    {"path: asterisk", "*", NULL},
    {"path: empty", "", NULL},
    {"path: relative", "v1", NULL},
    {"path: a query alone", "?a", NULL},
    {"path: blank", "/a b", NULL},
};

static void test_path(void **state)
{
    const path_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_slice_t path = la_uri_path(pool, la_slice_of(row->text));

    if (row->normal) {
        assert_true(la_slice_is(path, row->normal));
    } else {
        assert_null(path.data);
    }
    apr_pool_destroy(pool);
}

static void test_nul(void **state)
{
    apr_pool_t *pool = new_pool();
    la_uri_t uri;

    (void)state;
    assert_non_null(la_uri_parse(pool, LA_SLICE("https://a/b\0c"), &uri));
    assert_non_null(la_uri_parse(pool, LA_SLICE("https://a\0/b"), &uri));
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(cases); i++)
        add(cases[i].name, test_uri, &cases[i]);
    for (size_t i = 0; i < ROWS(paths); i++)
        add(paths[i].name, test_path, &paths[i]);
    add("NUL", test_nul, NULL);
    return finish("uri");
}

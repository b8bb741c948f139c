/* http.c: which URLs can be called. Calls are tested against a real endpoint in tests/http. */
#include "support.h"

#include "io/http.h"

typedef struct url_case_t {
    const char *name;
    const char *url;
    const char *authority; /* NULL: refused */
} url_case_t;

#define URL(url) "url: " url, url

static url_case_t url_cases[] = {
    {URL("http://host"), "host"},
    {URL("https://auth.example.com/validate"), "auth.example.com"},
    {URL("HTTPS://auth.example.com/validate?x=1&y=a@b"), "auth.example.com"},
    {URL("http://host:8080/"), "host:8080"},
    {URL("https://host:443/"), "host:443"},
    {URL("http://host:/"), "host"},
    {URL("http://127.0.0.1:1/"), "127.0.0.1:1"},
    {URL("http://[::1]/"), "[::1]"},
    {URL("http://[::1]:65535/a"), "[::1]:65535"},
    {URL("http://host?query"), "host"},
    {URL("http://host/a@b"), "host"},
    {URL(""), NULL},
    {URL("/validate"), NULL},
    {URL("host:80/validate"), NULL},
    {URL("http:/host/"), NULL},
    {URL("http:///host/"), NULL},
    {URL("http://"), NULL},
    {URL("http://?q"), NULL},
    {URL("http://:80/"), NULL},
    {URL("ftp://host/"), NULL},
    {URL("file:///etc/passwd"), NULL},
    {URL("httpx://host/"), NULL},
    {URL("http://user@host/"), NULL},
    {URL("http://user:password@host/"), NULL},
    {URL("http://:password@host/"), NULL},
    {URL("http://@host/"), NULL},
    {URL("http://host/#fragment"), NULL},
    {URL("http://host/#"), NULL},
    {URL("http://host:0/"), NULL},
    {URL("http://host:000/"), NULL},
    {URL("http://host:65536/"), NULL},
    {URL("http://host:8o/"), NULL},
    {URL("http://host:-1/"), NULL},
    {URL("http://[::1/"), NULL},
    {URL("http://[zz]/"), NULL},
    {URL("http://ho st/"), NULL},
    {URL(" http://host/"), NULL},
    {URL("http://host/ "), NULL},
    {"url: a tab", "http://host/\t", NULL},
    {"url: a line feed", "http://host/\nX: y", NULL},
    {"url: a carriage return", "http://host/\r", NULL},
    {"url: DEL", "http://host/\177", NULL},
    {"url: not ASCII", "http://h\xc3\xb6st/", NULL},
};

static void test_url(void **state)
{
    const url_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    const char *authority = "stale";
    const char *error = la_url_check(pool, row->url, &authority);

    if (row->authority) {
        assert_null(error);
        assert_string_equal(authority, row->authority);
    } else {
        assert_non_null(error);
        assert_null(authority);
    }
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(url_cases); i++)
        add(url_cases[i].name, test_url, &url_cases[i]);
    return finish("http");
}

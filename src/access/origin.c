/* Browsers send origins in one form; administrators also write capitals and default ports. */
#include "access/origin.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define ORIGIN_MAX 300

static int is_scheme_char(char c)
{
    return apr_isalnum(c) || strchr("+-.", c);
}

static int is_host_char(char c)
{
    return apr_isalnum(c) || strchr("-._", c);
}

static int is_ascii(const char *text)
{
    for (; *text && apr_isascii(*text); text++) {}
    return !*text;
}

/* The number of characters at the start of the text that the test accepts. */
static apr_size_t span(const char *text, int (*accepts)(char c))
{
    apr_size_t len = 0;

    while (text[len] && accepts(text[len])) {
        len++;
    }
    return len;
}

/* An address in brackets in its one form. Returns its length in the text, or 0. */
static apr_size_t parse_ipv6(apr_pool_t *pool, const char *text, const char **host)
{
    const char *end = strchr(text, ']');
    char *address = apr_palloc(pool, INET6_ADDRSTRLEN);
    struct in6_addr bytes;

    if (!end || inet_pton(AF_INET6, apr_pstrmemdup(pool, text + 1, (apr_size_t)(end - text - 1)),
                          &bytes) != 1) {
        return 0;
    }
    inet_ntop(AF_INET6, &bytes, address, INET6_ADDRSTRLEN);
    *host = apr_pstrcat(pool, "[", address, "]", NULL);
    return (apr_size_t)(end + 1 - text);
}

/* Returns the host's length in the text, or 0. */
static apr_size_t parse_host(apr_pool_t *pool, const char *text, const char **host)
{
    apr_size_t len;

    if (*text == '[') {
        return parse_ipv6(pool, text, host);
    }
    len = span(text, is_host_char);
    *host = apr_pstrmemdup(pool, text, len);
    return len;
}

/* Whether the text is empty or `:PORT` as browsers write it, in decimal and without leading zeros;
 * *port is "" for none. */
static int parse_port(const char *text, const char **port)
{
    apr_size_t len;

    *port = text;
    if (!*text) {
        return 1;
    }
    len = strspn(text + 1, "0123456789");
    return *text == ':' && text[1] != '0' && len > 0 && len <= 5 && !text[1 + len] &&
           strtol(text + 1, NULL, 10) <= 65535;
}

static int is_default_port(const char *scheme, const char *port)
{
    static const struct {
        const char *scheme;
        const char *port;
    } defaults[] = {{"http", ":80"}, {"https", ":443"}, {"ws", ":80"}, {"wss", ":443"}};

    for (apr_size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
        if (strcasecmp(scheme, defaults[i].scheme) == 0) {
            return strcmp(port, defaults[i].port) == 0;
        }
    }
    return 0;
}

static const char *lower(char *text)
{
    char *p;

    for (p = text; *p; p++) {
        *p = (char)apr_tolower(*p);
    }
    return text;
}

const char *la_origin_normalize(apr_pool_t *pool, const char *text)
{
    apr_size_t scheme_len = span(text, is_scheme_char);
    const char *scheme = apr_pstrmemdup(pool, text, scheme_len);
    const char *host;
    const char *port;
    apr_size_t host_len;

    if (strcasecmp(text, "null") == 0) {
        return "null";
    }
    if (strlen(text) > ORIGIN_MAX || !apr_isalpha(*text) ||
        strncmp(text + scheme_len, "://", 3) != 0) {
        return NULL;
    }
    text += scheme_len + 3;
    host_len = parse_host(pool, text, &host);
    if (!host_len || !parse_port(text + host_len, &port)) {
        return NULL;
    }
    port = is_default_port(scheme, port) ? "" : port;
    return lower(apr_pstrcat(pool, scheme, "://", host, port, NULL));
}

const char *la_origin_parse(apr_pool_t *pool, const char *text, const char **origin)
{
    const char *authority = strstr(text, "://");
    const char *path = authority ? strchr(authority + 3, '/') : NULL;
    const char *without =
        path ? la_origin_normalize(pool, apr_pstrmemdup(pool, text, (apr_size_t)(path - text)))
             : NULL;

    *origin = la_origin_normalize(pool, text);
    if (*origin) {
        return NULL;
    }
    if (without) {
        return apr_psprintf(pool, "'%s' is no origin, which ends before the path: write %s", text,
                            without);
    }
    if (!is_ascii(text)) {
        return apr_psprintf(pool,
                            "'%s' is no origin as browsers send it: write the host in its ASCII "
                            "form (xn--...)",
                            text);
    }
    return apr_psprintf(pool,
                        "'%s' is no origin: write SCHEME://HOST or SCHEME://HOST:PORT, as in "
                        "https://app.example.com, or null",
                        text);
}

/* Splits a URL into its origin, in normal form or NULL, and what follows it. */
static const char *split(apr_pool_t *pool, la_slice_t url, const char **rest)
{
    const char *text = apr_pstrmemdup(pool, url.data, url.len);
    const char *authority = strstr(text, "://");
    const char *path = authority ? authority + 3 + strcspn(authority + 3, "/?#") : "";

    *rest = *path == '/' && (!path[1] || strchr("?#", path[1])) ? path + 1 : path;
    return authority && strlen(text) == url.len
               ? la_origin_normalize(pool, apr_pstrmemdup(pool, text, (apr_size_t)(path - text)))
               : NULL;
}

int la_origin_is_same_url(apr_pool_t *pool, la_slice_t a, la_slice_t b)
{
    const char *rest_a;
    const char *rest_b;
    const char *origin_a = split(pool, a, &rest_a);
    const char *origin_b = split(pool, b, &rest_b);

    return la_slice_equals(a, b) ||
           (origin_a && la_text_is_same(origin_a, origin_b) && strcmp(rest_a, rest_b) == 0);
}

/* Normalises http and https URIs. Linear in time, and a path takes at most three times its length
 * in memory. */
#include "base/uri.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <strings.h>

#include <openssl/crypto.h>

#define PORT_MAX 65535

int la_uri_default_port(const char *scheme)
{
    return strcmp(scheme, "https") == 0 ? 443 : 80;
}

/* ---- characters ---- */

static int is_unreserved(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

/* The byte that the escape at the start of the text stands for, or -1 if none begins there. */
static int escaped_byte(la_slice_t text)
{
    const unsigned char *p = (const unsigned char *)text.data;
    int high = text.len >= 3 && p[0] == '%' ? OPENSSL_hexchar2int(p[1]) : -1;
    int low = high >= 0 ? OPENSSL_hexchar2int(p[2]) : -1;

    return low >= 0 ? high * 16 + low : -1;
}

static char *write_escape(char *out, int byte)
{
    static const char digits[] = "0123456789ABCDEF";

    *out++ = '%';
    *out++ = digits[byte >> 4];
    *out++ = digits[byte & 15];
    return out;
}

static int is_blank_or_control(la_slice_t text)
{
    for (apr_size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.data[i];

        if (byte <= ' ' || byte == 0x7f) {
            return 1;
        }
    }
    return 0;
}

/* One spelling of each escape (RFC 3986 sections 6.2.2.1 and 6.2.2.2). A `%` that begins none is
 * escaped: with what is undone behind it, it would become one. */
static la_slice_t unify_escapes(apr_pool_t *pool, la_slice_t text)
{
    char *start = apr_palloc(pool, 3 * text.len + 1);
    char *out = start;
    apr_size_t at = 0;

    while (at < text.len) {
        la_slice_t rest = {text.data + at, text.len - at};
        int byte = escaped_byte(rest);
        int literal = (unsigned char)*rest.data;

        at += byte >= 0 ? 3 : 1;
        if (byte >= 0 ? is_unreserved(byte) : literal < 0x80 && literal != '%') {
            *out++ = (char)(byte >= 0 ? byte : literal);
        } else {
            out = write_escape(out, byte >= 0 ? byte : literal);
        }
    }
    *out = '\0';
    return (la_slice_t){start, (apr_size_t)(out - start)};
}

/* ---- the path ---- */

/* Removes dot segments (RFC 3986 section 5.2.4) from a path that begins with `/`, in place. */
static apr_size_t remove_dot_segments(char *path, apr_size_t len)
{
    char *out = path;
    apr_size_t at = 0;

    while (at < len) { /* at a `/` */
        const char *segment = path + at + 1;
        apr_size_t end = at + 1;
        int dots = 0; /* the segment's length if it is nothing else */

        for (; end < len && path[end] != '/'; end++) {
            dots = dots >= 0 && path[end] == '.' ? dots + 1 : -1;
        }
        if (dots == 1 || dots == 2) {
            while (dots == 2 && out > path && *--out != '/') {}
            if (end == len) {
                *out++ = '/';
            }
        } else {
            *out++ = '/';
            memmove(out, segment, end - at - 1);
            out += end - at - 1;
        }
        at = end;
    }
    return (apr_size_t)(out - path);
}

la_slice_t la_uri_path(apr_pool_t *pool, la_slice_t path)
{
    apr_size_t len;
    la_slice_t unified;

    for (len = 0; len < path.len && path.data[len] != '?' && path.data[len] != '#'; len++) {}
    path.len = len;
    if (len == 0 || path.data[0] != '/' || is_blank_or_control(path)) {
        return (la_slice_t){NULL, 0};
    }
    unified = unify_escapes(pool, path);
    unified.len = remove_dot_segments((char *)(uintptr_t)unified.data, unified.len);
    return unified;
}

/* ---- the authority ---- */

la_slice_t la_uri_host(apr_pool_t *pool, la_slice_t host)
{
    la_slice_t unified = unify_escapes(pool, host);
    char *bytes = (char *)(uintptr_t)unified.data;

    for (apr_size_t i = 0; i < unified.len; i++) {
        if (bytes[i] >= 'A' && bytes[i] <= 'Z') {
            bytes[i] = (char)(bytes[i] + ('a' - 'A'));
        }
    }
    return unified;
}

/* Reads what follows a host: nothing, or a colon and digits or nothing. */
static int parse_port(la_slice_t text, const char *scheme, int *port)
{
    int number = 0;

    *port = la_uri_default_port(scheme);
    if (text.len <= 1) {
        return text.len == 0 || text.data[0] == ':';
    }
    for (apr_size_t i = 1; i < text.len; i++) {
        if (!apr_isdigit(text.data[i])) {
            return 0;
        }
        number = 10 * number + (text.data[i] - '0');
        if (number > PORT_MAX) {
            return 0;
        }
    }
    *port = number;
    return text.data[0] == ':' && number > 0;
}

static apr_size_t length_of_host(la_slice_t authority)
{
    const char *end = authority.len && authority.data[0] == '['
                          ? memchr(authority.data, ']', authority.len)
                          : NULL;
    apr_size_t len = 0;

    if (end) {
        return (apr_size_t)(end + 1 - authority.data);
    }
    for (; len < authority.len && authority.data[len] != ':'; len++) {}
    return len;
}

static const char *parse_authority(apr_pool_t *pool, la_slice_t authority, la_uri_t *uri)
{
    apr_size_t len = length_of_host(authority);
    la_slice_t rest = {authority.data + len, authority.len - len};

    if (authority.len > 0 && memchr(authority.data, '@', authority.len)) {
        return "it has a user";
    }
    if (len == 0) {
        return "it names no host";
    }
    if (!parse_port(rest, uri->scheme, &uri->port)) {
        return "its port is not a number from 1 to 65535";
    }
    uri->host = la_uri_host(pool, (la_slice_t){authority.data, len});
    return NULL;
}

/* ---- the whole ---- */

static int begins_with(la_slice_t text, const char *prefix)
{
    apr_size_t len = strlen(prefix);

    return text.len >= len && strncasecmp(text.data, prefix, len) == 0;
}

const char *la_uri_parse(apr_pool_t *pool, la_slice_t text, la_uri_t *uri)
{
    la_slice_t authority;
    const char *fault;

    *uri = (la_uri_t){0};
    uri->scheme = begins_with(text, "https://")  ? "https"
                  : begins_with(text, "http://") ? "http"
                                                 : NULL;
    if (!uri->scheme) {
        return "it is neither http nor https";
    }
    if (is_blank_or_control(text)) {
        return "it holds white space or control characters";
    }
    text.data += strlen(uri->scheme) + 3;
    text.len -= strlen(uri->scheme) + 3;
    authority = (la_slice_t){text.data, 0};
    for (; authority.len < text.len && !strchr("/?#", text.data[authority.len]); authority.len++) {}
    fault = parse_authority(pool, authority, uri);
    if (fault) {
        return fault;
    }
    uri->path =
        la_uri_path(pool, (la_slice_t){text.data + authority.len, text.len - authority.len});
    if (!uri->path.data) { /* none: what follows the authority is a query, a fragment or nothing */
        uri->path = LA_SLICE("/");
    }
    return NULL;
}

const char *la_uri_text(apr_pool_t *pool, const la_uri_t *uri)
{
    const char *port =
        uri->port == la_uri_default_port(uri->scheme) ? "" : apr_psprintf(pool, ":%d", uri->port);

    return apr_pstrcat(pool, uri->scheme, "://",
                       apr_pstrmemdup(pool, uri->host.data, uri->host.len), port,
                       apr_pstrmemdup(pool, uri->path.data, uri->path.len), NULL);
}

/* Takes URLs apart only as far as comparing them needs. */
#include "base/uri.h"

#include <strings.h>

typedef struct uri_t {
    la_slice_t scheme;
    la_slice_t host;
    la_slice_t port; /* empty where it is the scheme's own */
    la_slice_t rest; /* path and query; empty for a path of `/` alone */
} uri_t;

/* Cuts `len` bytes off the front of `text`. */
static la_slice_t cut(la_slice_t *text, apr_size_t len)
{
    la_slice_t front = {text->data, len};

    text->data += len;
    text->len -= len;
    return front;
}

/* How many bytes stand before the first of `ends`. */
static apr_size_t length_before(la_slice_t text, const char *ends)
{
    apr_size_t len;

    for (len = 0; len < text.len && (!text.data[len] || !strchr(ends, text.data[len])); len++) {}
    return len;
}

static int is_same_word(la_slice_t a, la_slice_t b)
{
    return a.len == b.len && strncasecmp(a.data, b.data, a.len) == 0;
}

/* Splits host and port; colons inside brackets belong to an IPv6 address. */
static void split_authority(la_slice_t authority, uri_t *uri)
{
    apr_size_t host = length_before(authority, "]");

    host = host < authority.len ? host + 1 : 0;
    while (host < authority.len && authority.data[host] != ':') {
        host++;
    }
    uri->host = cut(&authority, host);
    uri->port = authority.len ? (la_slice_t){authority.data + 1, authority.len - 1} : authority;
    if (la_slice_is(uri->port, is_same_word(uri->scheme, LA_SLICE("https")) ? "443" : "80")) {
        uri->port.len = 0;
    }
}

/* Returns 0 when the text is no http or https URL, or has a user. */
static int split(la_slice_t text, uri_t *uri)
{
    la_slice_t authority;

    uri->scheme = cut(&text, length_before(text, ":"));
    if (text.len < 3 || memcmp(text.data, "://", 3) != 0 ||
        (!is_same_word(uri->scheme, LA_SLICE("http")) &&
         !is_same_word(uri->scheme, LA_SLICE("https")))) {
        return 0;
    }
    cut(&text, 3);
    authority = cut(&text, length_before(text, "/?#"));
    split_authority(authority, uri);
    if (text.len > 0 && text.data[0] == '/' && (text.len == 1 || strchr("?#", text.data[1]))) {
        cut(&text, 1);
    }
    uri->rest = text;
    return uri->host.len > 0 && length_before(authority, "@") == authority.len;
}

int la_uri_is_same(la_slice_t a, la_slice_t b)
{
    uri_t x;
    uri_t y;

    if (la_slice_equals(a, b)) {
        return 1;
    }
    return split(a, &x) && split(b, &y) && is_same_word(x.scheme, y.scheme) &&
           is_same_word(x.host, y.host) && la_slice_equals(x.port, y.port) &&
           la_slice_equals(x.rest, y.rest);
}

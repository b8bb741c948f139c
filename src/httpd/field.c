/* Names of header fields. In any thread. */
#include "httpd/field.h"

#include <apr_lib.h>

char la_field_cgi_char(char c)
{
    return apr_isalnum(c) ? (char)apr_toupper(c) : '_';
}

int la_field_has_name(la_slice_t field, const char *name)
{
    apr_size_t i;

    for (i = 0; i < field.len && name[i]; i++) {
        if (la_field_cgi_char(field.data[i]) != la_field_cgi_char(name[i])) {
            return 0;
        }
    }
    return i == field.len && !name[i];
}

int la_field_is_same(const char *a, const char *b)
{
    return la_field_has_name(la_slice_of(a), b);
}

/* `Proxy` would become HTTP_PROXY; mod_proxy adds to X-Forwarded-* and Via. */
int la_field_is_vital(const char *name)
{
    static const char *const names[] = {"Authorization",
                                        "Proxy-Authorization",
                                        "DPoP",
                                        "Cookie",
                                        "Host",
                                        "Connection",
                                        "Keep-Alive",
                                        "Content-Length",
                                        "Content-Type",
                                        "Content-Encoding",
                                        "Content-Range",
                                        "Transfer-Encoding",
                                        "TE",
                                        "Trailer",
                                        "Upgrade",
                                        "HTTP2-Settings",
                                        "Expect",
                                        "Range",
                                        "If-Range",
                                        "If-Match",
                                        "If-None-Match",
                                        "If-Modified-Since",
                                        "If-Unmodified-Since",
                                        "Max-Forwards",
                                        "Proxy",
                                        "Proxy-Connection",
                                        "Origin",
                                        "Sec-WebSocket-Key",
                                        "Sec-WebSocket-Version",
                                        "Sec-WebSocket-Extensions",
                                        "Via",
                                        "X-Forwarded-For",
                                        "X-Forwarded-Host",
                                        "X-Forwarded-Server",
                                        NULL};
    const char *const *vital;

    for (vital = names; *vital; vital++) {
        if (la_field_is_same(name, *vital)) {
            return 1;
        }
    }
    return 0;
}

/* Base64url to bytes, strictly. Owns nothing; any thread: key sets at startup and in the background,
 * tokens in requests.
 */
#include "core/base64url.h"

/* The six bits of a character, or -1. */
static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int la_base64url_decode(apr_pool_t *pool, la_slice_t text, la_slice_t *bytes)
{
    apr_size_t len = text.len / 4 * 3 + (text.len % 4 > 1 ? text.len % 4 - 1 : 0);
    char *out = apr_palloc(pool, len + 1);
    apr_size_t written = 0;
    unsigned int held = 0; /* the bits that are not written yet are its lowest */
    int bits = 0;

    *bytes = (la_slice_t){"", 0};
    for (apr_size_t i = 0; i < text.len; i++) {
        int six = sextet(text.data[i]);

        if (six < 0) {
            return 0;
        }
        held = (held << 6 | (unsigned int)six) & 0xFFF;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[written++] = (char)(unsigned char)(held >> bits & 0xFF);
        }
    }
    /* Six bits over: a lone character, which is no byte. */
    if (bits == 6 || (held & ((1u << bits) - 1)) != 0) {
        return 0;
    }
    out[written] = '\0';
    *bytes = (la_slice_t){out, written};
    return 1;
}

#include "base/base64url.h"

/* No sextet: a bit that no six bits have. */
#define FOREIGN 0x40

#define SEXTET(c)                                                                                  \
    (unsigned char)((c) >= 'A' && (c) <= 'Z'   ? (c) - 'A'                                         \
                    : (c) >= 'a' && (c) <= 'z' ? (c) - 'a' + 26                                    \
                    : (c) >= '0' && (c) <= '9' ? (c) - '0' + 52                                    \
                    : (c) == '-'               ? 62                                                \
                    : (c) == '_'               ? 63                                                \
                                               : FOREIGN)
#define FOUR(first) SEXTET(first), SEXTET((first) + 1), SEXTET((first) + 2), SEXTET((first) + 3)
#define ROW(first)                                                                                 \
    FOUR(first), FOUR((first) + 4), FOUR((first) + 8), FOUR((first) + 12), FOUR((first) + 16),     \
        FOUR((first) + 20), FOUR((first) + 24), FOUR((first) + 28)

/* The six bits of each character, computed by the compiler. */
static const unsigned char sextets[256] = {ROW(0),   ROW(32),  ROW(64),  ROW(96),
                                           ROW(128), ROW(160), ROW(192), ROW(224)};

/* Four characters to three bytes at a time. Returns FOREIGN among other bits if any is foreign. */
static unsigned int decode_groups(const unsigned char *in, apr_size_t groups, unsigned char *out)
{
    unsigned int foreign = 0;

    for (; groups > 0; groups--, in += 4, out += 3) {
        unsigned int a = sextets[in[0]];
        unsigned int b = sextets[in[1]];
        unsigned int c = sextets[in[2]];
        unsigned int d = sextets[in[3]];

        foreign |= a | b | c | d;
        out[0] = (unsigned char)(a << 2 | b >> 4);
        out[1] = (unsigned char)(b << 4 | c >> 2);
        out[2] = (unsigned char)(c << 6 | d);
    }
    return foreign;
}

/* The two or three characters after the last group. Returns FOREIGN also for bits over that are not
 * zero. */
static unsigned int decode_rest(const unsigned char *in, apr_size_t count, unsigned char *out)
{
    unsigned int a = sextets[in[0]];
    unsigned int b = sextets[in[1]];
    unsigned int c = count == 3 ? sextets[in[2]] : 0;
    unsigned int over = count == 3 ? c & 3 : b & 15;

    out[0] = (unsigned char)(a << 2 | b >> 4);
    if (count == 3) {
        out[1] = (unsigned char)(b << 4 | c >> 2);
    }
    return a | b | c | (over ? FOREIGN : 0);
}

int la_base64url_decode(apr_pool_t *pool, la_slice_t text, la_slice_t *bytes)
{
    const unsigned char *in = (const unsigned char *)text.data;
    apr_size_t groups = text.len / 4;
    apr_size_t rest = text.len % 4;
    apr_size_t len = groups * 3 + (rest > 1 ? rest - 1 : 0);
    unsigned char *out;
    unsigned int foreign;

    *bytes = (la_slice_t){"", 0};
    if (rest == 1) { /* six bits are no byte */
        return 0;
    }
    out = apr_palloc(pool, len + 1);
    foreign = decode_groups(in, groups, out);
    if (rest > 0) {
        foreign |= decode_rest(in + groups * 4, rest, out + groups * 3);
    }
    if (foreign & FOREIGN) {
        return 0;
    }
    out[len] = '\0';
    *bytes = (la_slice_t){(const char *)out, len};
    return 1;
}

static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

apr_size_t la_base64url_encode(la_slice_t bytes, char *text)
{
    const unsigned char *in = (const unsigned char *)bytes.data;
    apr_size_t left = bytes.len;
    char *out = text;

    for (; left >= 3; left -= 3, in += 3) {
        *out++ = characters[in[0] >> 2];
        *out++ = characters[(in[0] << 4 | in[1] >> 4) & 63];
        *out++ = characters[(in[1] << 2 | in[2] >> 6) & 63];
        *out++ = characters[in[2] & 63];
    }
    if (left > 0) {
        unsigned int second = left == 2 ? in[1] : 0;

        *out++ = characters[in[0] >> 2];
        *out++ = characters[(in[0] << 4 | second >> 4) & 63];
        if (left == 2) {
            *out++ = characters[second << 2 & 63];
        }
    }
    *out = '\0';
    return (apr_size_t)(out - text);
}

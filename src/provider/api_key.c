#include "provider/api_key.h"

#include <stdint.h>

#include <apr_strings.h>

#define RANDOM_CHARS 43
#define CHECK_CHARS  6

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#define BASE (sizeof(digits) - 1)

/* CRC-32 as in zlib, PNG and Ethernet: polynomial 0xEDB88320, reflected. */
static uint32_t crc32_of(la_slice_t bytes)
{
    uint32_t crc = UINT32_MAX;

    for (apr_size_t i = 0; i < bytes.len; i++) {
        crc ^= (unsigned char)bytes.data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320u : 0);
        }
    }
    return ~crc;
}

/* Writes a number of `len` bytes, the most significant first, as `count` characters. */
static void write_base62(char *out, int count, const unsigned char *bytes, int len)
{
    unsigned char number[LA_API_KEY_RANDOM_BYTES];

    memcpy(number, bytes, (size_t)len);
    while (count > 0) {
        unsigned rest = 0;

        for (int i = 0; i < len; i++) {
            rest = rest << 8 | number[i];
            number[i] = (unsigned char)(rest / BASE);
            rest %= BASE;
        }
        out[--count] = digits[rest];
    }
}

static void write_check(char *out, la_slice_t before)
{
    uint32_t crc = crc32_of(before);
    unsigned char bytes[] = {(unsigned char)(crc >> 24), (unsigned char)(crc >> 16),
                             (unsigned char)(crc >> 8), (unsigned char)crc};

    write_base62(out, CHECK_CHARS, bytes, (int)sizeof(bytes));
}

const char *la_api_key_make(apr_pool_t *pool, const char *prefix,
                            const unsigned char random[LA_API_KEY_RANDOM_BYTES])
{
    apr_size_t len = strlen(prefix);
    char *key = apr_pcalloc(pool, len + LA_API_KEY_CHARS + 1);

    apr_cpystrn(key, prefix, len + 1);
    write_base62(key + len, RANDOM_CHARS, random, LA_API_KEY_RANDOM_BYTES);
    write_check(key + len + RANDOM_CHARS, (la_slice_t){key, len + RANDOM_CHARS});
    return key;
}

static int is_base62(char c)
{
    return c != '\0' && strchr(digits, c) != NULL;
}

la_api_key_form_e la_api_key_form(la_slice_t token)
{
    char check[CHECK_CHARS];
    apr_size_t prefix;

    if (token.len < LA_API_KEY_CHARS || token.len > LA_API_KEY_PREFIX_MAX + LA_API_KEY_CHARS) {
        return LA_API_KEY_OTHER;
    }
    prefix = token.len - LA_API_KEY_CHARS;
    for (apr_size_t i = prefix; i < token.len; i++) {
        if (!is_base62(token.data[i])) {
            return LA_API_KEY_OTHER;
        }
    }
    write_check(check, (la_slice_t){token.data, token.len - CHECK_CHARS});
    if (memcmp(token.data + token.len - CHECK_CHARS, check, CHECK_CHARS) == 0) {
        return LA_API_KEY_SOUND;
    }
    return prefix > 0 && !is_base62(token.data[prefix - 1]) ? LA_API_KEY_MISTYPED
                                                            : LA_API_KEY_OTHER;
}

/* The form of the keys that llama-auth-keys makes: a prefix, 43 base62 characters of 256 random
 * bits, and 6 of the CRC-32 of all before them (base62: digits, capitals, small letters; the most
 * significant first). */
#pragma once

#include "base/slice.h"

#include <apr_pools.h>

#define LA_API_KEY_RANDOM_BYTES 32

#define LA_API_KEY_PREFIX_MAX 32

/* Characters behind the prefix. */
#define LA_API_KEY_CHARS 49

typedef enum la_api_key_form_e {
    LA_API_KEY_OTHER,    /* made elsewhere; too long too */
    LA_API_KEY_MISTYPED, /* one of ours whose check digits do not fit, or made elsewhere */
    LA_API_KEY_SOUND     /* one of ours, issued or not */
} la_api_key_form_e;

/* Makes a key of random bytes, in `pool`. */
const char *la_api_key_make(apr_pool_t *pool, const char *prefix,
                            const unsigned char random[LA_API_KEY_RANDOM_BYTES]);

/* What a token looks like. Only a prefix that ends in no letter or digit can be told from the rest,
 * so a mistyped key with another prefix is `other`. */
la_api_key_form_e la_api_key_form(la_slice_t token);

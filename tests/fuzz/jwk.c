/* A JWK set: what is among the keys can be used, and is not more than asked for; each has a name by
 * its thumbprint, which is the same once it was written and read again. */
#include "jose/jwk.h"
#include "jose/jwk_public.h"
#include "jose/thumbprint.h"

#include "fuzz.h"

static void write_and_read(apr_pool_t *pool, const EVP_PKEY *key)
{
    char json[LA_JWK_PUBLIC_BYTES];
    char name[LA_THUMBPRINT_LEN + 1];
    char again[LA_THUMBPRINT_LEN + 1];
    apr_size_t len = la_jwk_public(key, json);
    const char *text = apr_pstrcat(pool, "{\"keys\":[", json, "]}", NULL);
    const la_jwks_t *set;

    HOLDS(len > 0 && len == strlen(json) && la_thumbprint_of(key, name));
    HOLDS(!la_jwks_parse(pool, (la_slice_t){text, strlen(text)}, ~(la_jwa_set_t)0, &set));
    HOLDS(la_thumbprint_of(set->keys[0].key, again) && strcmp(name, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char *text = exact(data, size);
    la_jwa_set_t allowed = size && data[0] == '{' ? ~(la_jwa_set_t)0 : 0x1ff;
    const la_jwks_t *set;
    apr_size_t i;

    if (!la_jwks_parse(pool, (la_slice_t){text, size}, allowed, &set)) {
        HOLDS(set->count >= 1 && set->count <= LA_JWK_MAX_KEYS);
        for (i = 0; i < set->count; i++) {
            const la_jwk_t *key = &set->keys[i];

            HOLDS(key->algorithms != 0);
            HOLDS((key->key != NULL) != (key->secret.len > 0));
            if (key->key) {
                write_and_read(pool, key->key);
            }
        }
    }
    free(text);
    apr_pool_destroy(pool);
    return 0;
}

/* A JWK set: what is among the keys can be used, and is not more than asked for. */
#include "jose/jwk.h"

#include "fuzz.h"

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
        }
    }
    free(text);
    apr_pool_destroy(pool);
    return 0;
}

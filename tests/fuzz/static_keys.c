/* The key file of a static provider: what is loaded is found by its digest only, and each caller is
 * sound. */
#include "provider/static_keys.h"

#include "identities.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static la_provider_common_t common;
    static la_static_keys_form_t form = {.common = &common};
    static const unsigned char nobody[LA_DIGEST_BYTES];
    apr_pool_t *pool = fuzz_pool();
    char *text = exact(data, size);
    la_static_keys_t *keys;

    if (!la_static_keys_parse((la_slice_t){text, size}, &form, pool, pool, &keys)) {
        const la_api_key_t *key = la_static_keys_find(keys, nobody);

        HOLDS(!key || memcmp(key->digest, nobody, sizeof(nobody)) == 0);
        if (key) {
            check_identity(key->identity, pool);
        }
    }
    free(text);
    apr_pool_destroy(pool);
    return 0;
}

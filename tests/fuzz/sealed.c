/* What lies in the second-level cache: nothing but what was sealed for the place opens. */
#include "lookup/seal.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char *text = exact(data, size);
    la_slice_t plain = {text, size};
    la_seal_keys_t keys;
    la_slice_t sealed;
    la_slice_t opened;

    HOLDS(la_seal_keys(LA_SLICE("0123456789abcdef0123456789abcdef"), &keys) == APR_SUCCESS);
    HOLDS(la_unseal(&keys, LA_SLICE("here"), plain, pool, &opened) != LA_UNSEAL_OK);
    HOLDS(la_seal(&keys, LA_SLICE("here"), plain, pool, &sealed) == APR_SUCCESS);
    HOLDS(la_unseal(&keys, LA_SLICE("there"), sealed, pool, &opened) == LA_UNSEAL_FORGED);
    HOLDS(la_unseal(&keys, LA_SLICE("here"), sealed, pool, &opened) == LA_UNSEAL_OK);
    HOLDS(opened.len == size && (size == 0 || memcmp(opened.data, text, size) == 0));
    free(text);
    apr_pool_destroy(pool);
    return 0;
}

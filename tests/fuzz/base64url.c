/* base64url: what decodes encodes to the same text again, so no two texts mean the same bytes. */
#include "base/base64url.h"

#include "fuzz.h"

#include <openssl/evp.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char *text = exact(data, size);
    la_slice_t bytes;

    if (la_base64url_decode(pool, (la_slice_t){text, size}, &bytes)) {
        char *again = apr_pcalloc(pool, bytes.len * 2 + 8);
        size_t i;

        EVP_EncodeBlock((unsigned char *)again, (const unsigned char *)bytes.data, (int)bytes.len);
        again[strcspn(again, "=")] = '\0';
        for (i = 0; again[i]; i++) {
            again[i] = again[i] == '+' ? '-' : again[i] == '/' ? '_' : again[i];
        }
        HOLDS(strlen(again) == size && memcmp(again, text, size) == 0);
    }
    free(text);
    apr_pool_destroy(pool);
    return 0;
}

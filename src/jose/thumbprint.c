/* Computes thumbprints of keys. */
#include "jose/thumbprint.h"

#include "base/base64url.h"
#include "base/digest.h"
#include "jose/jwk_public.h"

int la_thumbprint_of(const EVP_PKEY *key, char text[LA_THUMBPRINT_LEN + 1])
{
    _Static_assert(LA_BASE64URL_CHARS(LA_DIGEST_BYTES) == LA_THUMBPRINT_LEN,
                   "base64url of SHA-256");
    char json[LA_JWK_PUBLIC_BYTES];
    unsigned char digest[LA_DIGEST_BYTES];
    apr_size_t len = la_jwk_public(key, json);

    text[0] = '\0';
    if (len == 0 || la_digest_sha256((la_slice_t){json, len}, digest) != APR_SUCCESS) {
        return 0;
    }
    la_base64url_encode((la_slice_t){(const char *)digest, sizeof(digest)}, text);
    return 1;
}

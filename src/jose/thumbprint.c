#include "jose/thumbprint.h"

#include "base/base64url.h"
#include "base/digest.h"
#include "jose/jwk_public.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <limits.h>
#include <string.h>

static int write_thumbprint(la_slice_t bytes, char text[LA_THUMBPRINT_LEN + 1])
{
    _Static_assert(LA_BASE64URL_CHARS(LA_DIGEST_BYTES) == LA_THUMBPRINT_LEN,
                   "base64url of SHA-256");
    unsigned char digest[LA_DIGEST_BYTES];

    if (la_digest_sha256(bytes, digest) != APR_SUCCESS) {
        return 0;
    }
    la_base64url_encode((la_slice_t){(const char *)digest, sizeof(digest)}, text);
    return 1;
}

int la_thumbprint_of(const EVP_PKEY *key, char text[LA_THUMBPRINT_LEN + 1])
{
    char json[LA_JWK_PUBLIC_BYTES];
    apr_size_t len = la_jwk_public(key, json);

    text[0] = '\0';
    return len > 0 && write_thumbprint((la_slice_t){json, len}, text);
}

int la_certificate_thumbprint(la_slice_t pem, char text[LA_THUMBPRINT_LEN + 1])
{
    BIO *bio = pem.len > 0 && pem.len <= INT_MAX ? BIO_new_mem_buf(pem.data, (int)pem.len) : NULL;
    unsigned char *der = NULL;
    char *header = NULL;
    char *name = NULL;
    long len = 0;
    int found;

    text[0] = '\0';
    found = bio && PEM_read_bio(bio, &name, &header, &der, &len) == 1 &&
            strcmp(name, PEM_STRING_X509) == 0 &&
            write_thumbprint((la_slice_t){(const char *)der, (apr_size_t)len}, text);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    BIO_free(bio);
    ERR_clear_error();
    return found;
}

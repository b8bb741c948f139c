/* Computes thumbprints of certificates. */
#include "jose/certificate.h"

#include "base/base64url.h"
#include "base/digest.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <limits.h>
#include <string.h>

static int write_thumbprint(const unsigned char *der, long len, char *text)
{
    unsigned char digest[LA_DIGEST_BYTES];

    if (la_digest_sha256((la_slice_t){(const char *)der, (apr_size_t)len}, digest) != APR_SUCCESS) {
        return 0;
    }
    la_base64url_encode((la_slice_t){(const char *)digest, sizeof(digest)}, text);
    return 1;
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
            strcmp(name, PEM_STRING_X509) == 0 && write_thumbprint(der, len, text);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    BIO_free(bio);
    ERR_clear_error();
    return found;
}

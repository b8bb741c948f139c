/* Digests with libcrypto. Keeps the fetched algorithm for the process. Any thread. */
#include "base/digest.h"

#include <stdatomic.h>

#include <openssl/evp.h>

/* SHA-256, fetched once, because that takes longer than a digest. When two threads fetch, one copy
 * is freed. A failure is not remembered. The reference is never given back: libcrypto keeps the
 * object anyway. */
static const EVP_MD *sha256(void)
{
    static _Atomic(EVP_MD *) fetched;
    EVP_MD *md = atomic_load(&fetched);
    EVP_MD *other = NULL;

    if (md) {
        return md;
    }
    md = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!md || atomic_compare_exchange_strong(&fetched, &other, md)) {
        return md;
    }
    EVP_MD_free(md);
    return other;
}

apr_status_t la_digest_sha256(la_slice_t bytes, unsigned char digest[LA_DIGEST_BYTES])
{
    const EVP_MD *md = sha256();

    return md && EVP_Digest(bytes.data, bytes.len, digest, NULL, md, NULL) == 1 ? APR_SUCCESS
                                                                                : APR_EGENERAL;
}

void la_digest_hex(const unsigned char *bytes, apr_size_t len, char *hex)
{
    static const char digits[] = "0123456789abcdef";

    for (apr_size_t i = 0; i < len; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * len] = '\0';
}

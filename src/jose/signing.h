/* One private key, ready to sign JSON Web Tokens in compact form (RFC 7515, RFC 7518 sections 3.3
 * and 3.4, RFC 8037 section 3.1), and what the public is told of it. OpenSSL's preparation is made
 * once and copied for each signature. */
#pragma once

#include "base/slice.h"
#include "jose/thumbprint.h"

#include <apr_pools.h>

#include <openssl/evp.h>

/* Constant once made; any number of threads may use it at once. */
typedef struct la_signing_key_t {
    char kid[LA_THUMBPRINT_LEN + 1]; /* its thumbprint (RFC 7638) */
    const char *algorithm;           /* ES256, ES384, EdDSA or RS256 */
    const char *jwk;                 /* its public part (RFC 7517), with use, alg and kid */
    la_slice_t header;               /* of its tokens: base64url, and the dot */
    EVP_MD_CTX *ready;               /* never used itself */
    apr_size_t half;                 /* ECDSA: bytes of each of the two numbers; else 0 */
    apr_size_t signature_bytes;      /* the most that OpenSSL writes */
} la_signing_key_t;

/* Reads the one private key of a PEM text, as OpenSSL's tools write it: EC P-256 or P-384, Ed25519,
 * RSA of 2048 to 8192 bits. Certificates and parameters beside it are skipped. The key signs
 * once, and its public part has to verify that.
 *
 * key: in `pool`, which gets a cleanup that frees what OpenSSL holds; NULL on failure.
 * Returns NULL, or why there is no key, a literal or in `pool`: no PEM, encrypted, several, another
 * type or size. Leaves OpenSSL's error queue empty.
 */
const char *la_signing_key_read(apr_pool_t *pool, la_slice_t pem, const la_signing_key_t **key);

/* Makes a signed token. claims: a JSON object. prefix: what the text begins with, before the token;
 * may be "". Returns the text, in `pool`, or NULL when libcrypto fails. Leaves OpenSSL's error
 * queue empty. Any thread. */
const char *la_signing_jwt(const la_signing_key_t *key, la_slice_t claims, la_slice_t prefix,
                           apr_pool_t *pool);

/* Public keys from their numbers to OpenSSL's form. RSA and EC keys have passed OpenSSL's public
 * check. Keys come from outside.
 */
#ifndef LA_PUBKEY_H
#define LA_PUBKEY_H

#include "base/slice.h"

#include <apr_pools.h>

#include <openssl/evp.h>

/* What one set's RSA keys may cost to check: 1 for 2048 bits and growing with the third power, as
 * the time does. It is 256 keys of 2048 bits, 64 of up to 4096 or 8 of 8192: a second or two. */
#define LA_PUBKEY_EFFORT 512

/* All three: numbers are big-endian bytes; `pool` holds the reason and gets a cleanup that frees
 * the key, which is NULL on failure. They return NULL, or why it is no key. OpenSSL's error queue
 * is the caller's to clear. */

/* RSA: 2048 to 8192 bits, an odd exponent from 3 on of at most 64 bits, a modulus that passes
 * OpenSSL's check. Zeros in front of a number do not count. effort: LA_PUBKEY_EFFORT at first; what
 * is left of it. */
const char *la_pubkey_rsa(apr_pool_t *pool, la_slice_t modulus, la_slice_t exponent,
                          unsigned int *effort, EVP_PKEY **key);

/* EC: a point on the curve `curve`, P-256, P-384 or P-521; both coordinates of exactly its
 * length. */
const char *la_pubkey_ec(apr_pool_t *pool, const char *curve, la_slice_t x, la_slice_t y,
                         EVP_PKEY **key);

/* EdDSA (RFC 8032 sections 5.1.2, 5.2.2): a point on `curve`, Ed25519 or Ed448, as it is encoded,
 * of exactly its length; whether it is on the curve shows at the first signature, which is never
 * valid then. */
const char *la_pubkey_okp(apr_pool_t *pool, const char *curve, la_slice_t point, EVP_PKEY **key);

#endif

/* Sealed bytes: what is handed to a store that others may read and write, and taken back from it
 * only if this key sealed it for this place. AES-256-GCM (NIST SP 800-38D) under a key of its own
 * for each sealing, which HMAC-SHA256 derives from the secret's key and a random salt, so that
 * nonces cannot wear out.
 *
 *   "LA" | format 1 | salt 16 | nonce 12 | ciphertext | tag 16
 */
#pragma once

#include "base/slice.h"

#include <apr_errno.h>
#include <apr_pools.h>

/* The least length of a secret: what `openssl rand -base64 32` prints has 44 characters. */
#define LA_SEAL_SECRET_MIN 32

/* Length of a name in hex digits, without the closing NUL. */
#define LA_SEAL_NAME_LEN 64

/* What a secret is used for, apart from each other (HKDF-SHA256, RFC 5869). */
typedef struct la_seal_keys_t {
    unsigned char sealing[32];
    unsigned char naming[32];
} la_seal_keys_t;

typedef enum la_unseal_e {
    LA_UNSEAL_FORGED, /* zero: truncated, altered, sealed with another key or for another place */
    LA_UNSEAL_FORMAT, /* not of this format: of another version of the module, or another program's
                       */
    LA_UNSEAL_OK
} la_unseal_e;

/* Derives the keys of a secret. Returns APR_SUCCESS, APR_EINVAL for one shorter than
 * LA_SEAL_SECRET_MIN, or APR_EGENERAL when libcrypto fails. */
apr_status_t la_seal_keys(la_slice_t secret, la_seal_keys_t *keys);

/* Makes a name that tells nothing without the key: la_hmac_parts() as hex digits, closed with NUL.
 * Returns APR_SUCCESS or APR_EGENERAL. */
apr_status_t la_seal_name(const la_seal_keys_t *keys, const la_slice_t *parts, apr_size_t count,
                          char name[LA_SEAL_NAME_LEN + 1]);

/* Seals `plain` for the place (its name). sealed: in `pool`. Returns APR_SUCCESS, APR_EINVAL above
 * 2 GB, or APR_EGENERAL when libcrypto fails. */
apr_status_t la_seal(const la_seal_keys_t *keys, la_slice_t place, la_slice_t plain,
                     apr_pool_t *pool, la_slice_t *sealed);

/* Opens what was sealed for the place. plain: in `pool`, 8-byte aligned; empty if it is not OK. */
la_unseal_e la_unseal(const la_seal_keys_t *keys, la_slice_t place, la_slice_t sealed,
                      apr_pool_t *pool, la_slice_t *plain);

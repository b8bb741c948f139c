/* JWK sets (RFC 7517, RFC 7518 section 6, RFC 8037 section 2): from JSON text to checked keys,
 * ready for OpenSSL. */
#pragma once

#include "jose/jwa.h"
#include "base/json.h"
#include "base/slice.h"
#include "jose/verifier.h"

#include <apr_pools.h>
#include <apr_tables.h>

#include <openssl/evp.h>

/* Most keys of a set; a set with more is refused. */
#define LA_JWK_MAX_KEYS 256

/* One key that may verify. */
typedef struct la_jwk_t {
    la_slice_t kid;                              /* data NULL if it has none */
    la_jwa_set_t algorithms;                     /* by kty, crv, size and its own `alg`; never 0 */
    EVP_PKEY *key;                               /* NULL for oct */
    la_verifier_t *verifiers[LA_JWA_ASYMMETRIC]; /* by the algorithm's bit; see la_jwk_verifier() */
    la_slice_t secret;                           /* oct: its bytes */
} la_jwk_t;

typedef struct la_jwks_t {
    const la_jwk_t *keys;
    apr_size_t count; /* at least 1 */
    /* Of const char *: why keys were skipped ("keys[3] (kid "a1"): RSA key of 1024 bits, ..."). */
    apr_array_header_t *skipped;
    /* Of int, one for each of these: whether the key says that it is for something else than
     * verifying, as Keycloak's for encryption, so that there is nothing wrong with it. */
    apr_array_header_t *skipped_other_use;
    apr_array_header_t *skipped_kids; /* of la_slice_t: the names of those that have one */
} la_jwks_t;

/* Reads a JWK set. A key that is unsound, of an unknown type or for another use than verifying
 * signatures is skipped; private parts of a key are ignored. RSA: 2048 to 8192 bits and
 * EVP_PKEY_public_check; EC: P-256, P-384, P-521, a point on the curve; OKP: Ed25519, Ed448; oct:
 * only if `allowed` has HMAC algorithms, at least as long as the digest (RFC 7518 section 3.2).
 *
 * text: strict JSON; not needed afterwards. allowed: the configured algorithms; a key with none of
 * them is skipped. pool: holds the set; a cleanup on it frees the keys. set: NULL on failure.
 * Returns NULL, or why there is no set: not JSON, no object, no `keys` array, too many keys, none
 * that is usable.
 */
const char *la_jwks_parse(apr_pool_t *pool, la_slice_t text, la_jwa_set_t allowed,
                          const la_jwks_t **set);

/* Reads one key as la_jwks_parse() does, but for OpenSSL's check of an RSA modulus, which is
 * la_jwk_check()'s. effort: what that check may cost (la_pubkey_rsa()). oct is refused unless
 * `allowed` has HMAC algorithms.
 *
 * json: any value. pool: holds the key; a cleanup on it frees it. key: zeroed, then its own.
 * Returns NULL, or why it cannot be used. Leaves OpenSSL's error queue empty.
 */
const char *la_jwk_parse(apr_pool_t *pool, const la_json_t *json, la_jwa_set_t allowed,
                         unsigned int effort, la_jwk_t *key);

/* The rest of the checks; for RSA it takes a hundred times as long as a verification. Returns NULL,
 * or why the key cannot be used, a literal. */
const char *la_jwk_check(const la_jwk_t *key);

/* The verifier for one of the key's algorithms; NULL for HMAC, which needs only the secret. */
const la_verifier_t *la_jwk_verifier(const la_jwk_t *key, la_jwa_set_t algorithm);

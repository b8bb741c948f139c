/* One public key with one algorithm, ready to verify signatures in JOSE's form (RFC 7518
 * sections 3.3 to 3.5, RFC 8037 section 3.1). OpenSSL's preparation is made once and copied for
 * each verification: it takes a fifth of the time of an RSA verification. */
#pragma once

#include "jose/jwa.h"
#include "base/slice.h"

#include <apr_pools.h>

#include <openssl/evp.h>

/* Constant once made; any number of threads may use it at once. */
typedef struct la_verifier_t la_verifier_t;

/* key: fits the algorithm; referenced. algorithm: one of RSA, EC or EdDSA. verifier: in `pool`,
 * which gets a cleanup. NULL when libcrypto fails. */
la_verifier_t *la_verifier_make(apr_pool_t *pool, EVP_PKEY *key, la_jwa_set_t algorithm);

/* The same outside of any pool, for la_verifier_free(), which takes NULL too. */
la_verifier_t *la_verifier_new(EVP_PKEY *key, la_jwa_set_t algorithm);
void la_verifier_free(la_verifier_t *verifier);

/* Whether the signature of `input` is right: PSS with a salt as long as the digest, ECDSA as two
 * numbers of fixed length. The caller clears OpenSSL's error queue. */
int la_verifier_check(const la_verifier_t *verifier, la_slice_t input, la_slice_t signature);

/* The keys of proofs that were verified lately, ready to verify the next: a client signs all its
 * proofs with one key and sends it with each, in a header that never changes. To read the key, to
 * check it and to prepare OpenSSL takes longer than to verify with it.
 *
 * One for a process, in its own memory; any number of threads may use it at once. It takes a lock
 * for the moment of a look-up, and never while anything is verified.
 */
#pragma once

#include "jose/jwk.h"
#include "jose/thumbprint.h"
#include "jose/verifier.h"

/* How many keys are kept: some 5 KB each. */
#define LA_PROOF_KEYS 128

typedef struct la_proof_keys_t la_proof_keys_t;

/* What the header of a proof comes to. Constant while it is held. */
typedef struct la_proof_key_t {
    la_jwa_set_t algorithm; /* one */
    char alg[8];            /* its name in the header */
    char jkt[LA_THUMBPRINT_LEN + 1];
    la_verifier_t *verifier;
} la_proof_key_t;

/* Makes an empty one; it lives as long as `pool`, which frees the keys. NULL if there is no memory
 * or no lock. */
la_proof_keys_t *la_proof_keys_make(apr_pool_t *pool);

/* The key for a header, byte for byte as it was when it was added. It is held until `pool` is
 * destroyed, also if it is no longer kept. NULL: unknown. keys: NULL knows none. */
const la_proof_key_t *la_proof_keys_find(la_proof_keys_t *keys, la_slice_t header,
                                         apr_pool_t *pool);

/* Adds what a header came to, in place of what another header with the same key came to, and of the
 * key of its neighbours that was not used for longest. To be called once a proof was verified, so
 * that a stranger's keys take nobody's place. key: public, referenced. alg: up to 7 characters.
 * Does nothing if there is no memory for it. */
void la_proof_keys_add(la_proof_keys_t *keys, la_slice_t header, EVP_PKEY *key,
                       la_jwa_set_t algorithm, la_slice_t alg, const char *jkt);

/* What la_jwk_check() says of a key, which it is asked once for those of the last keys. jkt: the
 * key's thumbprint. */
const char *la_proof_keys_check(la_proof_keys_t *keys, const la_jwk_t *key, const char *jkt);

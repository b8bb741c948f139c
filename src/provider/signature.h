/* Whether a token's signature is right, by the current keys and, if they lack its key, by newer
 * ones. Any request thread.
 */
#ifndef LA_SIGNATURE_H
#define LA_SIGNATURE_H

#include "jose/jwt.h"
#include "provider/keyset.h"

/* What a client is told of each token that is refused. */
#define LA_SIGNATURE_MESSAGE "Invalid JWT token"

/* The keys of a provider in one process. */
typedef struct la_signature_keys_t {
    la_keyset_t *keyset;
    la_remote_doc_t *document; /* NULL: the keys are in a file */
    la_jwa_set_t algorithms;   /* the configured ones */
} la_signature_keys_t;

/* Checks the signature of a parsed token. An unknown key makes the set be fetched early, as
 * remote_doc.h allows it.
 *
 * result: gets the epoch of the keys that judged.
 * Returns 1 if the signature is right, or 0, and the result says what it is: rejected, or
 * unavailable because nobody knows.
 */
int la_signature_check(const la_signature_keys_t *keys, const la_jwt_t *jwt, const la_call_t *call,
                       apr_pool_t *pool, la_result_t *result);

#endif

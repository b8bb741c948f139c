/* Whether a token's signature is right, by the keys in force and, where they lack its key, by newer
 * ones. Any request thread.
 */
#ifndef LA_SIGNATURE_H
#define LA_SIGNATURE_H

#include "jose/jwt.h"
#include "provider/remote_doc.h"
#include "provider/keyset.h"
#include "provider/provider.h"

/* Where the keys are. */
typedef struct la_signature_keys_t {
    la_keyset_t *keyset;
    la_remote_doc_t *document; /* NULL: the keys are in a file */
    la_jwa_set_t algorithms;   /* the configured ones */
} la_signature_keys_t;

typedef enum la_signature_e {
    LA_SIGNATURE_NO_KEYS, /* zero: there are no keys, or a newer set cannot be had: nobody knows */
    LA_SIGNATURE_EARLY,   /* its key is not in the set, which may not be fetched again yet: nobody
                             knows */
    LA_SIGNATURE_WRONG,
    LA_SIGNATURE_RIGHT
} la_signature_e;

/* What there is to say besides. */
typedef struct la_signature_t {
    apr_uint64_t epoch; /* of the keys it was judged by; 0: there were none */
    const char *reason; /* for the log, unless right */
    int retry_after_s;  /* early: when to ask again */
} la_signature_t;

/* Checks the signature of a token that was taken apart. An unknown key makes the set be fetched
 * early, as remote_doc.h allows it.
 *
 * said: filled in every case.
 */
la_signature_e la_signature_check(const la_signature_keys_t *keys, const la_jwt_t *jwt,
                                  const la_call_t *call, apr_pool_t *pool, la_signature_t *said);

#endif

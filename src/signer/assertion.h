/* An assertion: a JWT that tells a backend who the caller is (spec section 15). */
#ifndef LA_ASSERTION_H
#define LA_ASSERTION_H

#include "access/identity.h"
#include "signer/signer.h"

/* Whom it tells of. */
typedef struct la_asserted_t {
    const la_identity_t *identity;
    const char *principal; /* the identity's, or the one made of the client id */
    const char *client_id; /* 32 hex digits */
} la_asserted_t;

/* What each assertion begins with; the JWT stands behind it. */
#define LA_ASSERTION_PREFIX "Bearer "

/* Makes and signs an assertion.
 *
 * key: of the signer, held. now: the wall clock. ends: set to the assertion's `exp`.
 * Returns LA_ASSERTION_PREFIX and the JWT, in `pool`; NULL when libcrypto fails. Any thread.
 */
const char *la_assertion_make(const la_signer_t *signer, const la_signing_key_t *key,
                              const la_asserted_t *asserted, apr_time_t now, apr_pool_t *pool,
                              apr_time_t *ends);

#endif

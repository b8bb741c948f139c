/* An assertion: a JWT that tells a backend who the caller is (spec section 15). */
#pragma once

#include "access/identity.h"
#include "signer/signer.h"

/* What is asserted: who says it, of whom, and when. */
typedef struct la_assertion_t {
    const la_signer_t *signer;
    const la_identity_t *identity;
    const char *principal; /* the identity's, or the one made of the client id */
    const char *client_id; /* 32 hex digits */
    apr_time_t now;        /* the wall clock */
} la_assertion_t;

/* What each assertion begins with; the JWT stands behind it. */
#define LA_ASSERTION_PREFIX "Bearer "

/* Makes and signs an assertion.
 *
 * key: of the signer, held. ends: set to the assertion's `exp`.
 * Returns LA_ASSERTION_PREFIX and the JWT, in `pool`; NULL when libcrypto fails. Any thread.
 */
const char *la_assertion_make(const la_assertion_t *assertion, const la_signing_key_t *key,
                              apr_pool_t *pool, apr_time_t *ends);

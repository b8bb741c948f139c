/* Signed JSON Web Tokens in compact form (RFC 7515, RFC 7519, with the cautions of RFC 8725):
 * parse, choose a key, verify. What the claims say is validity.c's. Owns no memory; any thread.
 */
#ifndef LA_JWT_H
#define LA_JWT_H

#include "base/json.h"
#include "jose/jwk.h"

/* A token that was taken apart and is not yet believed. */
typedef struct la_jwt_t {
    la_jwa_set_t algorithms;  /* what its `alg` stands for; never 0 */
    la_slice_t algorithm;     /* `alg` */
    la_slice_t kid;           /* data NULL where it has none */
    la_slice_t type;          /* `typ`; data NULL where it has none */
    const la_json_t *claims;  /* an object */
    la_slice_t signing_input; /* points into the token */
    la_slice_t signature;
} la_jwt_t;

typedef enum la_jwt_e {
    LA_JWT_REFUSED, /* zero: meant as a JWT and not a good one, or not verified */
    LA_JWT_FOREIGN, /* no JWT in compact form at all: an opaque token, a JWE */
    LA_JWT_GOOD
} la_jwt_e;

/* Takes a token apart: two dots, base64url, both parts JSON objects, `alg` known, no `crit`, no
 * `b64`, `kid` and `typ` strings where present. Embedded keys (`jwk`, `jku`, `x5u`, `x5c`) are not
 * looked at. A token is foreign when it has not just two dots, or its first part is no base64url of
 * something that begins with `{`.
 *
 * jwt: in `pool` and in the token. reason: for the log, a literal or in `pool`: what came and what
 * was expected. Of the token it quotes a header parameter at most, as la_json_quoted() does; NULL
 * when good.
 */
la_jwt_e la_jwt_parse(apr_pool_t *pool, la_slice_t token, la_jwt_t *jwt, const char **reason);

/* How a verification ended. */
typedef enum la_jwt_verified_e {
    LA_JWT_BAD, /* zero: the key that it names does not fit, or the signature is not right */
    LA_JWT_UNKNOWN_KEY, /* the set does not have its key: a newer set may */
    LA_JWT_VERIFIED
} la_jwt_verified_e;

/* Verifies the signature. The key is chosen by `kid`; of several keys with that kid each one that
 * fits is tried. Without one the first 4 keys that fit by type are tried (RFC 7515 section 4.1.4
 * and RFC 7517 section 4.5 make both optional). What is used is an algorithm of the header, of the
 * key and of `allowed`.
 *
 * Leaves OpenSSL's error queue empty. pool: for the reason. reason: as above; NULL when verified.
 */
la_jwt_verified_e la_jwt_verify(apr_pool_t *pool, const la_jwt_t *jwt, const la_jwks_t *keys,
                                la_jwa_set_t allowed, const char **reason);

/* Whether `typ` is `type`, in any case and with or without `application/` in front (RFC 7515
 * section 4.1.9). */
int la_jwt_type_is(const la_jwt_t *jwt, const char *type);

#endif

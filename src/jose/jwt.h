/* Signed JSON Web Tokens in compact form (RFC 7515, RFC 7519, with the cautions of RFC 8725):
 * parse, choose a key, verify. Any thread. */
#pragma once

#include "base/json.h"
#include "jose/jwk.h"

/* A parsed token, not yet believed. */
typedef struct la_jwt_t {
    la_jwa_set_t algorithms;  /* what its `alg` stands for; never 0 */
    la_slice_t algorithm;     /* `alg` */
    la_slice_t kid;           /* data NULL if it has none */
    la_slice_t type;          /* `typ`; data NULL if it has none */
    const la_json_t *header;  /* an object */
    const la_json_t *claims;  /* an object */
    la_slice_t signing_input; /* points into the token */
    la_slice_t signature;
} la_jwt_t;

typedef enum la_jwt_e {
    LA_JWT_REFUSED, /* zero: a JWT with a mistake */
    LA_JWT_FOREIGN, /* not a signed JWT in compact form: an opaque token, a JWE */
    LA_JWT_GOOD
} la_jwt_e;

/* Parses a token: two dots, base64url, both parts JSON objects, `alg` known, no `crit`, no `b64`,
 * `kid` and `typ` absent or strings. Ignores embedded keys (`jwk`, `jku`, `x5u`, `x5c`). A token is
 * foreign if it does not have exactly two dots, or if its first part is not base64url of something
 * that begins with `{`.
 *
 * jwt: in `pool` and in the token. reason: for the log, a literal or in `pool`: what came and what
 * was expected; of the token it quotes at most a header parameter. NULL if good.
 */
la_jwt_e la_jwt_parse(apr_pool_t *pool, la_slice_t token, la_jwt_t *jwt, const char **reason);

/* The first part of a token, as it is written: up to the first dot; empty if there is none. */
la_slice_t la_jwt_first_part(la_slice_t token);

/* Parses a token all but its header, for those who know that first part already: what jwt has of
 * the header stays zero. Otherwise as la_jwt_parse(). */
la_jwt_e la_jwt_parse_rest(apr_pool_t *pool, la_slice_t token, la_jwt_t *jwt, const char **reason);

/* How a verification ended. */
typedef enum la_jwt_verified_e {
    LA_JWT_BAD,         /* zero: the key that it names does not fit, or the signature is wrong */
    LA_JWT_UNKNOWN_KEY, /* the set does not have its key; a newer set may */
    LA_JWT_VERIFIED
} la_jwt_verified_e;

/* Verifies the signature, with an algorithm that the header, the key and `allowed` have in common.
 * Tries each key that has the token's `kid` and fits; without a `kid` the first 4 keys that fit by
 * type (RFC 7515 section 4.1.4 and RFC 7517 section 4.5 make both optional). Leaves OpenSSL's error
 * queue empty. pool: for the reason. reason: as above; NULL if verified. */
la_jwt_verified_e la_jwt_verify(apr_pool_t *pool, const la_jwt_t *jwt, const la_jwks_t *keys,
                                la_jwa_set_t allowed, const char **reason);

/* Whether a key has signed the token, with an algorithm that the header, the key and `allowed` have
 * in common: just one. Leaves OpenSSL's error queue empty. */
int la_jwt_verify_with(const la_jwt_t *jwt, const la_jwk_t *key, la_jwa_set_t allowed);

/* Whether `typ` is `type`, in any case, with or without `application/` (RFC 7515 section 4.1.9). */
int la_jwt_type_is(const la_jwt_t *jwt, const char *type);

/* Signature algorithms by their JOSE names (RFC 7518 section 3.1, RFC 8037 section 3.1, RFC 9864).
 * A set of them is a word of bits: a token is verified with an algorithm that the configuration
 * lists, its header names and its key can do, which is the `&` of three sets. */
#pragma once

#include "base/slice.h"

#include <apr.h>
#include <apr_pools.h>

typedef apr_uint32_t la_jwa_set_t;

#define LA_JWA_RS256   ((la_jwa_set_t)1 << 0)
#define LA_JWA_RS384   ((la_jwa_set_t)1 << 1)
#define LA_JWA_RS512   ((la_jwa_set_t)1 << 2)
#define LA_JWA_PS256   ((la_jwa_set_t)1 << 3)
#define LA_JWA_PS384   ((la_jwa_set_t)1 << 4)
#define LA_JWA_PS512   ((la_jwa_set_t)1 << 5)
#define LA_JWA_ES256   ((la_jwa_set_t)1 << 6)
#define LA_JWA_ES384   ((la_jwa_set_t)1 << 7)
#define LA_JWA_ES512   ((la_jwa_set_t)1 << 8)
#define LA_JWA_ED25519 ((la_jwa_set_t)1 << 9)
#define LA_JWA_ED448   ((la_jwa_set_t)1 << 10)
#define LA_JWA_HS256   ((la_jwa_set_t)1 << 11)
#define LA_JWA_HS384   ((la_jwa_set_t)1 << 12)
#define LA_JWA_HS512   ((la_jwa_set_t)1 << 13)

/* The algorithms with a public key are bits 0 to this, exclusive. */
#define LA_JWA_ASYMMETRIC 11

/* Families. */
#define LA_JWA_RSA                                                                                 \
    (LA_JWA_RS256 | LA_JWA_RS384 | LA_JWA_RS512 | LA_JWA_PS256 | LA_JWA_PS384 | LA_JWA_PS512)
#define LA_JWA_EC   (LA_JWA_ES256 | LA_JWA_ES384 | LA_JWA_ES512)
#define LA_JWA_OKP  (LA_JWA_ED25519 | LA_JWA_ED448)
#define LA_JWA_HMAC (LA_JWA_HS256 | LA_JWA_HS384 | LA_JWA_HS512)

/* What is accepted if nothing is configured, and all that there are. */
#define LA_JWA_DEFAULT (LA_JWA_RSA | LA_JWA_EC | LA_JWA_OKP)
#define LA_JWA_ALL     (LA_JWA_DEFAULT | LA_JWA_HMAC)

/* The algorithms that a name stands for: one, or for `EdDSA` both of its curves, of which a key has
 * one. Names are case-sensitive. 0 for every other name, also for `none`. */
la_jwa_set_t la_jwa_named(la_slice_t name);

/* The names of a set's algorithms, separated by blanks, in `pool`; `EdDSA` for both of its curves.
 */
const char *la_jwa_names(apr_pool_t *pool, la_jwa_set_t set);

/* OpenSSL's name of one algorithm's digest ("SHA256"); NULL for EdDSA, and for a set that is not
 * one algorithm. */
const char *la_jwa_digest(la_jwa_set_t one);

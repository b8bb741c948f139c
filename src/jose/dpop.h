/* DPoP proofs (RFC 9449): a JWT by which a client shows with each request that it holds the key
 * that its token is bound to. Pure: what the request is, and what the time is, the caller says.
 *
 * Three steps, the cheap ones first: la_dpop_parse() reads, la_dpop_check() compares what it read
 * with the request, la_dpop_verify() verifies. A proof holds if all three say so, and if nobody has
 * shown it before (lookup/proofs.h). Any thread.
 */
#pragma once

#include "base/digest.h"
#include "base/uri.h"
#include "jose/jwt.h"
#include "jose/proof_keys.h"

#include <apr_time.h>

/* The longest proof that is read: an ES256 one has 600 characters, an RSA one of 4096 bits 3,000.
 */
#define LA_DPOP_MAX_BYTES 16384

/* How far `iat` may be from our clock, either way. */
#define LA_DPOP_WINDOW_US (300 * APR_USEC_PER_SEC)

/* The longest `jti`, in bytes. */
#define LA_DPOP_JTI_MAX 256

/* A proof that was read, not yet believed. Lives in the pool of la_dpop_parse(). */
typedef struct la_dpop_t {
    la_jwt_t jwt;
    la_slice_t header;           /* as it is written */
    const la_proof_key_t *known; /* of an earlier proof with the same header; NULL: none is */
    const la_json_t *jwk;        /* an object without private members; NULL if the key is known */
    la_slice_t htm;
    la_uri_t htu;     /* normalised */
    apr_time_t iat;   /* within a day of 1970 to the year 9999 */
    la_slice_t ath;   /* data NULL if there is none */
    la_slice_t jti;   /* 1 to LA_DPOP_JTI_MAX bytes */
    la_slice_t nonce; /* data NULL if there is none */
} la_dpop_t;

/* Reads a proof (RFC 9449 section 4.3, items 2 to 5 and 7): a compact JWS of at most
 * LA_DPOP_MAX_BYTES, `typ` `dpop+jwt` in any case (RFC 7515 section 4.1.9), an asymmetric `alg`, a
 * `jwk` that is an object without a private member and not a symmetric key, claims of the right
 * types; no `crit`, no `b64`, no member twice. Claims that are not known do not matter.
 *
 * keys: those known from earlier proofs; NULL: none. text: is not copied. proof: in `pool`. Returns
 * NULL, or the reason for the log, a literal or in `pool`: it quotes no more of the proof than
 * `typ`, `alg` and the numbers.
 */
const char *la_dpop_parse(apr_pool_t *pool, la_proof_keys_t *keys, la_slice_t text,
                          la_dpop_t *proof);

/* What a proof must be about. */
typedef struct la_dpop_terms_t {
    la_jwa_set_t algorithms; /* that are allowed */
    const char *method;      /* as the client sent it */
    const char *uri;         /* for the log: what htu should have been */
    int (*is_own)(const void *context, const la_uri_t *htu); /* whether htu names this request */
    const void *context;
    const unsigned char *token; /* SHA-256 of the access token, LA_DIGEST_BYTES */
    apr_time_t now;
} la_dpop_terms_t;

/* Compares a proof with the request (section 4.3, items 5, 8, 9, 11, and `ath` of item 12). Returns
 * NULL, or the reason, which names what came and what was expected. */
const char *la_dpop_check(apr_pool_t *pool, const la_dpop_t *proof, const la_dpop_terms_t *terms);

/* Verifies a proof (section 4.3, items 6 and 12): its key is sound as la_jwks_parse() demands, RSA
 * of at most 4096 bits; its thumbprint is `jkt`; the signature is by it, with the algorithm that
 * the header names. Leaves OpenSSL's error queue empty.
 *
 * keys: takes the key of a proof that is verified; may be NULL. allowed: as la_dpop_terms_t has it.
 * jkt: of the token's confirmation. Returns NULL, or the reason.
 */
const char *la_dpop_verify(apr_pool_t *pool, la_proof_keys_t *keys, const la_dpop_t *proof,
                           la_jwa_set_t allowed, const char *jkt);

/* What a proof is remembered by: SHA-256 of its key's thumbprint and its jti, each after its
 * length. jkt: that la_dpop_verify() agreed to. Returns APR_SUCCESS, or APR_EGENERAL when libcrypto
 * fails. */
apr_status_t la_dpop_digest(const la_dpop_t *proof, const char *jkt,
                            unsigned char digest[LA_DIGEST_BYTES]);

/* When la_dpop_check() will not accept the proof any more. */
static inline apr_time_t la_dpop_until(const la_dpop_t *proof)
{
    return proof->iat + LA_DPOP_WINDOW_US + 1;
}

/* Public keys: from numbers that come from outside to OpenSSL's form. */
#pragma once

#include "jose/curve.h"

#include <apr_pools.h>

/* What the check of one set's RSA keys may cost: 1 for 2048 bits, growing with the third power, as
 * the time does. Enough for 256 keys of 2048 bits, 64 of 4096 or 8 of 8192: a second or two. */
#define LA_PUBKEY_EFFORT 512

/* All: numbers are big-endian bytes; `pool` holds the reason and gets a cleanup that frees
 * the key, which is NULL on failure. They return NULL, or why it is not a key. The caller clears
 * OpenSSL's error queue. */

/* RSA: 2048 to 8192 bits, an odd exponent of 3 or more and at most 64 bits. Leading zeros do not
 * count. effort: what is left of LA_PUBKEY_EFFORT. */
const char *la_pubkey_rsa(apr_pool_t *pool, la_slice_t modulus, la_slice_t exponent,
                          unsigned int *effort, EVP_PKEY **key);

/* OpenSSL's check of an RSA key's modulus, which takes a hundred times as long as a verification.
 * Returns NULL, or what is wrong, a literal. */
const char *la_pubkey_rsa_check(EVP_PKEY *key);

/* EC: a point on P-256, P-384 or P-521, which OpenSSL checks; both coordinates have exactly the
 * curve's length. */
const char *la_pubkey_ec(apr_pool_t *pool, const la_curve_t *curve, la_slice_t x, la_slice_t y,
                         EVP_PKEY **key);

/* EdDSA (RFC 8032 sections 5.1.2, 5.2.2): an encoded point of Ed25519 or Ed448, of exactly the
 * curve's length. No signature is valid for one that is not on the curve. */
const char *la_pubkey_okp(apr_pool_t *pool, const la_curve_t *curve, la_slice_t point,
                          EVP_PKEY **key);

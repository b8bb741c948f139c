/* SHA-256 (FIPS 180-4), HMAC over lists of parts, and bytes written as hex digits. */
#pragma once

#include "base/slice.h"

#include <apr_errno.h>

#define LA_DIGEST_BYTES 32

/* SHA-256 of the bytes. Returns APR_SUCCESS, or APR_EGENERAL when libcrypto fails. Any thread. */
apr_status_t la_digest_sha256(la_slice_t bytes, unsigned char digest[LA_DIGEST_BYTES]);

/* Writes `len` bytes as lower-case hex digits. hex: 2 * len + 1 characters, closed with NUL. */
void la_digest_hex(const unsigned char *bytes, apr_size_t len, char *hex);

/* HMAC-SHA256 (RFC 2104) with a key. */
typedef struct la_hmac_t la_hmac_t;

/* Makes it, or returns NULL when libcrypto fails. la_hmac_free() takes NULL too. */
la_hmac_t *la_hmac_make(const unsigned char *key, apr_size_t len);
void la_hmac_free(la_hmac_t *hmac);

/* Computes it over the parts, each after its length, so that no other list of parts has the same. A
 * part with data NULL is absent, not empty. Returns APR_SUCCESS, or APR_EGENERAL when libcrypto
 * fails. Any number of threads may use one `hmac`.
 */
apr_status_t la_hmac_parts(la_hmac_t *hmac, const la_slice_t *parts, apr_size_t count,
                           unsigned char digest[LA_DIGEST_BYTES]);

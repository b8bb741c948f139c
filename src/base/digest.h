/* SHA-256 (FIPS 180-4), and bytes written as hex digits. */
#ifndef LA_DIGEST_H
#define LA_DIGEST_H

#include "base/slice.h"

#include <apr_errno.h>

#define LA_DIGEST_BYTES 32

/* SHA-256 of the bytes. Returns APR_SUCCESS, or APR_EGENERAL when libcrypto fails. Any thread. */
apr_status_t la_digest_sha256(la_slice_t bytes, unsigned char digest[LA_DIGEST_BYTES]);

/* Writes `len` bytes as lower-case hex digits. hex: 2 * len + 1 characters, closed with NUL. */
void la_digest_hex(const unsigned char *bytes, apr_size_t len, char *hex);

#endif

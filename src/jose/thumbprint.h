/* Names of keys and certificates that anybody computes from them alone: SHA-256 in base64url. Any
 * thread. */
#pragma once

#include "base/slice.h"

#include <openssl/evp.h>

#define LA_THUMBPRINT_LEN 43

/* Both: `text` is closed with NUL, and empty on failure. They return 1, or 0 if there is no such
 * name, and leave OpenSSL's error queue empty. */

/* Of a key's public part (RFC 7638). Keys as in la_jwk_public(). */
int la_thumbprint_of(const EVP_PKEY *key, char text[LA_THUMBPRINT_LEN + 1]);

/* Of the DER of a certificate: `x5t#S256` (RFC 8705 section 3.1). Of several certificates the first
 * counts. It is not looked at: who made the TLS connection has done that, and reading a
 * certificate's key takes OpenSSL 3 a hundred microseconds. pem: with the lines around it (RFC
 * 7468). */
int la_certificate_thumbprint(la_slice_t pem, char text[LA_THUMBPRINT_LEN + 1]);

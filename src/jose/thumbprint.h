/* A key's name that anybody computes from the key alone (RFC 7638). */
#ifndef LA_THUMBPRINT_H
#define LA_THUMBPRINT_H

#include <openssl/evp.h>

#define LA_THUMBPRINT_LEN 43

/* The SHA-256 thumbprint of a key's public part, in base64url. Keys as in la_jwk_public(). text:
 * closed with NUL; empty on failure. Returns 1, or 0 if the key has no JWK form. Leaves OpenSSL's
 * error queue empty. Any thread. */
int la_thumbprint_of(const EVP_PKEY *key, char text[LA_THUMBPRINT_LEN + 1]);

#endif

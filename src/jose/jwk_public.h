/* A key's public part as a JWK (RFC 7517), written. Reading is jwk.c's. */
#pragma once

#include <apr.h>

#include <openssl/evp.h>

/* Room for the members of an RSA key of 8192 bits. */
#define LA_JWK_PUBLIC_BYTES 1536

/* Writes the members that make the key what it is, in the order and without the white space that
 * RFC 7638 section 3 asks for: `{"crv":"P-256","kty":"EC","x":"...","y":"..."}`. EC: P-256, P-384,
 * P-521 (RFC 7518 section 6.2.1); OKP: Ed25519, Ed448 (RFC 8037 section 2); RSA of up to 8192 bits
 * (RFC 7518 section 6.3.1).
 *
 * key: its private part, if any, is never written. json: closed with NUL; empty on failure.
 * Returns the number of characters, or 0 if the key has no such form. Leaves OpenSSL's error queue
 * empty. Any thread.
 */
apr_size_t la_jwk_public(const EVP_PKEY *key, char json[LA_JWK_PUBLIC_BYTES]);

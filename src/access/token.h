/* The token: how it is found in the Authorization field, and what stands for it in logs. */
#pragma once

#include "base/digest.h"

#include <apr_pools.h>

/* Longest accepted token. A JWT with 200 group ids of Entra has 11.5 KB. */
#define LA_TOKEN_MAX_BYTES 16384

/* Length of a client id in hex digits, without the closing NUL. */
#define LA_CLIENT_ID_LEN 32

typedef enum la_token_e {
    LA_TOKEN_MISSING,   /* no credential, or an empty one */
    LA_TOKEN_MALFORMED, /* anything else than a well-formed credential */
    LA_TOKEN_TOO_LONG,  /* more than LA_TOKEN_MAX_BYTES */
    LA_TOKEN_SEVERAL,   /* different tokens in one request */
    LA_TOKEN_FOUND
} la_token_e;

/* Whether a text is a token: 1 to LA_TOKEN_MAX_BYTES visible ASCII characters except comma.
 * Missing, malformed, too long or found. */
la_token_e la_token_check(la_slice_t text);

/* The scheme of a credential. */
typedef enum la_scheme_e {
    LA_SCHEME_OTHER,  /* zero: none of these */
    LA_SCHEME_BEARER, /* RFC 6750: whoever has the token may use it */
    LA_SCHEME_DPOP    /* RFC 9449 section 7.1: with a proof in the field DPoP */
} la_scheme_e;

/* The scheme of an Authorization field value, in any case. */
la_scheme_e la_token_scheme(const char *value);

/* Finds the token in an Authorization field value (RFC 6750 section 2.1, RFC 9449 section 7.1, RFC
 * 9110 section 11.4): the scheme in any case, one or more spaces, then what la_token_check()
 * accepts. A comma is refused because httpd joins repeated fields by one.
 *
 * value: NUL-terminated, or NULL. dpop: whether the scheme DPoP is one of ours here. token: what
 * stands after the scheme, inside `value`, malformed or not; empty if there is none, or the scheme
 * is none of ours: LA_SCHEME_OTHER. */
la_token_e la_token_from_authorization(const char *value, int dpop, la_slice_t *token,
                                       la_scheme_e *scheme);

/* What is wrong with a malformed token, for the log: it quotes nothing of it. In `pool`. */
const char *la_token_fault(apr_pool_t *pool, la_slice_t text);

/* The client id: the first 32 hex digits of the token's SHA-256, NUL-terminated. It is the same in
 * every process, after every restart and on every machine. */
void la_token_client_id(const unsigned char digest[LA_DIGEST_BYTES], char id[LA_CLIENT_ID_LEN + 1]);

/* Length of la_token_principal()'s text, without the closing NUL. */
#define LA_TOKEN_PRINCIPAL_LEN 22

/* The principal of a caller whom the provider does not name: `token:` and the first 16 digits of
 * the client id, NUL-terminated. */
void la_token_principal(const char id[LA_CLIENT_ID_LEN + 1],
                        char principal[LA_TOKEN_PRINCIPAL_LEN + 1]);

/* Whether a principal looks like one of la_token_principal(): a provider may name somebody so. */
int la_token_may_have_made(la_slice_t principal);

/* The bearer token: how it is cut out of the Authorization field, and the
 * digest that stands for it wherever the token itself must not appear.
 */
#ifndef LA_TOKEN_H
#define LA_TOKEN_H

#include "base/digest.h"

#include <apr_errno.h>

/* Longest accepted token, in bytes: it is checked before anything splits or hashes the token. */
#define LA_TOKEN_MAX_BYTES 8000

/* Length of a client id in hex digits, without the closing NUL. */
#define LA_CLIENT_ID_LEN 32

typedef enum la_token_e {
    LA_TOKEN_MISSING,   /* no credential, or an empty one */
    LA_TOKEN_MALFORMED, /* anything but a well-formed Bearer credential */
    LA_TOKEN_FOUND
} la_token_e;

/* Whether a text can be a token: 1 to LA_TOKEN_MAX_BYTES visible ASCII characters but comma. */
int la_token_is_well_formed(la_slice_t text);

/* Cuts the token out of an Authorization field value (RFC 6750 section 2.1,
 * RFC 9110 section 11.4): the scheme in any case, one or more spaces, then 1 to
 * LA_TOKEN_MAX_BYTES visible ASCII characters but comma. A comma is refused since
 * repeated fields reach a module joined by one.
 *
 * value: the field value, NUL-terminated, or NULL when there is none.
 * token: set to the slice inside `value` on LA_TOKEN_FOUND, else to an empty one.
 */
la_token_e la_token_from_authorization(const char *value, la_slice_t *token);

/* The client id: the first 32 hex digits of the token's SHA-256, the same in
 * every process, after every restart and on every machine.
 *
 * id: LA_CLIENT_ID_LEN + 1 bytes, closed with NUL.
 */
void la_token_client_id(const unsigned char digest[LA_DIGEST_BYTES], char id[LA_CLIENT_ID_LEN + 1]);

/* Length of la_token_principal()'s text, without the closing NUL. */
#define LA_TOKEN_PRINCIPAL_LEN 22

/* The principal of a caller whom the provider does not name: `token:` and the first 16 digits of
 * the client id.
 *
 * principal: LA_TOKEN_PRINCIPAL_LEN + 1 bytes, closed with NUL.
 */
void la_token_principal(const char id[LA_CLIENT_ID_LEN + 1],
                        char principal[LA_TOKEN_PRINCIPAL_LEN + 1]);

#endif

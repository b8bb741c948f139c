/* What a token says of the key that its holder must prove to have: `cnf` (RFC 7800 section 3). */
#pragma once

#include "base/json.h"

#include <stdint.h>

/* Length of a SHA-256 in base64url, without the closing NUL. */
#define LA_CONFIRM_LEN 43

/* The members of a `cnf`. */
#define LA_CONFIRM_JKT     1u /* a JWK's thumbprint: DPoP (RFC 9449 section 6.1) */
#define LA_CONFIRM_X5T     2u /* `x5t#S256`, a certificate's (RFC 8705 section 3.1) */
#define LA_CONFIRM_UNKNOWN 4u /* anything else, which nobody can prove */

/* Stands in an identity's block as it is: fixed width, no padding, and zero bytes for each text
 * that `members` does not name. */
typedef struct la_confirmation_t {
    uint32_t members; /* of LA_CONFIRM_*, never 0 */
    char jkt[LA_CONFIRM_LEN + 1];
    char x5t_s256[LA_CONFIRM_LEN + 1];
} la_confirmation_t;

/* Reads the `cnf` of a token or of an answer about one. A `cnf` that is empty or no object, a
 * member that we do not know, and a thumbprint that is not 43 characters of base64url are
 * LA_CONFIRM_UNKNOWN: a token whose binding cannot be understood must not count as bound to
 * nothing. Keycloak's `"kc-jkt-type": "DPoP"` (26.7) adds nothing to the `jkt` beside it.
 * claims: any value. null_is_absent: a null `cnf` counts as missing, else as of the wrong type.
 * Returns 1 and fills `confirmation` if there is a `cnf`, else 0. */
int la_confirmation_read(const la_json_t *claims, int null_is_absent,
                         la_confirmation_t *confirmation);

/* Whether bytes of unknown origin are what la_confirmation_read() makes. */
int la_confirmation_check(const la_confirmation_t *confirmation);

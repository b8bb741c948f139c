/* Whether what a token says of itself allows its use here and now: `exp`, `nbf`, `iat`, `aud`,
 * `iss` (RFC 7519 section 4.1, RFC 7662 section 2.2). The same check for claims in a JWT and in an
 * introspection answer.
 */
#ifndef LA_VALIDITY_H
#define LA_VALIDITY_H

#include "base/json.h"

#include <apr_tables.h>
#include <apr_time.h>

/* What is demanded. */
typedef struct la_validity_terms_t {
    apr_time_t now;
    apr_interval_time_t leeway_us;
    const apr_array_header_t
        *audiences;       /* of const char *: one of them must be in `aud`; NULL: none is known */
    const char *resource; /* a URL that is one of them too; NULL: none. Neither: not demanded */
    const char *issuer;   /* `iss` must be this; NULL: not demanded */
    int issuer_optional;  /* `iss` may be missing all the same */
    int null_is_absent;   /* a claim that is null counts as missing; else it is of the wrong type */
    int require_exp;      /* a token without `exp` is refused */
} la_validity_terms_t;

/* Checks the claims. A claim of the wrong type is an error and never an absent claim
 * (CVE-2026-25537): times are finite numbers (whole or not), `iss` a string, `aud` a string or a
 * list of strings. Used from `nbf` on and until before `exp`, both with the leeway; times of any
 * size are clamped, not overflowed. `iat` has no say.
 *
 * expires: when it may no longer be used (`exp` and the leeway), 0 where it has no `exp`; no `exp`,
 * however small or large, makes it 0. Set on success. Returns NULL, or the reason for the log,
 * which says what came and what was expected (`aud is "account", expected one of: api`), a literal
 * or in `pool`. Of the claims it quotes a few texts at most, as la_json_quoted() does.
 */
const char *la_validity_check(apr_pool_t *pool, const la_json_t *claims,
                              const la_validity_terms_t *terms, apr_time_t *expires);

/* Whether `iss` is a string other than `issuer`: then it is another issuer's token, for another
 * provider to judge.
 *
 * issuer: NULL: no token is another's. Returns NULL where it is not, else the reason for the log,
 * in `pool`.
 */
const char *la_validity_foreign(apr_pool_t *pool, const la_json_t *claims, const char *issuer);

#endif

/* Whether what a JWT or an introspection answer says allows a token's use here and now: `exp`,
 * `nbf`, `iat`, `aud`, `iss` (RFC 7519 section 4.1, RFC 7662 section 2.2). */
#pragma once

#include "base/json.h"

#include <apr_tables.h>
#include <apr_time.h>

/* What is demanded. */
typedef struct la_validity_terms_t {
    apr_time_t now;
    apr_interval_time_t leeway_us;
    const apr_array_header_t *audiences; /* of const char *: `aud` must have one of them; or NULL */
    const char *resource; /* a URL that is one of them too; or NULL. Both NULL: any will do */
    const char *issuer;   /* `iss` must be this; NULL: any will do */
    int issuer_optional;  /* `iss` may be missing */
    int null_is_absent;   /* a null claim counts as missing, else it is of the wrong type */
    int require_exp;      /* refuses a token without `exp` */
} la_validity_terms_t;

/* Checks the claims. A claim of the wrong type is an error, never an absent claim (CVE-2026-25537):
 * times are finite numbers, `iss` a string, `aud` a string or a list of strings. The token may be
 * used from `nbf` on and until before `exp`, both with the leeway; times of any size are clamped.
 * `iat` decides nothing.
 *
 * expires: `exp` and the leeway, never 0; 0 if there is no `exp`. Set on success.
 * Returns NULL, or the reason for the log, a literal or in `pool`: what came and what was expected
 * (`aud is "account", expected one of: api`), as la_json_quoted() shows it. */
const char *la_validity_check(apr_pool_t *pool, const la_json_t *claims,
                              const la_validity_terms_t *terms, apr_time_t *expires);

/* Checks an audience alone, by terms->audiences, resource and null_is_absent.
 * name: of the claim, for the reason. Returns as la_validity_check() does. */
const char *la_validity_audience(apr_pool_t *pool, const char *name, const la_json_t *claim,
                                 const la_validity_terms_t *terms);

/* Whether `iss` is a string other than `issuer`: then another provider may know the token.
 * issuer: NULL: no token is another's. Returns NULL if it is not, else the reason for the log. */
const char *la_validity_foreign(apr_pool_t *pool, const la_json_t *claims, const char *issuer);

/* Times stay doubles until they are in range: NumericDate is any JSON number, 1e300 too. Any
 * thread. */
#include "access/validity.h"

#include "access/claims.h"
#include "access/origin.h"
#include "base/timestamp.h"

#include <apr_strings.h>

/* How many of a token's audiences the log shows. */
#define SHOWN_MAX 3

/* Ten thousand years: times beyond, either way, are taken for this. */
#define SECONDS_MAX 3.2e11

/* One check under way. */
typedef struct check_t {
    apr_pool_t *pool;
    const la_json_t *claims;
    const la_validity_terms_t *terms;
} check_t;

/* Finds a claim. Returns 0 if it is absent. */
static int find(const check_t *c, const char *name, const la_json_t **claim)
{
    return la_json_member(c->claims, name, claim) && (*claim || !c->terms->null_is_absent);
}

/* Reads a NumericDate (RFC 7519 section 2) in microseconds. found: whether it is there. */
static const char *read_time(const check_t *c, const char *name, int *found, apr_time_t *at)
{
    const la_json_t *claim;
    double seconds;

    *at = 0;
    *found = find(c, name, &claim);
    if (!*found) {
        return NULL;
    }
    if (!la_json_number(claim, &seconds)) {
        return la_claims_wrong_kind(c->pool, name, claim, "a finite number");
    }
    seconds = seconds > SECONDS_MAX ? SECONDS_MAX : seconds < -SECONDS_MAX ? -SECONDS_MAX : seconds;
    *at = (apr_time_t)(seconds * APR_USEC_PER_SEC);
    return NULL;
}

static const char *check_end(const check_t *c, apr_time_t *expires)
{
    apr_time_t exp;
    apr_time_t end;
    int found;
    const char *error = read_time(c, "exp", &found, &exp);

    *expires = 0;
    if (error || !found) {
        return !error && c->terms->require_exp ? "exp is missing" : error;
    }
    end = exp + c->terms->leeway_us;
    if (end <= c->terms->now || end <= 0) {
        return apr_psprintf(c->pool, "it expired at %s", la_timestamp_text(c->pool, exp));
    }
    *expires = end;
    return NULL;
}

static const char *check_begin(const check_t *c)
{
    apr_time_t nbf;
    int found;
    const char *error = read_time(c, "nbf", &found, &nbf);

    return error || !found || nbf - c->terms->leeway_us <= c->terms->now
               ? error
               : apr_psprintf(c->pool, "it is not valid before %s (nbf)",
                              la_timestamp_text(c->pool, nbf));
}

static const char *other_issuer(apr_pool_t *pool, la_slice_t came, const char *expected)
{
    return apr_psprintf(pool, "iss is %s, expected %s", la_json_quoted(pool, came), expected);
}

static const char *check_issuer(const check_t *c)
{
    const char *issuer = c->terms->issuer;
    const la_json_t *claim;
    la_slice_t text;

    if (!find(c, "iss", &claim)) {
        return issuer && !c->terms->issuer_optional
                   ? apr_pstrcat(c->pool, "iss is missing, expected ", issuer, NULL)
                   : NULL;
    }
    if (!la_json_string(claim, &text)) {
        return la_claims_wrong_kind(c->pool, "iss", claim, "a string");
    }
    return !issuer || la_slice_is(text, issuer) ? NULL : other_issuer(c->pool, text, issuer);
}

static int is_demanded(const la_validity_terms_t *terms)
{
    return terms->audiences || terms->resource;
}

static int is_ours(apr_pool_t *pool, la_slice_t audience, const la_validity_terms_t *terms)
{
    if (terms->resource && la_origin_is_same_url(pool, audience, la_slice_of(terms->resource))) {
        return 1;
    }
    for (int i = 0; terms->audiences && i < terms->audiences->nelts; i++) {
        if (la_slice_is(audience, APR_ARRAY_IDX(terms->audiences, i, const char *))) {
            return 1;
        }
    }
    return 0;
}

/* How many audiences a claim has: a string is a list of one. */
static apr_size_t count_audiences(const la_json_t *claim)
{
    return la_json_type(claim) == LA_JSON_ARRAY ? la_json_count(claim) : 1;
}

static const la_json_t *audience_at(const la_json_t *claim, apr_size_t index)
{
    return la_json_type(claim) == LA_JSON_ARRAY ? la_json_item(claim, index) : claim;
}

/* Reads a string, or a list of nothing but strings. `ours` is set if one of them is. Returns 0 if
 * one is no string: `wrong`. */
static int read_audiences(apr_pool_t *pool, const la_json_t *claim,
                          const la_validity_terms_t *terms, int *ours, const la_json_t **wrong)
{
    la_slice_t text;

    *ours = 0;
    for (apr_size_t i = 0; i < count_audiences(claim); i++) {
        *wrong = audience_at(claim, i);
        if (*wrong || !terms->null_is_absent) {
            if (!la_json_string(*wrong, &text)) {
                return 0;
            }
            *ours |= is_ours(pool, text, terms);
        }
    }
    return 1;
}

static const char *show_audiences(apr_pool_t *pool, const la_json_t *claim)
{
    const char *shown = NULL;
    apr_size_t count = 0;
    la_slice_t text;

    for (apr_size_t i = 0; i < count_audiences(claim); i++) {
        if (la_json_string(audience_at(claim, i), &text) && count++ < SHOWN_MAX) {
            const char *quoted = la_json_quoted(pool, text);

            shown = shown ? apr_pstrcat(pool, shown, ", ", quoted, NULL) : quoted;
        }
    }
    if (count > SHOWN_MAX) {
        return apr_psprintf(pool, "%s and %" APR_SIZE_T_FMT " more", shown, count - SHOWN_MAX);
    }
    return shown ? shown : "an empty list";
}

static const char *other_audience(apr_pool_t *pool, const char *name, const char *came,
                                  const la_validity_terms_t *terms)
{
    const char *audiences = terms->audiences ? apr_array_pstrcat(pool, terms->audiences, ' ') : "";
    const char *resource = terms->resource ? terms->resource : "";

    return apr_pstrcat(pool, name, " is ", came, ", expected one of: ", resource,
                       *resource && *audiences ? " " : "", audiences, NULL);
}

const char *la_validity_audience(apr_pool_t *pool, const char *name, const la_json_t *claim,
                                 const la_validity_terms_t *terms)
{
    const la_json_t *wrong;
    int ours;

    if (!read_audiences(pool, claim, terms, &ours, &wrong)) {
        return la_json_type(claim) == LA_JSON_ARRAY
                   ? apr_pstrcat(pool, name, " holds ", la_claims_kind(wrong), ", expected strings",
                                 NULL)
                   : la_claims_wrong_kind(pool, name, claim, "a string or a list of strings");
    }
    return ours || !is_demanded(terms)
               ? NULL
               : other_audience(pool, name, show_audiences(pool, claim), terms);
}

static const char *check_audience(const check_t *c)
{
    const la_json_t *claim;

    if (find(c, "aud", &claim)) {
        return la_validity_audience(c->pool, "aud", claim, c->terms);
    }
    return is_demanded(c->terms) ? other_audience(c->pool, "aud", "missing", c->terms) : NULL;
}

const char *la_validity_check(apr_pool_t *pool, const la_json_t *claims,
                              const la_validity_terms_t *terms, apr_time_t *expires)
{
    const check_t c = {pool, claims, terms};
    apr_time_t iat;
    int found;
    const char *reason = check_end(&c, expires);

    reason = reason ? reason : check_begin(&c);
    reason = reason ? reason : read_time(&c, "iat", &found, &iat);
    reason = reason ? reason : check_issuer(&c);
    return reason ? reason : check_audience(&c);
}

const char *la_validity_foreign(apr_pool_t *pool, const la_json_t *claims, const char *issuer)
{
    const la_json_t *claim;
    la_slice_t text;

    return issuer && la_json_member(claims, "iss", &claim) && la_json_string(claim, &text) &&
                   !la_slice_is(text, issuer)
               ? other_issuer(pool, text, issuer)
               : NULL;
}

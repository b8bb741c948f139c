/* The claims that bound a token's use. Decides nothing but that: who the caller is comes from
 * elsewhere. Any thread.
 *
 * Times stay doubles until they are known to be in range: NumericDate is any JSON number, 1e300
 * too.
 */
#include "access/validity.h"

#include "access/origin.h"
#include "base/timestamp.h"

#include <string.h>

#include <apr_strings.h>

/* Most audiences of a token that the log shows. */
#define SHOWN_MAX 3

/* Ten thousand years, in seconds either way: what is beyond is clamped to it. */
#define SECONDS_MAX 3.2e11

typedef enum found_e { FOUND_ABSENT, FOUND_GOOD, FOUND_WRONG } found_e;

/* Finds a claim. Returns 0 when it is absent. */
static int find(const la_json_t *claims, const la_validity_terms_t *terms, const char *name,
                const la_json_t **claim)
{
    return la_json_member(claims, name, claim) && (*claim || !terms->null_is_absent);
}

/* A NumericDate (RFC 7519 section 2) in microseconds. */
static found_e find_time(const la_json_t *claims, const la_validity_terms_t *terms,
                         const char *name, apr_time_t *at)
{
    const la_json_t *claim;
    double seconds;

    *at = 0;
    if (!find(claims, terms, name, &claim)) {
        return FOUND_ABSENT;
    }
    if (!la_json_number(claim, &seconds)) {
        return FOUND_WRONG;
    }
    seconds = seconds > SECONDS_MAX ? SECONDS_MAX : seconds < -SECONDS_MAX ? -SECONDS_MAX : seconds;
    *at = (apr_time_t)(seconds * APR_USEC_PER_SEC);
    return FOUND_GOOD;
}

static const char *check_end(apr_pool_t *pool, const la_json_t *claims,
                             const la_validity_terms_t *terms, apr_time_t *expires)
{
    apr_time_t exp;
    apr_time_t end;

    *expires = 0;
    switch (find_time(claims, terms, "exp", &exp)) {
    case FOUND_ABSENT:
        return terms->require_exp ? "exp is missing" : NULL;
    case FOUND_WRONG:
        return "exp is not a number";
    case FOUND_GOOD:
        break;
    }
    end = exp + terms->leeway_us;
    if (end <= terms->now || end <= 0) {
        return apr_psprintf(pool, "it expired at %s", la_timestamp_text(pool, exp));
    }
    *expires = end;
    return NULL;
}

static const char *check_begin(apr_pool_t *pool, const la_json_t *claims,
                               const la_validity_terms_t *terms)
{
    apr_time_t nbf;

    switch (find_time(claims, terms, "nbf", &nbf)) {
    case FOUND_ABSENT:
        return NULL;
    case FOUND_WRONG:
        return "nbf is not a number";
    case FOUND_GOOD:
        break;
    }
    return nbf - terms->leeway_us > terms->now
               ? apr_psprintf(pool, "it is not valid before %s (nbf)", la_timestamp_text(pool, nbf))
               : NULL;
}

static const char *other_issuer(apr_pool_t *pool, la_slice_t came, const char *expected)
{
    return apr_psprintf(pool, "iss is %s, expected %s", la_json_quoted(pool, came), expected);
}

static const char *check_issuer(apr_pool_t *pool, const la_json_t *claims,
                                const la_validity_terms_t *terms)
{
    const char *issuer = terms->issuer;
    const la_json_t *claim;
    la_slice_t text;

    if (!find(claims, terms, "iss", &claim)) {
        return issuer && !terms->issuer_optional
                   ? apr_psprintf(pool, "iss is missing, expected %s", issuer)
                   : NULL;
    }
    if (!la_json_string(claim, &text)) {
        return "iss is not a string";
    }
    return !issuer || la_slice_is(text, issuer) ? NULL : other_issuer(pool, text, issuer);
}

static int is_demanded(const la_validity_terms_t *terms)
{
    return terms->audiences || terms->resource;
}

static int is_ours(apr_pool_t *pool, la_slice_t audience, const la_validity_terms_t *terms)
{
    int i;

    if (terms->resource && la_origin_is_same_url(pool, audience, la_slice_of(terms->resource))) {
        return 1;
    }
    for (i = 0; terms->audiences && i < terms->audiences->nelts; i++) {
        if (la_slice_is(audience, APR_ARRAY_IDX(terms->audiences, i, const char *))) {
            return 1;
        }
    }
    return 0;
}

/* One string, or a list of nothing but strings. `ours` is set when one of them is. */
static int read_audience(apr_pool_t *pool, const la_json_t *claim, const la_validity_terms_t *terms,
                         int *ours)
{
    apr_size_t count = la_json_type(claim) == LA_JSON_ARRAY ? la_json_count(claim) : 0;
    la_slice_t text;
    apr_size_t i;

    *ours = 0;
    if (la_json_string(claim, &text)) {
        *ours = is_ours(pool, text, terms);
        return 1;
    }
    for (i = 0; i < count; i++) {
        const la_json_t *item = la_json_item(claim, i);

        if (!item && terms->null_is_absent) {
            continue;
        }
        if (!la_json_string(item, &text)) {
            return 0;
        }
        *ours |= is_ours(pool, text, terms);
    }
    return la_json_type(claim) == LA_JSON_ARRAY;
}

/* What came in `aud`: a string or a list of strings. */
static const char *audiences_of(apr_pool_t *pool, const la_json_t *claim)
{
    const char *shown = NULL;
    apr_size_t count = 0;
    la_slice_t text;
    apr_size_t i;

    if (la_json_string(claim, &text)) {
        return la_json_quoted(pool, text);
    }
    for (i = 0; i < la_json_count(claim); i++) {
        if (la_json_string(la_json_item(claim, i), &text) && count++ < SHOWN_MAX) {
            const char *quoted = la_json_quoted(pool, text);

            shown = shown ? apr_pstrcat(pool, shown, ", ", quoted, NULL) : quoted;
        }
    }
    if (count <= SHOWN_MAX) {
        return shown ? shown : "an empty list";
    }
    return apr_psprintf(pool, "%s and %" APR_SIZE_T_FMT " more", shown, count - SHOWN_MAX);
}

/* What is there instead of an audience of ours. */
static const char *other_audience(apr_pool_t *pool, const char *came,
                                  const la_validity_terms_t *terms)
{
    const char *expected = terms->resource;
    int i;

    for (i = terms->audiences ? terms->audiences->nelts - 1 : -1; i >= 0; i--) {
        const char *audience = APR_ARRAY_IDX(terms->audiences, i, const char *);

        expected = expected ? apr_pstrcat(pool, audience, ", ", expected, NULL) : audience;
    }
    return apr_psprintf(pool, "aud is %s, expected one of: %s", came, expected);
}

static const char *check_audience(apr_pool_t *pool, const la_json_t *claims,
                                  const la_validity_terms_t *terms)
{
    const la_json_t *claim;
    int ours;

    if (!find(claims, terms, "aud", &claim)) {
        return is_demanded(terms) ? other_audience(pool, "missing", terms) : NULL;
    }
    if (!read_audience(pool, claim, terms, &ours)) {
        return "aud is neither a string nor a list of strings";
    }
    return ours || !is_demanded(terms) ? NULL
                                       : other_audience(pool, audiences_of(pool, claim), terms);
}

static const char *check_issue_time(const la_json_t *claims, const la_validity_terms_t *terms)
{
    apr_time_t iat;

    return find_time(claims, terms, "iat", &iat) == FOUND_WRONG ? "iat is not a number" : NULL;
}

const char *la_validity_check(apr_pool_t *pool, const la_json_t *claims,
                              const la_validity_terms_t *terms, apr_time_t *expires)
{
    const char *reason = check_end(pool, claims, terms, expires);

    reason = reason ? reason : check_begin(pool, claims, terms);
    reason = reason ? reason : check_issue_time(claims, terms);
    reason = reason ? reason : check_issuer(pool, claims, terms);
    return reason ? reason : check_audience(pool, claims, terms);
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

/* Claims: members of a provider's answer or of a token, and the table that maps
 * them to attribute categories.
 */
#ifndef LA_CLAIMS_H
#define LA_CLAIMS_H

#include "access/identity.h"
#include "base/json.h"

#include <apr_tables.h>

/* What a claim's value becomes. */
typedef enum la_claim_form_e {
    LA_CLAIM_WHOLE, /* zero: a string is one value */
    LA_CLAIM_SPLIT, /* a string is as many values as white space makes of it, in lists too */
    LA_CLAIM_KEYS   /* the member names of an object are the values */
} la_claim_form_e;

/* One `Claim SOURCE CATEGORY [split|keys]` line. */
typedef struct la_claim_map_t {
    const char *source;
    const char *category;
    la_claim_form_e form;
} la_claim_map_t;

/* Where claims are looked up: `first`, then `second` where it is not NULL. */
typedef struct la_claims_t {
    const la_json_t *first;
    const la_json_t *second;
} la_claims_t;

/* Finds a claim: a member with that literal name, else a path of names joined by dots through
 * nested objects
 * ("realm_access.roles"). At each object the longest member name that the rest of the path begins
 * with is taken, since names may hold dots ("resource_access.my.client.roles"), and there is no way
 * back to a shorter one. `\.` is a dot inside a name. A literal name is preferred in either object
 * to any path. A member that is null counts as absent.
 *
 * claim: the value, NULL when not found.
 * Returns 1 when found, else 0.
 */
int la_claims_find(const la_claims_t *claims, const char *name, const la_json_t **claim);

/* Takes the principal from the first of `names` that is present: a string, or a number as text.
 *
 * names: array of const char *. found: whether any of them was present.
 * Returns NULL, or why the present one is no principal (another type, empty, control characters,
 * outer blanks).
 */
const char *la_claims_principal(const la_claims_t *claims, const apr_array_header_t *names,
                                la_identity_builder_t *builder, apr_pool_t *pool, int *found);

/* Maps claims to categories: a string is one value, or split at white space where the map says so;
 * a list is taken item by item (strings, numbers and booleans as text, anything else skipped); a
 * number or boolean is its text; an object gives its member names to a map of that form, and
 * nothing to others. What maps to one category accumulates. A string, list or object without any
 * value still makes its category; null and an absent claim make none.
 *
 * maps: array of la_claim_map_t.
 */
void la_claims_map(const la_claims_t *claims, const apr_array_header_t *maps,
                   la_identity_builder_t *builder, apr_pool_t *pool);

/* Takes attributes in their final form, as `custom` endpoints answer and key files hold them: an
 * object whose members are categories, each a value or a list of values. A value is a string, or
 * where `scalars` allows it a number or boolean as text; nothing is split. A category that is null
 * counts as absent, a null in a list is skipped.
 *
 * attributes: NULL (absent, or a JSON null) has no categories.
 * Returns NULL, or what is wrong with the form; the builder then holds a part of it.
 */
const char *la_claims_attributes(const la_json_t *attributes, int scalars,
                                 la_identity_builder_t *builder, apr_pool_t *pool);

#endif

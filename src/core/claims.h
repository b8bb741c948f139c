/* Claims: members of a provider's answer or of a token, and the table that maps
 * them to attribute categories.
 */
#ifndef LA_CLAIMS_H
#define LA_CLAIMS_H

#include "core/identity.h"
#include "core/json.h"

#include <apr_tables.h>

/* One `Claim SOURCE CATEGORY` line. */
typedef struct la_claim_map_t {
    const char *source;
    const char *category;
} la_claim_map_t;

/* Where claims are looked up: `first`, then `second` where it is not NULL. */
typedef struct la_claims_t {
    const la_json_t *first;
    const la_json_t *second;
} la_claims_t;

/* Finds a claim: a member with that literal name, else the path that its dots spell through
 * nested objects ("realm_access.roles"); what is left of the path may be a name with dots
 * ("extra.example.org/team"). A literal name wins in either object before any path does.
 *
 * claim: the value, NULL for a JSON null or when not found.
 * Returns 1 when found, else 0.
 */
int la_claims_find(const la_claims_t *claims, const char *name, const la_json_t **claim);

/* Takes the principal from the first of `names` that is present.
 *
 * names: array of const char *. found: whether any of them was present.
 * Returns NULL, or why the present one is no principal (not a string, empty, control characters).
 */
const char *la_claims_principal(const la_claims_t *claims, const apr_array_header_t *names,
                                la_identity_builder_t *builder, int *found);

/* Maps claims to categories: a string is split at white space, a list is taken item by item (strings whole,
 * numbers and booleans as text, anything else skipped), a number or boolean is its text. What maps to one
 * category accumulates. A string or list without any value still makes its category; null, an object
 * and an absent claim make none.
 *
 * maps: array of la_claim_map_t.
 */
void la_claims_map(const la_claims_t *claims, const apr_array_header_t *maps,
                   la_identity_builder_t *builder, apr_pool_t *pool);

/* Takes attributes in their final form, as `custom` endpoints answer and key files hold them: an object whose
 * members are categories, each a list of strings or one string, which is one value. Nothing is split.
 *
 * attributes: NULL (absent, or a JSON null) has no categories.
 * Returns NULL, or what is wrong with the form; the builder then holds a part of it.
 */
const char *la_claims_attributes(const la_json_t *attributes, la_identity_builder_t *builder);

#endif

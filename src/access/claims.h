/* Claims: members of an answer or of a token, and how they become categories of attributes. */
#pragma once

#include "access/identity.h"
#include "base/json.h"

#include <apr_tables.h>

/* What a claim's value becomes. */
typedef enum la_claim_form_e {
    LA_CLAIM_WHOLE, /* zero: a string is one value */
    LA_CLAIM_SPLIT, /* white space separates values, in the strings of a list too */
    LA_CLAIM_KEYS   /* an object's member names are the values */
} la_claim_form_e;

/* One `Claim SOURCE CATEGORY [split|keys]` line. */
typedef struct la_claim_map_t {
    const char *source;
    const char *category;
    la_claim_form_e form;
} la_claim_map_t;

/* Where claims are looked up: in `first`, then in `second`. Each may be NULL. */
typedef struct la_claims_t {
    const la_json_t *first;
    const la_json_t *second;
    int null_is_absent; /* of `cnf`, see la_confirmation_read() */
} la_claims_t;

/* Finds a claim: a member with that literal name in either object, else a path of names joined by
 * dots through nested objects ("realm_access.roles"). At each object the path follows the longest
 * member name that it begins with ("resource_access.my.client.roles"), and never comes back to a
 * shorter one. `\.` is a dot inside a name. A member that is null counts as absent.
 * claim: the value, NULL if not found. Returns whether it is. */
int la_claims_find(const la_claims_t *claims, const char *name, const la_json_t **claim);

/* Takes the principal from the first of `names` that is present: a string, or a number as text.
 * names: array of const char *. found: whether any of them is present.
 * Returns NULL, or why the claim is no principal, for the log, in `pool`. */
const char *la_claims_principal(const la_claims_t *claims, const apr_array_header_t *names,
                                la_identity_builder_t *builder, apr_pool_t *pool, int *found);

/* Maps claims to categories. A string is one value, unless the map splits it; a number or a boolean
 * is its text; a list gives these of its items, an object its member names to a map with `keys`.
 * Several claims may add to one category. One without any value still makes its category; one that
 * is absent makes none. maps: array of la_claim_map_t. */
void la_claims_map(const la_claims_t *claims, const apr_array_header_t *maps,
                   la_identity_builder_t *builder, apr_pool_t *pool);

/* Maps a claim that a provider put together itself: a list of const char *. */
void la_claims_map_texts(const apr_array_header_t *texts, const la_claim_map_t *map,
                         la_identity_builder_t *builder);

/* Takes the document's `cnf`, if it has one. null_is_absent: see la_confirmation_read(). */
void la_claims_confirmation(const la_json_t *document, int null_is_absent,
                            la_identity_builder_t *builder);

/* Makes the identity of a document that must name a principal; `first` may have a `cnf`.
 * identity: in `pool`, NULL on failure.
 * Returns NULL, or why there is none, for the log, in `pool` or a literal. */
const char *la_claims_identity(const la_claims_t *claims, const apr_array_header_t *names,
                               const apr_array_header_t *maps, apr_pool_t *pool,
                               const la_identity_t **identity);

/* Takes attributes in their final form, as `custom` endpoints and key files have them: an object
 * whose members are categories, each a value or a list of values. A value is a string, or if
 * `scalars` a number or boolean as text. A null is skipped, and NULL has no categories.
 * Returns NULL, or what is wrong, for the log, in `pool`; the builder then holds a part. */
const char *la_claims_attributes(const la_json_t *attributes, int scalars,
                                 la_identity_builder_t *builder, apr_pool_t *pool);

/* What kind of value it is, for the log: "a string", "a list", "null". */
const char *la_claims_kind(const la_json_t *value);

/* The reason `NAME is a list, expected EXPECTED`, in `pool`. */
const char *la_claims_wrong_kind(apr_pool_t *pool, const char *name, const la_json_t *value,
                                 const char *expected);

/* Claims: finding them and turning them into a principal and attributes. Owns the lookup rules;
 * which objects hold claims, and which claims map where, is left to the providers.
 *
 * Called by request threads, on documents that nobody changes.
 */
#include "access/claims.h"

#include <string.h>

/* What separates values in a string claim. Spelt out, since isspace() depends on the locale. */
#define WHITE_SPACE " \t\n\v\f\r"

/* How many bytes of `path` a member's name covers, up to a dot that separates or the end; -1 when
 * it is another name. */
static apr_ssize_t covered(const char *path, la_slice_t name)
{
    const char *at = path;

    for (apr_size_t i = 0; i < name.len; i++) {
        at += at[0] == '\\' && at[1] == '.';
        if (!*at || *at != name.data[i]) {
            return -1;
        }
        at++;
    }
    return *at == '\0' || *at == '.' ? at - path : -1;
}

/* The member with the longest name that `path` begins with, null ones aside. Returns what it
 * covers, -1 when there is none. */
static apr_ssize_t find_longest(const la_json_t *object, const char *path, const la_json_t **found)
{
    la_json_iterator_t it = {0};
    const la_json_t *value;
    apr_ssize_t longest = -1;
    la_slice_t name;

    while (la_json_next(object, &it, &name, &value)) {
        apr_ssize_t len = value ? covered(path, name) : -1;

        if (len > longest) {
            longest = len;
            *found = value;
        }
    }
    return longest;
}

/* Walks nested objects along a path; an empty name is one as any other. */
static int find_path(const la_json_t *object, const char *path, const la_json_t **claim)
{
    apr_ssize_t len = find_longest(object, path, claim);

    while (len >= 0 && path[len]) {
        path += len + 1;
        len = find_longest(*claim, path, claim);
    }
    if (len < 0) {
        *claim = NULL;
    }
    return len >= 0;
}

/* A member whose whole name is `name`. */
static int find_literal(const la_json_t *object, const char *name, const la_json_t **claim)
{
    const la_json_t *found = NULL;

    if (!strchr(name, '\\')) {
        return la_json_member(object, name, claim) && *claim;
    }
    *claim = NULL;
    if (find_longest(object, name, &found) == (apr_ssize_t)strlen(name)) {
        *claim = found;
    }
    return *claim != NULL;
}

int la_claims_find(const la_claims_t *claims, const char *name, const la_json_t **claim)
{
    return find_literal(claims->first, name, claim) || find_literal(claims->second, name, claim) ||
           (strchr(name, '.') &&
            (find_path(claims->first, name, claim) || find_path(claims->second, name, claim)));
}

/* A string, or a number as text. */
static int read_principal(const la_json_t *claim, apr_pool_t *pool, la_slice_t *principal)
{
    return la_json_type(claim) == LA_JSON_NUMBER ? la_json_scalar_text(pool, claim, principal)
                                                 : la_json_string(claim, principal);
}

const char *la_claims_principal(const la_claims_t *claims, const apr_array_header_t *names,
                                la_identity_builder_t *builder, apr_pool_t *pool, int *found)
{
    const la_json_t *claim;
    la_slice_t principal;

    *found = 0;
    for (int i = 0; i < names->nelts && !*found; i++) {
        *found = la_claims_find(claims, APR_ARRAY_IDX(names, i, const char *), &claim);
    }
    if (!*found) {
        return NULL;
    }
    if (!read_principal(claim, pool, &principal)) {
        return "the principal is neither a string nor a number";
    }
    return la_identity_set_principal(builder, principal);
}

static void add_words(la_identity_builder_t *builder, la_slice_t category, la_slice_t text)
{
    const char *end = text.data + text.len;
    const char *word = text.data;

    for (const char *at = text.data; at <= end; at++) {
        /* memchr, not strchr: a string may hold NUL, which separates nothing. */
        if (at < end && !memchr(WHITE_SPACE, *at, sizeof(WHITE_SPACE) - 1))
            continue;
        if (at > word)
            la_identity_add(builder, category, (la_slice_t){word, (apr_size_t)(at - word)});
        word = at + 1;
    }
}

static void add_value(la_identity_builder_t *builder, const la_claim_map_t *map,
                      const la_json_t *value, apr_pool_t *pool)
{
    la_slice_t text;

    if (!la_json_scalar_text(pool, value, &text)) {
        return;
    }
    if (map->form == LA_CLAIM_SPLIT) {
        add_words(builder, la_slice_of(map->category), text);
    } else {
        la_identity_add(builder, la_slice_of(map->category), text);
    }
}

static void add_names(la_identity_builder_t *builder, la_slice_t category, const la_json_t *object)
{
    la_json_iterator_t it = {0};
    const la_json_t *value;
    la_slice_t name;

    la_identity_add_category(builder, category);
    while (la_json_next(object, &it, &name, &value)) {
        if (value) {
            la_identity_add(builder, category, name);
        }
    }
}

static void map_claim(const la_json_t *claim, const la_claim_map_t *map,
                      la_identity_builder_t *builder, apr_pool_t *pool)
{
    la_slice_t category = la_slice_of(map->category);

    if (map->form == LA_CLAIM_KEYS) {
        if (la_json_type(claim) == LA_JSON_OBJECT) {
            add_names(builder, category, claim);
        }
        return;
    }
    switch (la_json_type(claim)) {
    case LA_JSON_STRING:
        la_identity_add_category(builder, category);
        add_value(builder, map, claim, pool);
        break;
    case LA_JSON_ARRAY:
        la_identity_add_category(builder, category);
        for (apr_size_t i = 0; i < la_json_count(claim); i++) {
            add_value(builder, map, la_json_item(claim, i), pool);
        }
        break;
    case LA_JSON_NUMBER:
    case LA_JSON_BOOLEAN:
        add_value(builder, map, claim, pool);
        break;
    case LA_JSON_NULL:
    case LA_JSON_OBJECT:
        break;
    }
}

void la_claims_map(const la_claims_t *claims, const apr_array_header_t *maps,
                   la_identity_builder_t *builder, apr_pool_t *pool)
{
    for (int i = 0; i < maps->nelts; i++) {
        const la_claim_map_t *map = &APR_ARRAY_IDX(maps, i, la_claim_map_t);
        const la_json_t *claim;

        if (la_claims_find(claims, map->source, &claim))
            map_claim(claim, map, builder, pool);
    }
}

/* Takes one value. Returns 0 when it is none. */
static int add_attribute(la_slice_t category, const la_json_t *value, int scalars,
                         la_identity_builder_t *builder, apr_pool_t *pool)
{
    la_slice_t text;

    if (scalars ? !la_json_scalar_text(pool, value, &text) : !la_json_string(value, &text)) {
        return 0;
    }
    la_identity_add(builder, category, text);
    return 1;
}

static const char *add_category(la_slice_t category, const la_json_t *values, int scalars,
                                la_identity_builder_t *builder, apr_pool_t *pool)
{
    if (category.len == 0) {
        return "attributes hold a category without a name";
    }
    la_identity_add_category(builder, category);
    if (la_json_type(values) != LA_JSON_ARRAY) {
        return add_attribute(category, values, scalars, builder, pool)
                   ? NULL
                   : "attributes hold a category that is neither a list nor a value";
    }
    for (apr_size_t i = 0; i < la_json_count(values); i++) {
        const la_json_t *value = la_json_item(values, i);

        if (value && !add_attribute(category, value, scalars, builder, pool)) {
            return scalars ? "attributes hold a value that is no string, number or boolean"
                           : "attributes hold a value that is not a string";
        }
    }
    return NULL;
}

const char *la_claims_attributes(const la_json_t *attributes, int scalars,
                                 la_identity_builder_t *builder, apr_pool_t *pool)
{
    la_json_iterator_t it = {0};
    const la_json_t *values;
    const char *error = NULL;
    la_slice_t category;

    if (attributes && la_json_type(attributes) != LA_JSON_OBJECT) {
        return "attributes are not an object";
    }
    while (!error && la_json_next(attributes, &it, &category, &values)) {
        error = values ? add_category(category, values, scalars, builder, pool) : NULL;
    }
    return error;
}

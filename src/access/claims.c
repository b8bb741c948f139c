/* Finds claims, and makes a principal and attributes of them, as the providers say. Any thread. */
#include "access/claims.h"

#include <string.h>

#include <apr_strings.h>

/* What `split` splits at; isspace() would depend on the locale. */
#define WHITE_SPACE " \t\n\v\f\r"

/* How many bytes of `path` are this member name, up to a separating dot or the end; -1 if another
 * name stands there. */
static apr_ssize_t match_name(const char *path, la_slice_t name)
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

/* Finds the member with the longest name that `path` begins with, skipping nulls. Returns the bytes
 * of the path that its name takes, -1 if there is none. */
static apr_ssize_t find_longest(const la_json_t *object, const char *path, const la_json_t **found)
{
    la_json_iterator_t it = {0};
    const la_json_t *value;
    apr_ssize_t longest = -1;
    la_slice_t name;

    while (la_json_next(object, &it, &name, &value)) {
        apr_ssize_t len = value ? match_name(path, name) : -1;

        if (len > longest) {
            longest = len;
            *found = value;
        }
    }
    return longest;
}

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

/* Finds a member whose whole name is `name`. */
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

const char *la_claims_kind(const la_json_t *value)
{
    static const char *const kinds[] = {
        [LA_JSON_NULL] = "null",       [LA_JSON_BOOLEAN] = "a boolean",
        [LA_JSON_NUMBER] = "a number", [LA_JSON_STRING] = "a string",
        [LA_JSON_ARRAY] = "a list",    [LA_JSON_OBJECT] = "an object"};

    return kinds[la_json_type(value)];
}

const char *la_claims_wrong_kind(apr_pool_t *pool, const char *name, const la_json_t *value,
                                 const char *expected)
{
    return apr_pstrcat(pool, name, " is ", la_claims_kind(value), ", expected ", expected, NULL);
}

static const char *set_principal(const char *name, const la_json_t *claim,
                                 la_identity_builder_t *builder, apr_pool_t *pool)
{
    la_json_e type = la_json_type(claim);
    const char *error;
    la_slice_t text;

    if ((type != LA_JSON_STRING && type != LA_JSON_NUMBER) ||
        !la_json_scalar_text(pool, claim, &text)) {
        return la_claims_wrong_kind(pool, name, claim, "a string or a 64-bit number");
    }
    error = la_identity_set_principal(builder, text);
    return error ? apr_pstrcat(pool, name, ": ", error, NULL) : NULL;
}

const char *la_claims_principal(const la_claims_t *claims, const apr_array_header_t *names,
                                la_identity_builder_t *builder, apr_pool_t *pool, int *found)
{
    *found = 0;
    for (int i = 0; i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);
        const la_json_t *claim;

        if (la_claims_find(claims, name, &claim)) {
            *found = 1;
            return set_principal(name, claim, builder, pool);
        }
    }
    return NULL;
}

static void add_words(la_identity_builder_t *builder, la_slice_t category, la_slice_t text)
{
    const char *end = text.data + text.len;
    const char *word = text.data;

    for (const char *at = text.data; at <= end; at++) {
        /* memchr, not strchr: a string may hold NUL, which separates nothing. */
        if (at < end && !memchr(WHITE_SPACE, *at, sizeof(WHITE_SPACE) - 1)) {
            continue;
        }
        if (at > word) {
            la_identity_add(builder, category, (la_slice_t){word, (apr_size_t)(at - word)});
        }
        word = at + 1;
    }
}

static void add_text(la_identity_builder_t *builder, const la_claim_map_t *map, la_slice_t text)
{
    if (map->form == LA_CLAIM_SPLIT) {
        add_words(builder, la_slice_of(map->category), text);
    } else {
        la_identity_add(builder, la_slice_of(map->category), text);
    }
}

static void add_value(la_identity_builder_t *builder, const la_claim_map_t *map,
                      const la_json_t *value, apr_pool_t *pool)
{
    la_slice_t text;

    if (la_json_scalar_text(pool, value, &text)) {
        add_text(builder, map, text);
    }
}

static void add_member_names(la_identity_builder_t *builder, la_slice_t category,
                             const la_json_t *object)
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
    la_json_e type = la_json_type(claim);

    if (map->form == LA_CLAIM_KEYS) {
        if (type == LA_JSON_OBJECT) {
            add_member_names(builder, category, claim);
        }
        return;
    }
    if (type == LA_JSON_STRING || type == LA_JSON_ARRAY) {
        la_identity_add_category(builder, category);
    }
    if (type == LA_JSON_ARRAY) {
        for (apr_size_t i = 0; i < la_json_count(claim); i++) {
            add_value(builder, map, la_json_item(claim, i), pool);
        }
    } else {
        add_value(builder, map, claim, pool);
    }
}

void la_claims_map(const la_claims_t *claims, const apr_array_header_t *maps,
                   la_identity_builder_t *builder, apr_pool_t *pool)
{
    for (int i = 0; i < maps->nelts; i++) {
        const la_claim_map_t *map = &APR_ARRAY_IDX(maps, i, la_claim_map_t);
        const la_json_t *claim;

        if (la_claims_find(claims, map->source, &claim)) {
            map_claim(claim, map, builder, pool);
        }
    }
}

void la_claims_map_texts(const apr_array_header_t *texts, const la_claim_map_t *map,
                         la_identity_builder_t *builder)
{
    if (map->form == LA_CLAIM_KEYS) {
        return;
    }
    la_identity_add_category(builder, la_slice_of(map->category));
    for (int i = 0; i < texts->nelts; i++) {
        add_text(builder, map, la_slice_of(APR_ARRAY_IDX(texts, i, const char *)));
    }
}

void la_claims_confirmation(const la_json_t *document, int null_is_absent,
                            la_identity_builder_t *builder)
{
    la_confirmation_t confirmation;

    if (la_confirmation_read(document, null_is_absent, &confirmation)) {
        la_identity_set_confirmation(builder, &confirmation);
    }
}

const char *la_claims_identity(const la_claims_t *claims, const apr_array_header_t *names,
                               const apr_array_header_t *maps, apr_pool_t *pool,
                               const la_identity_t **identity)
{
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    int found;
    const char *error = la_claims_principal(claims, names, builder, pool, &found);

    *identity = NULL;
    if (!error && !found) {
        error = apr_pstrcat(pool,
                            "no principal, expected one of: ", apr_array_pstrcat(pool, names, ' '),
                            " (PrincipalClaim)", NULL);
    }
    if (error) {
        return error;
    }
    la_claims_map(claims, maps, builder, pool);
    la_claims_confirmation(claims->first, claims->null_is_absent, builder);
    return la_identity_build(builder, pool, identity);
}

/* Takes one value. Returns 0 if it is none. */
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

static const char *wrong_value(apr_pool_t *pool, la_slice_t category, const la_json_t *value,
                               int scalars)
{
    return apr_pstrcat(pool, "the attribute ", la_json_quoted(pool, category), " holds ",
                       la_claims_kind(value), ", expected ",
                       scalars ? "strings, numbers and booleans" : "strings", NULL);
}

static const char *add_category(la_slice_t category, const la_json_t *values, int scalars,
                                la_identity_builder_t *builder, apr_pool_t *pool)
{
    if (category.len == 0) {
        return "an attribute has no name";
    }
    la_identity_add_category(builder, category);
    if (la_json_type(values) != LA_JSON_ARRAY) {
        return add_attribute(category, values, scalars, builder, pool)
                   ? NULL
                   : wrong_value(pool, category, values, scalars);
    }
    for (apr_size_t i = 0; i < la_json_count(values); i++) {
        const la_json_t *value = la_json_item(values, i);

        if (value && !add_attribute(category, value, scalars, builder, pool)) {
            return wrong_value(pool, category, value, scalars);
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
        return la_claims_wrong_kind(pool, "attributes", attributes, "an object");
    }
    while (!error && la_json_next(attributes, &it, &category, &values)) {
        error = values ? add_category(category, values, scalars, builder, pool) : NULL;
    }
    return error;
}

/* Claims: finding them and turning them into a principal and attributes. Owns the lookup rules;
 * which objects hold claims, and which claims map where, is left to the providers.
 *
 * Called by request threads, on documents that nobody changes.
 */
#include "core/claims.h"

#include <string.h>

/* What separates values in a string claim. Spelt out, since isspace() depends on the locale. */
#define WHITE_SPACE " \t\n\v\f\r"

static la_slice_t slice_of(const char *text)
{
    return (la_slice_t){text, strlen(text)};
}

/* Like la_json_member(), for a name that does not end in NUL; `member` counts only when found. */
static int find_member(const la_json_t *object, la_slice_t name, const la_json_t **member)
{
    la_json_iterator_t it = {0};
    la_slice_t candidate;

    while (la_json_next(object, &it, &candidate, member)) {
        if (candidate.len == name.len && memcmp(candidate.data, name.data, name.len) == 0)
            return 1;
    }
    return 0;
}

/* Walks nested objects along the dots of `name`; an empty segment names the member "". In each object the rest of the name is
 * tried as it is before it is cut at its first dot, since names may hold dots themselves (Kubernetes' `extra`). */
static int find_path(const la_json_t *object, const char *name, const la_json_t **claim)
{
    for (;;) {
        la_slice_t segment = {name, strcspn(name, ".")};

        if (la_json_member(object, name, claim))
            return 1;
        if (!name[segment.len] || !find_member(object, segment, &object))
            return 0;
        name += segment.len + 1;
    }
}

int la_claims_find(const la_claims_t *claims, const char *name, const la_json_t **claim)
{
    return la_json_member(claims->first, name, claim) ||
           la_json_member(claims->second, name, claim) || find_path(claims->first, name, claim) ||
           find_path(claims->second, name, claim);
}

const char *la_claims_principal(const la_claims_t *claims, const apr_array_header_t *names,
                                la_identity_builder_t *builder, int *found)
{
    const la_json_t *claim;
    la_slice_t principal;

    *found = 0;
    for (int i = 0; i < names->nelts && !*found; i++)
        *found = la_claims_find(claims, APR_ARRAY_IDX(names, i, const char *), &claim);
    if (!*found)
        return NULL;
    if (!la_json_string(claim, &principal))
        return "the principal is not a string";
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

static void add_scalar(la_identity_builder_t *builder, la_slice_t category, const la_json_t *value,
                       apr_pool_t *pool)
{
    la_slice_t text;

    if (la_json_scalar_text(pool, value, &text))
        la_identity_add(builder, category, text);
}

static void map_claim(const la_json_t *claim, la_slice_t category, la_identity_builder_t *builder,
                      apr_pool_t *pool)
{
    la_slice_t text;

    switch (la_json_type(claim)) {
    case LA_JSON_STRING:
        la_identity_add_category(builder, category);
        (void)la_json_string(claim, &text);
        add_words(builder, category, text);
        break;
    case LA_JSON_ARRAY:
        la_identity_add_category(builder, category);
        for (apr_size_t i = 0; i < la_json_count(claim); i++)
            add_scalar(builder, category, la_json_item(claim, i), pool);
        break;
    case LA_JSON_NUMBER:
    case LA_JSON_BOOLEAN:
        add_scalar(builder, category, claim, pool);
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
            map_claim(claim, slice_of(map->category), builder, pool);
    }
}

static const char *add_category(la_slice_t category, const la_json_t *values,
                                la_identity_builder_t *builder)
{
    la_slice_t value;

    if (category.len == 0)
        return "attributes hold a category without a name";
    la_identity_add_category(builder, category);
    if (la_json_string(values, &value)) {
        la_identity_add(builder, category, value);
        return NULL;
    }
    if (la_json_type(values) != LA_JSON_ARRAY)
        return "attributes hold a category that is neither a list nor a string";
    for (apr_size_t i = 0; i < la_json_count(values); i++) {
        if (!la_json_string(la_json_item(values, i), &value))
            return "attributes hold a value that is not a string";
        la_identity_add(builder, category, value);
    }
    return NULL;
}

const char *la_claims_attributes(const la_json_t *attributes, la_identity_builder_t *builder)
{
    la_json_iterator_t it = {0};
    const la_json_t *values;
    const char *error = NULL;
    la_slice_t category;

    if (attributes && la_json_type(attributes) != LA_JSON_OBJECT)
        return "attributes are not an object";
    while (!error && la_json_next(attributes, &it, &category, &values))
        error = add_category(category, values, builder);
    return error;
}

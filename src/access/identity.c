/* Reads the flat block that stands for a caller, and checks one of unknown origin.
 * identity_build.c makes blocks; identity_layout.h draws them. Any thread. */
#include "access/identity.h"

#include "access/identity_layout.h"

static const span_t *values_of(const la_identity_t *identity)
{
    return (const span_t *)(const void *)(identity->categories + identity->category_count);
}

/* Where the confirmation stands, or would stand. */
static const la_confirmation_t *confirmation_of(const la_identity_t *identity)
{
    return (const la_confirmation_t *)(const void *)(values_of(identity) + identity->value_count);
}

static const char *text_at(const la_identity_t *identity, span_t span)
{
    return (const char *)identity + span.offset;
}

static la_slice_t slice_of(const la_identity_t *identity, span_t span)
{
    return (la_slice_t){text_at(identity, span), span.len};
}

/* Whether a span and its NUL lie between `strings` and the block's end. */
static int span_is_sound(const la_identity_t *identity, uint64_t strings, span_t span)
{
    uint64_t end = (uint64_t)span.offset + span.len;

    return span.offset >= strings && end < identity->size && ((const char *)identity)[end] == '\0';
}

static int categories_are_sound(const la_identity_t *identity, uint64_t strings)
{
    uint64_t values = 0;

    for (apr_size_t i = 0; i < identity->category_count; i++) {
        const category_t *category = &identity->categories[i];

        if (category->first_value != values || !span_is_sound(identity, strings, category->name) ||
            !span_is_sound(identity, strings, category->note) ||
            !span_is_sound(identity, strings, category->joined)) {
            return 0;
        }
        values += category->value_count;
    }
    return values == identity->value_count;
}

/* Where the strings begin: behind the tables and the confirmation. */
static uint64_t strings_of(const la_identity_t *identity)
{
    return sizeof(*identity) + (uint64_t)identity->category_count * sizeof(category_t) +
           (uint64_t)identity->value_count * sizeof(span_t) +
           (uint64_t)identity->confirmation_count * sizeof(la_confirmation_t);
}

int la_identity_check(const void *bytes, apr_size_t len)
{
    const la_identity_t *identity = bytes;
    uint64_t strings;

    if (len < sizeof(*identity) || identity->magic != IDENTITY_MAGIC || identity->size > len ||
        identity->size > LA_IDENTITY_MAX_BYTES || identity->confirmation_count > 1) {
        return 0;
    }
    strings = strings_of(identity);
    /* The principal is the first string: then nothing lies between it and what the counts say. */
    if (strings > identity->size || identity->principal.offset != strings ||
        !span_is_sound(identity, strings, identity->principal) ||
        !span_is_sound(identity, strings, identity->message) ||
        !span_is_sound(identity, strings, identity->attributes) ||
        !categories_are_sound(identity, strings)) {
        return 0;
    }
    for (apr_size_t i = 0; i < identity->value_count; i++) {
        if (!span_is_sound(identity, strings, values_of(identity)[i])) {
            return 0;
        }
    }
    return identity->confirmation_count == 0 || la_confirmation_check(confirmation_of(identity));
}

apr_size_t la_identity_size(const la_identity_t *identity)
{
    return identity->size;
}

la_slice_t la_identity_principal(const la_identity_t *identity)
{
    return slice_of(identity, identity->principal);
}

la_slice_t la_identity_message(const la_identity_t *identity)
{
    return slice_of(identity, identity->message);
}

la_slice_t la_identity_attributes_json(const la_identity_t *identity)
{
    return slice_of(identity, identity->attributes);
}

const la_confirmation_t *la_identity_confirmation(const la_identity_t *identity)
{
    return identity->confirmation_count ? confirmation_of(identity) : NULL;
}

apr_size_t la_identity_count(const la_identity_t *identity)
{
    return identity->category_count;
}

void la_identity_note(const la_identity_t *identity, apr_size_t index, const char **name,
                      const char **value)
{
    *name = text_at(identity, identity->categories[index].note);
    *value = text_at(identity, identity->categories[index].joined);
}

la_slice_t la_identity_category(const la_identity_t *identity, apr_size_t index)
{
    return slice_of(identity, identity->categories[index].name);
}

apr_time_t la_identity_end(const la_identity_t *identity)
{
    return apr_time_from_sec((apr_time_t)identity->end_s);
}

apr_size_t la_identity_find(const la_identity_t *identity, la_slice_t category)
{
    apr_size_t i = 0;

    while (i < identity->category_count &&
           !la_slice_equals(slice_of(identity, identity->categories[i].name), category)) {
        i++;
    }
    return i;
}

apr_size_t la_identity_value_count(const la_identity_t *identity, apr_size_t index)
{
    return index < identity->category_count ? identity->categories[index].value_count : 0;
}

la_slice_t la_identity_value(const la_identity_t *identity, apr_size_t index, apr_size_t value)
{
    return slice_of(identity, values_of(identity)[identity->categories[index].first_value + value]);
}

int la_identity_has(const la_identity_t *identity, la_slice_t category, la_slice_t value)
{
    apr_size_t index = la_identity_find(identity, category);

    for (apr_size_t i = 0; i < la_identity_value_count(identity, index); i++) {
        if (la_slice_equals(la_identity_value(identity, index, i), value)) {
            return 1;
        }
    }
    return 0;
}

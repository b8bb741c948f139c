/* Collects who a caller is, and makes the flat block of it. One thread uses a builder. */
#include "access/identity.h"

#include "base/hash.h"
#include "access/identity_layout.h"
#include "base/json.h"
#include "base/json_scan.h"

#include <apr_strings.h>

#include <string.h>

typedef struct item_t {
    la_slice_t text;
    struct item_t *next;
} item_t;

typedef struct group_t {
    la_slice_t name;
    uint32_t index;
    uint32_t value_count;
    item_t *first;
    item_t **end; /* where the next value is linked */
    struct group_t *next;
} group_t;

/* The values of all categories share one hash, because one each would make a megabyte of empty
 * categories cost forty. A value's key is its category's index, then its bytes. */
struct la_identity_builder_t {
    apr_pool_t *pool;
    la_slice_t principal;
    la_slice_t message;
    la_confirmation_t confirmation; /* members 0: bound to nothing */
    apr_hash_t *groups;             /* name -> group_t */
    apr_hash_t *values;             /* index and value -> group_t: which values exist */
    uint32_t group_count;
    uint32_t value_count;
    apr_size_t taken; /* bytes for groups and values; if above BUILDER_BYTES, some are missing */
    group_t *first;
    group_t **end;
};

/* The most that a builder collects: a megabyte of short words would take thirty. */
#define BUILDER_BYTES LA_IDENTITY_MAX_BYTES

/* APR's hash entry, and the tables that it grows through. */
#define HASH_ENTRY_BYTES 72

/* Copies `text` and a NUL behind `head` bytes that the caller fills. */
static char *copy_behind(apr_pool_t *pool, apr_size_t head, la_slice_t text)
{
    char *copy = apr_palloc(pool, head + text.len + 1);

    if (text.len > 0) { /* text.data may be NULL, which memcpy() may not get */
        memcpy(copy + head, text.data, text.len);
    }
    copy[head + text.len] = '\0';
    return copy;
}

la_identity_builder_t *la_identity_builder_make(apr_pool_t *pool)
{
    la_identity_builder_t *builder = apr_pcalloc(pool, sizeof(*builder));

    builder->pool = pool;
    builder->groups = apr_hash_make_custom(pool, la_hash_keyed);
    builder->values = apr_hash_make_custom(pool, la_hash_keyed);
    builder->end = &builder->first;
    return builder;
}

/* Bytes of the control character at `at`: C0, DEL, or C1 in UTF-8; 0 for anything else. */
static apr_size_t control_at(la_slice_t text, apr_size_t at)
{
    unsigned char byte = (unsigned char)text.data[at];

    if (byte < 0x20 || byte == 0x7f) {
        return 1;
    }
    return byte == 0xc2 && at + 1 < text.len && ((unsigned char)text.data[at + 1] & 0xe0) == 0x80
               ? 2
               : 0;
}

/* Whether the character is white space in Unicode, except control characters. */
static int is_blank(unsigned code)
{
    return code == ' ' || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) ||
           code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

/* Whether a text, which is not empty, begins or ends with a blank: it looks like another name. */
static int has_outer_blanks(la_slice_t text)
{
    const unsigned char *bytes = (const unsigned char *)text.data;
    unsigned first;
    unsigned last;
    apr_size_t start = text.len - 1;

    (void)la_utf8_decode(bytes, text.len, &first);
    while (start > 0 && (bytes[start] & 0xc0) == 0x80) {
        start--;
    }
    (void)la_utf8_decode(bytes + start, text.len - start, &last);
    return is_blank(first) || is_blank(last);
}

const char *la_identity_set_principal(la_identity_builder_t *builder, la_slice_t principal)
{
    if (principal.len == 0) {
        return "the principal is empty";
    }
    for (apr_size_t i = 0; i < principal.len; i++) {
        if (control_at(principal, i)) {
            return "the principal holds control characters";
        }
    }
    if (has_outer_blanks(principal)) {
        return "the principal begins or ends with a blank";
    }
    builder->principal = (la_slice_t){copy_behind(builder->pool, 0, principal), principal.len};
    return NULL;
}

void la_identity_set_message(la_identity_builder_t *builder, la_slice_t message)
{
    char *copy = copy_behind(builder->pool, 0, message);
    apr_size_t len = 0;

    for (apr_size_t i = 0; i < message.len; len++) {
        apr_size_t control = control_at(message, i);

        copy[len] = message.data[i];
        if (control) {
            copy[len] = ' ';
        }
        i += control ? control : 1;
    }
    builder->message = (la_slice_t){copy, len};
}

void la_identity_set_confirmation(la_identity_builder_t *builder,
                                  const la_confirmation_t *confirmation)
{
    builder->confirmation = la_confirmation_check(confirmation)
                                ? *confirmation
                                : (la_confirmation_t){.members = LA_CONFIRM_UNKNOWN};
}

/* Counts one more text and `more` bytes. Returns 0 if the builder has no room for them. */
static int take_room(la_identity_builder_t *builder, la_slice_t text, apr_size_t more)
{
    builder->taken += text.len + more + HASH_ENTRY_BYTES;
    return builder->taken <= BUILDER_BYTES;
}

/* Finds or adds a category; NULL if the builder is full. */
static group_t *group_for(la_identity_builder_t *builder, la_slice_t name)
{
    group_t *group = apr_hash_get(builder->groups, name.data, (apr_ssize_t)name.len);

    if (group || !take_room(builder, name, sizeof(*group))) {
        return group;
    }
    group = apr_pcalloc(builder->pool, sizeof(*group));
    group->name = (la_slice_t){copy_behind(builder->pool, 0, name), name.len};
    group->index = builder->group_count++;
    group->end = &group->first;
    *builder->end = group;
    builder->end = &group->next;
    apr_hash_set(builder->groups, group->name.data, (apr_ssize_t)name.len, group);
    return group;
}

void la_identity_add_category(la_identity_builder_t *builder, la_slice_t category)
{
    (void)group_for(builder, category);
}

void la_identity_add(la_identity_builder_t *builder, la_slice_t category, la_slice_t value)
{
    group_t *group = group_for(builder, category);
    apr_size_t head = sizeof(group->index);
    apr_ssize_t klen = (apr_ssize_t)(head + value.len);
    item_t *item;
    char *key;

    /* A repeated value takes room too, because its copy stays in the pool. */
    if (!group || !take_room(builder, value, head + sizeof(*item))) {
        return;
    }
    key = copy_behind(builder->pool, head, value);
    memcpy(key, &group->index, head);
    if (apr_hash_get(builder->values, key, klen)) {
        return;
    }
    apr_hash_set(builder->values, key, klen, group);
    item = apr_pcalloc(builder->pool, sizeof(*item));
    item->text = (la_slice_t){key + head, value.len};
    *group->end = item;
    group->end = &item->next;
    group->value_count++;
    builder->value_count++;
}

apr_size_t la_identity_encode(char *out, la_slice_t text, int comma)
{
    static const char digits[] = "0123456789ABCDEF";
    apr_size_t len = 0;

    for (apr_size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        int plain = byte >= 0x20 && byte < 0x7f && byte != '%' && !(comma && byte == ',');

        if (out && plain) {
            out[len] = (char)byte;
        } else if (out) {
            out[len] = '%';
            out[len + 1] = digits[byte >> 4];
            out[len + 2] = digits[byte & 15];
        }
        len += plain ? 1 : 3;
    }
    return len;
}

const char *la_identity_ascii(apr_pool_t *pool, const char *text)
{
    la_slice_t slice = la_slice_of(text);
    apr_size_t len = la_identity_encode(NULL, slice, 0);
    char *encoded;

    if (len == slice.len) {
        return text;
    }
    encoded = apr_palloc(pool, len + 1);
    la_identity_encode(encoded, slice, 0);
    encoded[len] = '\0';
    return encoded;
}

/* Adds a length to a total that may not pass LA_IDENTITY_MAX_BYTES. */
static int add_bytes(apr_size_t *total, apr_size_t len)
{
    if (len > LA_IDENTITY_MAX_BYTES - *total) {
        return 0;
    }
    *total += len;
    return 1;
}

/* What a text takes in the block as it is and encoded, each with the NUL or comma after it. */
static apr_size_t text_bytes(la_slice_t text, int value)
{
    return text.len > LA_IDENTITY_MAX_BYTES
               ? text.len
               : text.len + 1 + la_identity_encode(NULL, text, value) + 1;
}

static apr_size_t confirmation_bytes(const la_identity_builder_t *builder)
{
    return builder->confirmation.members ? sizeof(builder->confirmation) : 0;
}

/* The block's size without the attributes' JSON; 0 if it is too large already. */
static apr_size_t measure(const la_identity_builder_t *builder)
{
    apr_size_t total = sizeof(la_identity_t) + confirmation_bytes(builder) + 3;
    int fits = add_bytes(&total, builder->principal.len) && add_bytes(&total, builder->message.len);

    for (const group_t *group = builder->first; fits && group; group = group->next) {
        apr_size_t joined_nul = group->first == NULL; /* else the last value's byte */

        fits = add_bytes(&total, sizeof(category_t) + sizeof(LA_NOTE_ATTRIBUTE_PREFIX) - 1) &&
               add_bytes(&total, text_bytes(group->name, 0) + joined_nul);
        for (const item_t *item = group->first; fits && item; item = item->next) {
            fits = add_bytes(&total, sizeof(span_t) + text_bytes(item->text, 1));
        }
    }
    return fits ? total : 0;
}

static void write_attributes(la_json_writer_t *writer, const la_identity_builder_t *builder)
{
    la_json_write_raw(writer, LA_SLICE("{"));
    for (const group_t *group = builder->first; group; group = group->next) {
        la_json_write_string(writer, group->name);
        la_json_write_raw(writer, LA_SLICE(":["));
        for (const item_t *item = group->first; item; item = item->next) {
            la_json_write_string(writer, item->text);
            la_json_write_raw(writer, item->next ? LA_SLICE(",") : LA_SLICE(""));
        }
        la_json_write_raw(writer, group->next ? LA_SLICE("],") : LA_SLICE("]"));
    }
    la_json_write_raw(writer, LA_SLICE("}"));
}

static apr_size_t attributes_bytes(const la_identity_builder_t *builder)
{
    la_json_writer_t counter;

    la_json_writer_init(&counter, NULL);
    write_attributes(&counter, builder);
    return counter.len;
}

/* While a block is written, its `size` is where the next string goes. measure() has counted all
 * that is written here. */
static void append(la_identity_t *block, la_slice_t text)
{
    if (text.len > 0) {
        memcpy((char *)block + block->size, text.data, text.len);
    }
    block->size += (uint32_t)text.len;
}

static void append_encoded(la_identity_t *block, la_slice_t text, int value)
{
    block->size += (uint32_t)la_identity_encode((char *)block + block->size, text, value);
}

/* Ends the string that began at `start`. */
static span_t finish(la_identity_t *block, uint32_t start)
{
    span_t span = {start, block->size - start};

    append(block, LA_SLICE("\0"));
    return span;
}

static span_t put(la_identity_t *block, la_slice_t text)
{
    uint32_t start = block->size;

    append(block, text);
    return finish(block, start);
}

/* Writes the attributes' JSON in place: it may be too large to hold twice. */
static span_t put_attributes(la_identity_t *block, const la_identity_builder_t *builder,
                             apr_size_t len)
{
    uint32_t start = block->size;
    la_json_writer_t writer = {builder->pool, (char *)block + start, 0, len + 1};

    write_attributes(&writer, builder);
    block->size += (uint32_t)writer.len;
    return finish(block, start);
}

static span_t put_note_name(la_identity_t *block, la_slice_t name)
{
    uint32_t start = block->size;

    append(block, LA_SLICE(LA_NOTE_ATTRIBUTE_PREFIX));
    append_encoded(block, name, 0);
    return finish(block, start);
}

static span_t put_joined(la_identity_t *block, const item_t *items)
{
    uint32_t start = block->size;

    for (const item_t *item = items; item; item = item->next) {
        append_encoded(block, item->text, 1);
        append(block, item->next ? LA_SLICE(",") : LA_SLICE(""));
    }
    return finish(block, start);
}

static span_t *values_in(la_identity_t *block)
{
    return (span_t *)(void *)(block->categories + block->category_count);
}

/* Writes the fixed-width part but for what put_categories() writes. */
static void put_head(la_identity_t *block, const la_identity_builder_t *builder)
{
    char *confirmation;

    *block = (la_identity_t){.magic = IDENTITY_MAGIC,
                             .category_count = builder->group_count,
                             .value_count = builder->value_count,
                             .confirmation_count = builder->confirmation.members != 0};
    confirmation = (char *)(values_in(block) + block->value_count);
    memcpy(confirmation, &builder->confirmation, confirmation_bytes(builder));
    block->size = (uint32_t)(confirmation + confirmation_bytes(builder) - (char *)block);
}

static void put_categories(la_identity_t *block, const group_t *group)
{
    category_t *category = block->categories;
    span_t *value = values_in(block);
    uint32_t first_value = 0;

    for (; group; group = group->next, category++) {
        category->name = put(block, group->name);
        category->note = put_note_name(block, group->name);
        category->joined = put_joined(block, group->first);
        category->first_value = first_value;
        category->value_count = group->value_count;
        first_value += group->value_count;
        for (const item_t *item = group->first; item; item = item->next) {
            *value++ = put(block, item->text);
        }
    }
}

const char *la_identity_build(la_identity_builder_t *builder, apr_pool_t *pool,
                              const la_identity_t **identity)
{
    apr_size_t size = builder->taken > BUILDER_BYTES ? 0 : measure(builder);
    apr_size_t json_len = size > 0 ? attributes_bytes(builder) : 0;
    la_identity_t *block;

    *identity = NULL;
    if (size == 0 || !add_bytes(&size, json_len)) {
        return "the identity is larger than 4 MB";
    }
    block = apr_palloc(pool, size);
    put_head(block, builder);
    block->principal = put(block, builder->principal);
    block->message = put(block, builder->message);
    block->attributes = put_attributes(block, builder, json_len);
    put_categories(block, builder->first);
    *identity = block;
    return NULL;
}

/* The end as the block has it: one that is past, in 1970 too, is not 0, which is none. */
static uint32_t seconds_of(apr_time_t end)
{
    apr_time_t seconds = apr_time_sec(end);

    if (end == 0) {
        return 0;
    }
    if (seconds < 1) {
        return 1;
    }
    return seconds < UINT32_MAX ? (uint32_t)seconds : UINT32_MAX;
}

const la_identity_t *la_identity_ending(apr_pool_t *pool, const la_identity_t *identity,
                                        apr_time_t end)
{
    uint32_t end_s = seconds_of(end);
    la_identity_t *block;

    if (identity->end_s == end_s) {
        return identity;
    }
    block = apr_pmemdup(pool, identity, identity->size);
    block->end_s = end_s;
    return block;
}

/* JSON text to values. Owns the strictness: json-c lets through much that RFC 8259
 * forbids, with JSON_TOKENER_STRICT too (which in 0.18 refuses what is sound), so json_scan.c
 * checks the whole text first, and json-c only builds the tree of what is sound. Owns the bound of
 * that tree's memory as well. What a document means is left to the callers, writing JSON to
 * json_write.c.
 *
 * Called at startup (key files, error documents) and by request threads. A parsed value is only
 * read from then on, so several threads may share it: no getter here may let json-c serialise,
 * because it keeps the text inside the object.
 */
#include "base/json.h"

#include "base/json_scan.h"

#include <apr_strings.h>

#include <json-c/json.h>

#include <limits.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <math.h>
#include <stdint.h>
#include <string.h>

/* From here on a tree's memory is given back to the system at once. */
#define TREE_LARGE_BYTES ((apr_size_t)1024 * 1024)

/* Members in the tree. json-c keeps the last of those with one name, so a repeated name, however
 * its characters are escaped, makes this smaller than what the scan counted. */
static apr_size_t count_members(struct json_object *value)
{
    apr_size_t count = 0;

    if (json_object_is_type(value, json_type_array)) {
        for (apr_size_t i = 0; i < json_object_array_length(value); i++) {
            count += count_members(json_object_array_get_idx(value, i));
        }
    } else if (json_object_is_type(value, json_type_object)) {
        struct lh_entry *entry = lh_table_head(json_object_get_object(value));

        for (; entry; entry = lh_entry_next(entry)) {
            count += 1 + count_members((struct json_object *)lh_entry_v(entry));
        }
    }
    return count;
}

/* Feeds the whole text, then, since only the next byte ends a number at the top level, a NUL.
 * Returns 1 when json-c took all of it, with the tree in `root`. */
static int build_tree(struct json_tokener *tokener, la_slice_t text, struct json_object **root)
{
    apr_size_t end = text.len;

    *root = json_tokener_parse_ex(tokener, text.data, (int)text.len);
    if (json_tokener_get_error(tokener) == json_tokener_continue) {
        *root = json_tokener_parse_ex(tokener, "", 1);
        end = 0;
    }
    return json_tokener_get_error(tokener) == json_tokener_success &&
           json_tokener_get_parse_end(tokener) == end;
}

static apr_status_t free_tree(void *root)
{
    json_object_put((struct json_object *)root);
    return APR_SUCCESS;
}

/* A large tree's memory would stay with the thread that happened to parse it. */
static apr_status_t free_large_tree(void *root)
{
    json_object_put((struct json_object *)root);
#ifdef __GLIBC__
    malloc_trim(0);
#endif
    return APR_SUCCESS;
}

static apr_size_t largest_tree(apr_size_t text_len)
{
    apr_size_t bytes = LA_JSON_TREE_BYTES;

    if (text_len < (bytes - LA_JSON_TREE_BYTES_AT_LEAST) / LA_JSON_TREE_BYTES_PER_BYTE) {
        bytes = LA_JSON_TREE_BYTES_AT_LEAST + text_len * LA_JSON_TREE_BYTES_PER_BYTE;
    }
    return bytes;
}

/* Makes the tree of a text that the scan found sound. */
static const char *read_tree(apr_pool_t *pool, la_slice_t text, const la_json_scan_t *scan,
                             const la_json_t **value)
{
    struct json_tokener *tokener;
    struct json_object *root;
    int complete;
    int large;

    if (scan->tree > largest_tree(text.len)) {
        return "too many values";
    }
    /* One level more than containers: json-c counts the scalars inside the deepest one. */
    tokener = json_tokener_new_ex(LA_JSON_MAX_DEPTH + 1);
    if (!tokener) {
        return "out of memory";
    }
    complete = build_tree(tokener, text, &root);
    json_tokener_free(tokener);
    if (!complete || count_members(root) != scan->members) {
        json_object_put(root);
        return complete ? "duplicate member name" : "not readable";
    }
    large = scan->tree + text.len >= TREE_LARGE_BYTES;
    apr_pool_cleanup_register(pool, root, large ? free_large_tree : free_tree,
                              apr_pool_cleanup_null);
    *value = (const la_json_t *)root;
    return NULL;
}

/* Of a text of several lines, as people write them, the line too; not of its end. */
static const char *describe(apr_pool_t *pool, la_slice_t text, const la_json_scan_t *scan)
{
    unsigned line = 1;

    for (size_t i = 0; i < scan->at && scan->at < text.len; i++)
        line += text.data[i] == '\n';
    return line == 1 ? apr_psprintf(pool, "%s at byte %" APR_SIZE_T_FMT, scan->error, scan->at + 1)
                     : apr_psprintf(pool, "%s at byte %" APR_SIZE_T_FMT ", line %u", scan->error,
                                    scan->at + 1, line);
}

/* Scans a text. Where it has surrogates, `text` becomes one in `pool` without. */
static const char *scan_text(apr_pool_t *pool, la_slice_t *text, const char *list,
                             la_json_scan_t *scan)
{
    if (text->len > INT_MAX) {
        return "longer than 2 GB";
    }
    if (!la_json_scan(*text, list, scan)) {
        return describe(pool, *text, scan);
    }
    if (scan->surrogates) {
        *text = la_json_join_surrogates(pool, *text);
        (void)la_json_scan(*text, list, scan);
    }
    return NULL;
}

const char *la_json_parse(apr_pool_t *pool, la_slice_t text, const la_json_t **value)
{
    la_json_scan_t scan;
    const char *error = scan_text(pool, &text, NULL, &scan);

    *value = NULL;
    return error ? error : read_tree(pool, text, &scan, value);
}

/* ---- lists ---- */

/* The text without what is in the list. */
static la_slice_t cut_out(apr_pool_t *pool, la_slice_t text, la_slice_t list)
{
    apr_size_t before = (apr_size_t)(list.data - text.data);
    apr_size_t after = text.len - before - list.len;
    char *rest = apr_palloc(pool, before + after);

    memcpy(rest, text.data, before);
    memcpy(rest + before, list.data + list.len, after);
    return (la_slice_t){rest, before + after};
}

const char *la_json_parse_list(apr_pool_t *pool, la_slice_t text, const char *name,
                               const la_json_t **value, la_json_list_t *list)
{
    la_json_scan_t scan;
    const char *error = scan_text(pool, &text, name, &scan);

    *value = NULL;
    *list = (la_json_list_t){0};
    if (!error && scan.list.data) {
        text = cut_out(pool, text, scan.list);
    }
    if (!error) {
        error = read_tree(pool, text, &scan, value);
    }
    if (error) {
        return error;
    }
    if (scan.list.data) {
        *list = (la_json_list_t){.count = scan.items, .rest = scan.list};
    } else if (la_json_member(*value, name, &list->tree) &&
               la_json_type(list->tree) == LA_JSON_ARRAY) {
        list->count = la_json_count(list->tree); /* its name was written with escapes */
    }
    return NULL;
}

const char *la_json_list_next(la_json_list_t *list, apr_pool_t *pool, const la_json_t **item)
{
    la_json_scan_t scan;
    la_slice_t text;

    *item = NULL;
    if (list->tree) {
        *item = la_json_item(list->tree, list->at++);
        return NULL;
    }
    if (!la_json_scan_item(list->rest, &scan)) {
        return describe(pool, LA_SLICE(""), &scan);
    }
    text = (la_slice_t){list->rest.data, scan.at};
    list->rest.data += scan.at;
    list->rest.len -= scan.at;
    if (list->rest.len > 0) { /* the comma */
        list->rest.data++;
        list->rest.len--;
    }
    return read_tree(pool, text, &scan, item);
}

/* ---- values ---- */

/* json-c's getters want pointers that are not const, but change nothing. The way through an
 * integer says to the compiler that dropping the const is meant. */
static struct json_object *tree_of(const la_json_t *value)
{
    return (struct json_object *)(uintptr_t)value;
}

la_json_e la_json_type(const la_json_t *value)
{
    switch (json_object_get_type(tree_of(value))) {
    case json_type_null:
        return LA_JSON_NULL;
    case json_type_boolean:
        return LA_JSON_BOOLEAN;
    case json_type_double:
    case json_type_int:
        return LA_JSON_NUMBER;
    case json_type_object:
        return LA_JSON_OBJECT;
    case json_type_array:
        return LA_JSON_ARRAY;
    case json_type_string:
        return LA_JSON_STRING;
    }
    return LA_JSON_NULL;
}

int la_json_member(const la_json_t *object, const char *name, const la_json_t **member)
{
    struct json_object *found = NULL;
    int exists = la_json_type(object) == LA_JSON_OBJECT &&
                 json_object_object_get_ex(tree_of(object), name, &found);

    *member = (const la_json_t *)found;
    return exists;
}

int la_json_next(const la_json_t *object, la_json_iterator_t *it, la_slice_t *name,
                 const la_json_t **value)
{
    struct lh_entry *entry = it->entry;

    *name = (la_slice_t){"", 0};
    *value = NULL;
    if (la_json_type(object) != LA_JSON_OBJECT) {
        return 0;
    }
    if (!it->started) {
        entry = lh_table_head(json_object_get_object(tree_of(object)));
    } else if (entry) {
        entry = lh_entry_next(entry);
    }
    it->started = 1;
    it->entry = entry;
    if (!entry) {
        return 0;
    }
    name->data = (const char *)lh_entry_k(entry);
    name->len = strlen(name->data);
    *value = (const la_json_t *)lh_entry_v(entry);
    return 1;
}

apr_size_t la_json_count(const la_json_t *value)
{
    if (la_json_type(value) == LA_JSON_ARRAY) {
        return json_object_array_length(tree_of(value));
    }
    if (la_json_type(value) == LA_JSON_OBJECT) {
        return (apr_size_t)json_object_object_length(tree_of(value));
    }
    return 0;
}

const la_json_t *la_json_item(const la_json_t *array, apr_size_t index)
{
    if (la_json_type(array) != LA_JSON_ARRAY) {
        return NULL;
    }
    return (const la_json_t *)json_object_array_get_idx(tree_of(array), index);
}

int la_json_string(const la_json_t *value, la_slice_t *text)
{
    *text = (la_slice_t){"", 0};
    if (la_json_type(value) != LA_JSON_STRING) {
        return 0;
    }
    text->data = json_object_get_string(tree_of(value));
    text->len = (apr_size_t)json_object_get_string_len(tree_of(value));
    return 1;
}

int la_json_boolean(const la_json_t *value, int *out)
{
    int is_boolean = la_json_type(value) == LA_JSON_BOOLEAN;

    *out = is_boolean && json_object_get_boolean(tree_of(value));
    return is_boolean;
}

int la_json_number(const la_json_t *value, double *out)
{
    double number;

    *out = 0;
    if (la_json_type(value) != LA_JSON_NUMBER) {
        return 0;
    }
    number = json_object_get_double(tree_of(value));
    if (!isfinite(number)) {
        return 0;
    }
    *out = number;
    return 1;
}

/* The text of a number, NULL where json-c may have lost it: it clamps integers to 64 bits, and
 * two great ids must not become one value. Other numbers keep their text as userdata (see
 * json_object_new_double_s). */
static const char *number_text(apr_pool_t *pool, struct json_object *number)
{
    int64_t value;

    if (json_object_is_type(number, json_type_double)) {
        return (const char *)json_object_get_userdata(number);
    }
    value = json_object_get_int64(number);
    if (value == INT64_MIN || json_object_get_uint64(number) == UINT64_MAX) {
        return NULL;
    }
    if (value < 0) {
        return apr_psprintf(pool, "%" APR_INT64_T_FMT, (apr_int64_t)value);
    }
    return apr_psprintf(pool, "%" APR_UINT64_T_FMT, (apr_uint64_t)json_object_get_uint64(number));
}

int la_json_scalar_text(apr_pool_t *pool, const la_json_t *value, la_slice_t *text)
{
    const char *chars = NULL;

    *text = (la_slice_t){"", 0};
    switch (la_json_type(value)) {
    case LA_JSON_STRING:
        return la_json_string(value, text);
    case LA_JSON_BOOLEAN:
        chars = json_object_get_boolean(tree_of(value)) ? "true" : "false";
        break;
    case LA_JSON_NUMBER:
        chars = number_text(pool, tree_of(value));
        break;
    case LA_JSON_NULL:
    case LA_JSON_ARRAY:
    case LA_JSON_OBJECT:
        break;
    }
    if (!chars) {
        return 0;
    }
    *text = la_slice_of(chars);
    return 1;
}

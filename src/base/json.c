/* JSON text to values. json-c accepts much that RFC 8259 forbids, with JSON_TOKENER_STRICT too
 * (which in 0.18 refuses sound texts), so json_scan.c checks the whole text first, and json-c only
 * builds the tree. Owns the limit of that tree's memory. json_write.c writes JSON.
 *
 * Called at startup and by request threads. Several threads may share a parsed value: no getter
 * here lets json-c serialise, which would keep the text inside the object.
 */
#include "base/json.h"

#include "base/hash.h"
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

/* The memory of a tree of this size goes back to the system at once. */
#define TREE_LARGE_BYTES ((apr_size_t)1024 * 1024)

/* The offset of an error that has no place in the text. */
#define NOWHERE SIZE_MAX

static const char duplicate_name[] = "duplicate member name";
static const char too_long[] = "longer than 2 GB";

/* Members in the tree. json-c keeps one member of a name, so a repeated name, however it is
 * escaped, makes this smaller than what the scan counted. */
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

/* Feeds the whole text, then a NUL if the text is a number, which only the next byte ends. Returns
 * 1 when json-c took all of it, with the tree in `root`. */
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

/* malloc would keep a large tree's memory for the thread that parsed it. */
static apr_status_t free_large_tree(void *root)
{
    free_tree(root);
#ifdef __GLIBC__
    malloc_trim(0);
#endif
    return APR_SUCCESS;
}

static apr_size_t largest_tree(apr_size_t text_len)
{
    apr_size_t bytes = LA_JSON_TREE_BYTES_AT_LEAST + text_len * LA_JSON_TREE_BYTES_PER_BYTE;

    return bytes < LA_JSON_TREE_BYTES ? bytes : LA_JSON_TREE_BYTES;
}

/* The names met so far, each with the number of its object in front. */
typedef struct names_t {
    apr_pool_t *pool;
    apr_hash_t *met;
} names_t;

static int is_first(void *baton, apr_size_t object, la_slice_t quoted)
{
    names_t *names = baton;
    la_slice_t name = {quoted.data + 1, quoted.len - 2};
    const la_json_t *value;
    char *key;
    apr_ssize_t len;

    if (memchr(name.data, '\\', name.len)) {
        (void)la_json_parse(names->pool, quoted, &value); /* resolves its escapes */
        (void)la_json_string(value, &name);
    }
    len = (apr_ssize_t)(sizeof(object) + name.len);
    key = apr_palloc(names->pool, (apr_size_t)len);
    memcpy(key, &object, sizeof(object));
    memcpy(key + sizeof(object), name.data, name.len);
    if (apr_hash_get(names->met, key, len)) {
        return 0;
    }
    apr_hash_set(names->met, key, len, key);
    return 1;
}

/* Finds the first repeated name of a text that has one, with a second scan. */
static void find_repeated(apr_pool_t *pool, la_slice_t text, la_json_scan_t *scan)
{
    names_t names;

    apr_pool_create(&names.pool, pool);
    names.met = apr_hash_make_custom(names.pool, la_hash_keyed);
    scan->at = la_json_scan_names(text, is_first, &names);
    apr_pool_destroy(names.pool);
}

/* Builds the tree of a text that the scan found sound, or sets the scan's error. */
static void read_tree(apr_pool_t *pool, la_slice_t text, la_json_scan_t *scan,
                      const la_json_t **value)
{
    struct json_tokener *tokener;
    struct json_object *root;
    int complete;
    int large;

    scan->at = NOWHERE;
    if (scan->tree > largest_tree(text.len)) {
        scan->error = "too many values";
        return;
    }
    if (scan->surrogates) {
        text = la_json_join_surrogates(pool, text);
    }
    /* One level more than containers: json-c counts the scalars inside the deepest one. */
    tokener = json_tokener_new_ex(LA_JSON_MAX_DEPTH + 1);
    if (!tokener) {
        scan->error = "out of memory";
        return;
    }
    complete = build_tree(tokener, text, &root);
    if (!complete) {
        scan->at = json_tokener_get_parse_end(tokener);
    }
    json_tokener_free(tokener);
    if (!complete || count_members(root) != scan->members) {
        json_object_put(root);
        scan->error = complete ? duplicate_name : "not readable";
        return;
    }
    large = scan->tree + text.len >= TREE_LARGE_BYTES;
    apr_pool_cleanup_register(pool, root, large ? free_large_tree : free_tree,
                              apr_pool_cleanup_null);
    *value = (const la_json_t *)root;
}

/* Says where in `text` the scan of `part` met its error. Columns are characters, as in editors. */
static const char *describe(apr_pool_t *pool, la_slice_t text, la_slice_t part,
                            la_json_scan_t *scan)
{
    unsigned line = 1;
    unsigned column = 1;

    if (scan->error == duplicate_name) {
        find_repeated(pool, part, scan);
    }
    if (!scan->error || scan->at == NOWHERE) {
        return scan->error;
    }
    for (const char *c = text.data; c < part.data + scan->at; c++) {
        line += *c == '\n';
        column = *c == '\n' ? 1 : column + ((*c & 0xC0) != 0x80);
    }
    return apr_psprintf(pool, "%s at line %u, column %u", scan->error, line, column);
}

const char *la_json_parse(apr_pool_t *pool, la_slice_t text, const la_json_t **value)
{
    la_json_scan_t scan;

    *value = NULL;
    if (text.len > INT_MAX) {
        return too_long;
    }
    if (la_json_scan(text, NULL, &scan)) {
        read_tree(pool, text, &scan, value);
    }
    return describe(pool, text, text, &scan);
}

/* ---- lists ---- */

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

    *value = NULL;
    *list = (la_json_list_t){.text = text};
    if (text.len > INT_MAX) {
        return too_long;
    }
    if (la_json_scan(text, name, &scan)) {
        read_tree(pool, scan.list.data ? cut_out(pool, text, scan.list) : text, &scan, value);
    }
    if (scan.error) {
        return describe(pool, text, text, &scan);
    }
    if (scan.list.data) {
        list->count = scan.items;
        list->rest = scan.list;
    } else if (la_json_member(*value, name, &list->tree) &&
               la_json_type(list->tree) == LA_JSON_ARRAY) {
        list->count = la_json_count(list->tree); /* its name was written with escapes */
    }
    return NULL;
}

const char *la_json_cut_list(apr_pool_t *pool, la_slice_t text, const char *name, la_slice_t *rest,
                             la_json_list_t *list)
{
    la_json_scan_t scan;

    *list = (la_json_list_t){.text = text};
    *rest = text;
    if (text.len > INT_MAX) {
        return too_long;
    }
    if (la_json_scan(text, name, &scan) && scan.list.data) {
        *rest = cut_out(pool, text, scan.list);
        list->count = scan.items;
        list->rest = scan.list;
    }
    return describe(pool, text, text, &scan);
}

const char *la_json_list_next(la_json_list_t *list, apr_pool_t *pool, const la_json_t **item)
{
    la_json_scan_t scan;
    la_slice_t rest = list->rest;
    apr_size_t len;
    apr_size_t next;

    *item = NULL;
    if (list->tree) {
        *item = la_json_item(list->tree, list->at++);
        return NULL;
    }
    if (la_json_scan_item(rest, &scan)) {
        len = scan.at;
        next = len < rest.len ? len + 1 : len; /* behind the comma */
        list->rest = (la_slice_t){rest.data + next, rest.len - next};
        rest.len = len;
        read_tree(pool, rest, &scan, item);
    }
    return describe(pool, list->text, rest, &scan);
}

/* ---- values ---- */

/* json-c's getters take pointers that are not const, but change nothing. The cast to an integer
 * drops the const without a warning. */
static struct json_object *tree_of(const la_json_t *value)
{
    return (struct json_object *)(uintptr_t)value;
}

la_json_e la_json_type(const la_json_t *value)
{
    static const la_json_e types[] = {
        [json_type_null] = LA_JSON_NULL,     [json_type_boolean] = LA_JSON_BOOLEAN,
        [json_type_double] = LA_JSON_NUMBER, [json_type_int] = LA_JSON_NUMBER,
        [json_type_object] = LA_JSON_OBJECT, [json_type_array] = LA_JSON_ARRAY,
        [json_type_string] = LA_JSON_STRING};

    return types[json_object_get_type(tree_of(value))];
}

int la_json_member(const la_json_t *object, const char *name, const la_json_t **member)
{
    struct json_object *found = NULL;
    int exists = la_json_type(object) == LA_JSON_OBJECT &&
                 json_object_object_get_ex(tree_of(object), name, &found);

    *member = (const la_json_t *)found;
    return exists;
}

const la_json_t *la_json_get(const la_json_t *object, const char *name)
{
    const la_json_t *member;

    la_json_member(object, name, &member);
    return member;
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
    *it = (la_json_iterator_t){entry, 1};
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
    double number =
        la_json_type(value) == LA_JSON_NUMBER ? json_object_get_double(tree_of(value)) : NAN;

    *out = isfinite(number) ? number : 0;
    return isfinite(number) != 0;
}

/* The text of a number, or NULL when json-c may have changed it: it clamps integers to 64 bits, and
 * two large ids must not become one value. Other numbers keep their text as userdata (see
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
        return apr_psprintf(pool, "%" APR_INT64_T_FMT, value);
    }
    return apr_psprintf(pool, "%" APR_UINT64_T_FMT, json_object_get_uint64(number));
}

int la_json_scalar_text(apr_pool_t *pool, const la_json_t *value, la_slice_t *text)
{
    la_json_e type = la_json_type(value);
    const char *chars = NULL;

    if (type == LA_JSON_STRING) {
        return la_json_string(value, text);
    }
    if (type == LA_JSON_BOOLEAN) {
        chars = json_object_get_boolean(tree_of(value)) ? "true" : "false";
    } else if (type == LA_JSON_NUMBER) {
        chars = number_text(pool, tree_of(value));
    }
    *text = la_slice_of(chars);
    return chars != NULL;
}

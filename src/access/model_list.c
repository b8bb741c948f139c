/* The lists are cut out of the text and read an item at a time, since a tree of all items would
 * take too much memory. Then the rest is read, and what may stay is put into it. Any thread. */
#include "access/model_list.h"

#include "access/pattern_rules.h"
#include "base/json.h"
#include "base/json_scan.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

/* The number that a scan gives the outermost object. */
#define OUTERMOST 1

/* What stands in the place of a part of the text. */
typedef struct edit_t {
    apr_size_t at;
    apr_size_t len; /* of the part */
    la_slice_t text;
} edit_t;

#define MOST_EDITS 4 /* data, models, first_id, last_id */

typedef struct list_t {
    apr_pool_t *pool;
    apr_pool_t *item_pool;
    la_slice_t text; /* without the lists that were read */
    la_model_allowed_t *allowed;
    void *baton;
    edit_t edits[MOST_EDITS];
    int count;
    la_slice_t first_id, last_id;
} list_t;

/* The name of an item, or an empty one. */
static la_slice_t name_of(const la_json_t *item, const char *name, const char *other)
{
    const la_json_t *member;
    la_slice_t text = {"", 0};

    if (la_json_member(item, name, &member) || (other && la_json_member(item, other, &member))) {
        (void)la_json_string(member, &text);
    }
    return la_model_is_name(text) ? text : LA_SLICE("");
}

static la_slice_t copy(apr_pool_t *pool, la_slice_t text)
{
    return (la_slice_t){apr_pstrmemdup(pool, text.data, text.len), text.len};
}

static void note_id(list_t *list, la_slice_t id)
{
    if (!list->first_id.data) {
        list->first_id = copy(list->pool, id);
    }
    list->last_id = id;
}

static const char *filter_items(list_t *list, la_json_list_t *items, int is_data,
                                la_json_writer_t *writer)
{
    la_slice_t last = {NULL, 0};

    for (apr_size_t i = 0; i < items->count; i++) {
        la_slice_t raw = items->rest;
        const la_json_t *item;
        const char *error;
        la_slice_t name;

        apr_pool_clear(list->item_pool);
        error = la_json_list_next(items, list->item_pool, &item);
        if (error) {
            return apr_pstrdup(list->pool, error);
        }
        raw.len = (apr_size_t)(items->rest.data - raw.data) - (i + 1 < items->count);
        name = name_of(item, is_data ? "id" : "name", is_data ? NULL : "model");
        if (name.len > 0 && list->allowed(list->baton, list->item_pool, name)) {
            la_json_write_raw(writer, last.data ? LA_SLICE(",") : LA_SLICE(""));
            la_json_write_raw(writer, raw);
            last = name;
            if (is_data) {
                note_id(list, copy(list->pool, name));
            }
        }
    }
    return NULL;
}

/* Cuts the list of that name out of the text, and filters it. Returns NULL, or what is wrong. */
static const char *filter_list(list_t *list, const char *name, int is_data)
{
    la_slice_t before = list->text;
    la_json_list_t items;
    la_json_writer_t writer;
    const char *error = la_json_cut_list(list->pool, before, name, &list->text, &items);
    apr_size_t at;

    if (error || !items.rest.data) {
        return error;
    }
    at = (apr_size_t)(items.rest.data - before.data);
    for (int i = 0; i < list->count; i++) {
        list->edits[i].at -= list->edits[i].at > at ? items.rest.len : 0;
    }
    la_json_writer_init(&writer, list->pool);
    error = filter_items(list, &items, is_data, &writer);
    list->edits[list->count++] = (edit_t){at, 0, {writer.data, writer.len}};
    return error;
}

/* Whether a list is absent, or was cut out: one whose name is written with escapes was not, and
 * neither was what is no list. */
static int is_cut(const la_json_t *root, const char *name, int found)
{
    const la_json_t *member;

    return !la_json_member(root, name, &member) ||
           (found && la_json_type(member) == LA_JSON_ARRAY && la_json_count(member) == 0);
}

/* What find_value() looks for. */
typedef struct wanted_t {
    const char *quoted;
    la_slice_t found;
} wanted_t;

/* For la_json_scan_names(). */
static int is_other_name(void *baton, apr_size_t object, la_slice_t quoted)
{
    wanted_t *wanted = baton;

    if (object == OUTERMOST && la_slice_is(quoted, wanted->quoted)) {
        wanted->found = quoted;
        return 0;
    }
    return 1;
}

/* The value of a member of the outermost object, if it is a string or null. */
static la_slice_t find_value(la_slice_t text, const char *quoted)
{
    wanted_t wanted = {quoted, {NULL, 0}};
    const char *end = text.data + text.len;
    la_slice_t value = {NULL, 0};
    const char *p;

    (void)la_json_scan_names(text, is_other_name, &wanted);
    if (!wanted.found.data) {
        return value;
    }
    p = wanted.found.data + wanted.found.len;
    while (p < end && strchr(" \t\r\n:", *p)) {
        p++;
    }
    value.data = p;
    if (p < end && *p == 'n') {
        value.len = 4;
    } else if (p < end && *p == '"') {
        for (p++; p < end && *p != '"'; p++) {
            p += *p == '\\';
        }
        value.len = (apr_size_t)(p + 1 - value.data);
    }
    return value.len > 0 ? value : (la_slice_t){NULL, 0};
}

static const char *set_id(list_t *list, const la_json_t *root, int is_first)
{
    const char *name = is_first ? "first_id" : "last_id";
    const la_slice_t id = is_first ? list->first_id : list->last_id;
    const la_json_t *member;
    la_json_writer_t writer;
    la_slice_t value;

    if (!la_json_member(root, name, &member)) {
        return NULL;
    }
    value = find_value(list->text, is_first ? "\"first_id\"" : "\"last_id\"");
    if (!value.data) {
        return apr_pstrcat(list->pool, name, " is no string", NULL);
    }
    la_json_writer_init(&writer, list->pool);
    if (id.data) {
        la_json_write_string(&writer, id);
    } else {
        la_json_write_raw(&writer, LA_SLICE("null"));
    }
    list->edits[list->count++] =
        (edit_t){(apr_size_t)(value.data - list->text.data), value.len, {writer.data, writer.len}};
    return NULL;
}

static int compare_edits(const void *a, const void *b)
{
    apr_size_t one = ((const edit_t *)a)->at;
    apr_size_t other = ((const edit_t *)b)->at;

    return (one > other) - (one < other);
}

static la_slice_t apply_edits(list_t *list)
{
    apr_size_t from = 0;
    la_json_writer_t writer;

    la_json_writer_init(&writer, list->pool);
    qsort(list->edits, (size_t)list->count, sizeof(edit_t), compare_edits);
    for (int i = 0; i < list->count; i++) {
        const edit_t *edit = &list->edits[i];

        la_json_write_raw(&writer, (la_slice_t){list->text.data + from, edit->at - from});
        la_json_write_raw(&writer, edit->text);
        from = edit->at + edit->len;
    }
    la_json_write_raw(&writer, (la_slice_t){list->text.data + from, list->text.len - from});
    return (la_slice_t){writer.data, writer.len};
}

static const char *filter(list_t *list)
{
    const la_json_t *root;
    const char *error = filter_list(list, "data", 1);
    int has_data = list->count > 0;
    int has_models;

    error = error ? error : filter_list(list, "models", 0);
    has_models = list->count > has_data;
    error = error ? error : la_json_parse(list->pool, list->text, &root);
    if (error) {
        return error;
    }
    if (list->count == 0 || !is_cut(root, "data", has_data) ||
        !is_cut(root, "models", has_models)) {
        return "data or models is missing, or no list";
    }
    error = set_id(list, root, 1);
    return error ? error : set_id(list, root, 0);
}

const char *la_model_list_filter(apr_pool_t *pool, la_slice_t text, la_model_allowed_t *allowed,
                                 void *baton, la_slice_t *filtered)
{
    list_t list = {.pool = pool, .text = text, .allowed = allowed, .baton = baton};
    const char *error;

    *filtered = (la_slice_t){"", 0};
    apr_pool_create(&list.item_pool, pool);
    error = filter(&list);
    apr_pool_destroy(list.item_pool);
    if (!error) {
        *filtered = apply_edits(&list);
    }
    return error;
}

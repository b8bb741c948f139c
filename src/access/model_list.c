/* The text is checked as a whole first, then the parts that change are replaced in it. Any thread.
 */
#include "access/model_list.h"

#include "access/pattern_rules.h"
#include "base/json.h"
#include "base/json_scan.h"

#include <stdlib.h>

#include <apr_strings.h>

/* The number that a scan gives the outermost object. */
#define OUTERMOST 1

/* A part of the text, and what stands in its place. */
typedef struct edit_t {
    la_slice_t part; /* data NULL: none */
    la_slice_t text;
} edit_t;

typedef struct list_t {
    apr_pool_t *pool;
    apr_pool_t *item_pool;
    la_slice_t text;
    la_model_allowed_t *allowed;
    void *baton;
    edit_t edits[4]; /* data, models, first_id, last_id */
    la_slice_t first_id, last_id;
} list_t;

/* The name of an item, or an empty one. */
static la_slice_t name_of(const la_json_t *item, const char *name, const char *other)
{
    const la_json_t *member;
    la_slice_t text = {"", 0};

    if (la_json_member(item, name, &member)) {
        (void)la_json_string(member, &text);
    } else if (other && la_json_member(item, other, &member)) {
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

/* Writes the items that may stay. */
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
        if (name.len > 0 && list->allowed(list->baton, name)) {
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

/* Filters the list of that name. Returns NULL, or what is wrong. found: whether there is one. */
static const char *filter_list(list_t *list, const char *name, edit_t *edit, int *found)
{
    const la_json_t *root;
    const la_json_t *member;
    la_json_list_t items;
    la_json_writer_t writer;
    const char *error = la_json_parse_list(list->pool, list->text, name, &root, &items);

    if (error) {
        return error;
    }
    if (!la_json_member(root, name, &member)) {
        return NULL;
    }
    if (la_json_type(member) != LA_JSON_ARRAY || items.tree) {
        return apr_psprintf(list->pool, "%s is no list", name);
    }
    *found = 1;
    edit->part = items.rest;
    la_json_writer_init(&writer, list->pool);
    error = filter_items(list, &items, edit == &list->edits[0], &writer);
    edit->text = (la_slice_t){writer.data, writer.len};
    return error;
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

static const char *set_id(list_t *list, const la_json_t *root, int is_first, edit_t *edit)
{
    const char *name = is_first ? "first_id" : "last_id";
    const la_slice_t id = is_first ? list->first_id : list->last_id;
    const la_json_t *member;
    la_json_writer_t writer;

    if (!la_json_member(root, name, &member)) {
        return NULL;
    }
    edit->part = find_value(list->text, is_first ? "\"first_id\"" : "\"last_id\"");
    if (!edit->part.data) {
        return apr_pstrcat(list->pool, name, " is no string", NULL);
    }
    la_json_writer_init(&writer, list->pool);
    if (id.data) {
        la_json_write_string(&writer, id);
    } else {
        la_json_write_raw(&writer, LA_SLICE("null"));
    }
    edit->text = (la_slice_t){writer.data, writer.len};
    return NULL;
}

static const char *set_ids(list_t *list)
{
    const la_json_t *root;
    la_json_list_t items;
    const char *error = la_json_parse_list(list->pool, list->text, "data", &root, &items);

    error = error ? error : set_id(list, root, 1, &list->edits[2]);
    return error ? error : set_id(list, root, 0, &list->edits[3]);
}

#define EDITS ((int)(sizeof(((list_t *)NULL)->edits) / sizeof(edit_t)))

/* For qsort(): in the order of the text, those that change nothing first. */
static int compare_edits(const void *a, const void *b)
{
    const char *one = ((const edit_t *)a)->part.data;
    const char *other = ((const edit_t *)b)->part.data;

    return (one > other) - (one < other);
}

static la_slice_t apply_edits(list_t *list)
{
    const char *from = list->text.data;
    const char *end = from + list->text.len;
    la_json_writer_t writer;

    la_json_writer_init(&writer, list->pool);
    qsort(list->edits, (size_t)EDITS, sizeof(edit_t), compare_edits);
    for (int i = 0; i < EDITS; i++) {
        const edit_t *edit = &list->edits[i];

        if (edit->part.data) {
            la_json_write_raw(&writer, (la_slice_t){from, (apr_size_t)(edit->part.data - from)});
            la_json_write_raw(&writer, edit->text);
            from = edit->part.data + edit->part.len;
        }
    }
    la_json_write_raw(&writer, (la_slice_t){from, (apr_size_t)(end - from)});
    return (la_slice_t){writer.data, writer.len};
}

const char *la_model_list_filter(apr_pool_t *pool, la_slice_t text, la_model_allowed_t *allowed,
                                 void *baton, la_slice_t *filtered)
{
    list_t list = {.pool = pool, .text = text, .allowed = allowed, .baton = baton};
    const char *error;
    int found = 0;

    *filtered = (la_slice_t){"", 0};
    apr_pool_create(&list.item_pool, pool);
    error = filter_list(&list, "data", &list.edits[0], &found);
    error = error ? error : filter_list(&list, "models", &list.edits[1], &found);
    error = error ? error : found ? set_ids(&list) : "it has neither data nor models";
    apr_pool_destroy(list.item_pool);
    if (!error) {
        *filtered = apply_edits(&list);
    }
    return error;
}

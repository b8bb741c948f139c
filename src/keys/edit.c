#include "keys/edit.h"

#include "base/json.h"
#include "base/json_scan.h"

#include <apr_strings.h>

/* How the first item of an empty list is set. */
#define FIRST_SPACE LA_SLICE("\n  ")
#define FIRST_TAIL  "\n"

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static la_slice_t take(la_slice_t *rest, apr_size_t len)
{
    la_slice_t taken = {rest->data, len};

    rest->data += len;
    rest->len -= len;
    return taken;
}

static la_slice_t take_space(la_slice_t *rest)
{
    apr_size_t len = 0;

    while (len < rest->len && is_space(rest->data[len])) {
        len++;
    }
    return take(rest, len);
}

/* Takes a value, which ends before a comma or with the text; `after` is the white space there. */
static int take_value(la_slice_t *rest, la_slice_t *value, la_slice_t *after)
{
    la_json_scan_t scan;

    if (!la_json_scan_item(*rest, &scan)) {
        return 0;
    }
    *value = take(rest, scan.at);
    *after = (la_slice_t){value->data + value->len, 0};
    while (value->len > 0 && is_space(value->data[value->len - 1])) {
        value->len--;
        after->data--;
        after->len++;
    }
    return 1;
}

static void take_comma(la_slice_t *rest)
{
    if (rest->len > 0 && *rest->data == ',') {
        (void)take(rest, 1);
    }
}

const char *la_edit_open(apr_pool_t *pool, la_slice_t text, la_edit_t *edit)
{
    la_edit_item_t *item = NULL;
    la_json_scan_t scan;
    la_slice_t rest;

    *edit = (la_edit_t){.pool = pool,
                        .items = apr_array_make(pool, 16, sizeof(la_edit_item_t)),
                        .added = apr_array_make(pool, 1, sizeof(const char *))};
    if (!la_json_scan(text, "keys", &scan) || !scan.list.data) {
        return "the name of the list is written with escapes";
    }
    rest = scan.list;
    edit->head = (la_slice_t){text.data, (apr_size_t)(rest.data - text.data)};
    for (apr_size_t i = 0; i < scan.items; i++) {
        item = apr_array_push(edit->items);
        item->space = take_space(&rest);
        if (!take_value(&rest, &item->text, &item->after)) {
            return "its list cannot be taken apart";
        }
        take_comma(&rest);
    }
    edit->tail.data = item ? item->after.data : rest.data;
    edit->tail.len = (apr_size_t)(text.data + text.len - edit->tail.data);
    if (item) {
        item->after.len = 0;
    }
    return NULL;
}

la_edit_item_t *la_edit_item(const la_edit_t *edit, int position)
{
    return &APR_ARRAY_IDX(edit->items, position, la_edit_item_t);
}

/* ---- an object ---- */

/* A name in quotes, which may hold escapes. */
static int is_name(apr_pool_t *pool, la_slice_t quoted, const char *name)
{
    const la_json_t *value;
    la_slice_t text = {quoted.data + 1, quoted.len - 2};

    if (!memchr(text.data, '\\', text.len)) {
        return la_slice_is(text, name);
    }
    return !la_json_parse(pool, quoted, &value) && la_json_string(value, &text) &&
           la_slice_is(text, name);
}

static la_slice_t take_name(la_slice_t *rest)
{
    apr_size_t len = 1;

    while (len < rest->len && rest->data[len] != '"') {
        len += rest->data[len] == '\\' ? 2 : 1;
    }
    return take(rest, len < rest->len ? len + 1 : rest->len);
}

int la_edit_member(apr_pool_t *pool, la_slice_t object, const char *name, la_slice_t *value)
{
    la_slice_t rest = {object.data + 1, object.len - 2};
    la_slice_t quoted;
    la_slice_t after;

    *value = (la_slice_t){rest.data, 0};
    for (;;) {
        (void)take_space(&rest);
        if (rest.len == 0) {
            return 0;
        }
        quoted = take_name(&rest);
        (void)take_space(&rest);
        (void)take(&rest, rest.len > 0); /* the colon */
        (void)take_space(&rest);
        if (!take_value(&rest, value, &after)) {
            return 0;
        }
        if (is_name(pool, quoted, name)) {
            return 1;
        }
        take_comma(&rest);
    }
}

la_slice_t la_edit_set(apr_pool_t *pool, la_slice_t object, const char *name, const char *value)
{
    la_slice_t old;
    int found = la_edit_member(pool, object, name, &old);
    const char *end = old.data + old.len;
    la_json_writer_t w;

    la_json_writer_init(&w, pool);
    la_json_write_raw(
        &w, (la_slice_t){object.data, (apr_size_t)((found ? old.data : end) - object.data)});
    if (!found) {
        la_json_write_raw(&w, la_slice_of(end == object.data + 1 ? "" : ", "));
        la_json_write_string(&w, la_slice_of(name));
        la_json_write_raw(&w, LA_SLICE(": "));
    }
    la_json_write_raw(&w, la_slice_of(value));
    la_json_write_raw(&w, (la_slice_t){end, (apr_size_t)(object.data + object.len - end)});
    return (la_slice_t){w.data, w.len};
}

/* ---- the whole ---- */

static void write_item(la_json_writer_t *w, int *count, la_slice_t space, la_slice_t text)
{
    if ((*count)++ > 0) {
        la_json_write_raw(w, LA_SLICE(","));
    }
    la_json_write_raw(w, space);
    la_json_write_raw(w, text);
}

la_slice_t la_edit_text(const la_edit_t *edit)
{
    la_slice_t space = FIRST_SPACE;
    la_json_writer_t w;
    int count = 0;

    la_json_writer_init(&w, edit->pool);
    la_json_write_raw(&w, edit->head);
    for (int i = 0; i < edit->items->nelts; i++) {
        const la_edit_item_t *item = la_edit_item(edit, i);

        space = item->space;
        if (!item->removed) {
            write_item(&w, &count, item->space, item->text);
            la_json_write_raw(&w, item->after);
        }
    }
    for (int i = 0; i < edit->added->nelts; i++) {
        write_item(&w, &count, space, la_slice_of(APR_ARRAY_IDX(edit->added, i, const char *)));
    }
    if (edit->items->nelts == 0 && count > 0) {
        la_json_write_raw(&w, LA_SLICE(FIRST_TAIL));
    }
    la_json_write_raw(&w, edit->tail);
    return (la_slice_t){w.data, w.len};
}

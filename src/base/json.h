/* Strict JSON (RFC 8259). Only json.c uses json-c. Values live as long as the pool of their
 * document. */
#pragma once

#include "base/slice.h"

#include <apr_pools.h>
#include <apr_tables.h>

/* A value inside a parsed document. Opaque; json-c's object behind it. */
typedef struct la_json_t la_json_t;

typedef enum la_json_e {
    LA_JSON_NULL,
    LA_JSON_BOOLEAN,
    LA_JSON_NUMBER,
    LA_JSON_STRING,
    LA_JSON_ARRAY,
    LA_JSON_OBJECT
} la_json_e;

/* The memory that the tree of a text may take beside the text's characters: a multiple of the text,
 * at most LA_JSON_TREE_BYTES. Three bytes of a text, `{},`, make 800 of a tree. */
#define LA_JSON_TREE_BYTES          ((apr_size_t)4 * 1024 * 1024)
#define LA_JSON_TREE_BYTES_AT_LEAST ((apr_size_t)64 * 1024)
#define LA_JSON_TREE_BYTES_PER_BYTE 64

/* Parses one complete JSON text. Refuses what json-c accepts: single quotes, NaN and Infinity, raw
 * control characters in strings, duplicate member names, bytes that are not UTF-8, anything after
 * the value (a NUL too); also \u0000 in a member name, where json-c would cut it, and a text whose
 * tree would take too much memory, before any is allocated. A lone surrogate in an escape becomes
 * U+FFFD.
 *
 * text:  not needed afterwards.
 * pool:  owns the document; a cleanup on it frees json-c's memory.
 * value: the document's root, NULL on failure.
 * Returns NULL, or the reason with its place ("unexpected character at line 3, column 17"; columns
 * are characters). It never quotes the text, which may hold a secret.
 */
const char *la_json_parse(apr_pool_t *pool, la_slice_t text, const la_json_t **value);

/* The items of a document's list, which are parsed one at a time. Opaque except `count`. */
typedef struct la_json_list_t {
    apr_size_t count; /* of items */
    apr_size_t at;
    la_slice_t text; /* the document */
    la_slice_t rest; /* of the list */
    const la_json_t *tree;
} la_json_list_t;

/* Parses a document as la_json_parse() does, except the items of the list that the outermost object
 * has under `name`: there `value` has an empty list, and la_json_list_next() gives the items. So a
 * long list takes no more memory than its largest item.
 *
 * list: count 0 when there is none; points into `text` and `pool`.
 * Returns what la_json_parse() does; a duplicate name in an item, and an item with too many values,
 * are found by la_json_list_next() only.
 */
const char *la_json_parse_list(apr_pool_t *pool, la_slice_t text, const char *name,
                               const la_json_t **value, la_json_list_t *list);

/* Takes the list that the outermost object has under `name`, written without escapes, out of a
 * document, and reads neither: the list's items are for la_json_list_next(), the rest for
 * la_json_parse(), which finds what is wrong with it beside its grammar.
 *
 * rest: the document with an empty list; `text` itself if there is no such list, and then
 * `list->rest` has no data. Returns NULL, or the reason as la_json_parse() does.
 */
const char *la_json_cut_list(apr_pool_t *pool, la_slice_t text, const char *name, la_slice_t *rest,
                             la_json_list_t *list);

/* Parses the list's next item. Call it `count` times. pool: owns the item; may be cleared before
 * the next one. item: NULL for a JSON null, and on failure. Returns NULL, or the reason as
 * la_json_parse() does, in `pool`. */
const char *la_json_list_next(la_json_list_t *list, apr_pool_t *pool, const la_json_t **item);

/* The type of a value; a NULL pointer is LA_JSON_NULL, as json-c stores it. */
la_json_e la_json_type(const la_json_t *value);

/* Looks a member up by its exact name. object: any value; only an object has members. member: the
 * value (NULL for a JSON null), or NULL when there is none. Returns 1 when the member exists, else
 * 0. */
int la_json_member(const la_json_t *object, const char *name, const la_json_t **member);

/* The member; NULL for a JSON null, and when there is none. */
const la_json_t *la_json_get(const la_json_t *object, const char *name);

/* Walks an object's members in the order of the text. `it` is opaque and starts zeroed. `name`
 * points into the document. Returns 1, or 0 after the last member and for any other value. */
typedef struct la_json_iterator_t {
    void *entry;
    int started;
} la_json_iterator_t;
int la_json_next(const la_json_t *object, la_json_iterator_t *it, la_slice_t *name,
                 const la_json_t **value);

/* Number of items of an array, members of an object, 0 for anything else. */
apr_size_t la_json_count(const la_json_t *value);

/* The array's item at `index`; NULL past the end, for a JSON null and for any other value. */
const la_json_t *la_json_item(const la_json_t *array, apr_size_t index);

/* Returns 1 and the bytes of a string, which may hold NUL; else 0, and `text` is empty. */
int la_json_string(const la_json_t *value, la_slice_t *text);

/* Returns 1 for JSON true and false; else 0, and `out` is 0. */
int la_json_boolean(const la_json_t *value, int *out);

/* Returns 1 for a finite number; else 0, and `out` is 0. An integer beyond 64 bits is clamped, a
 * magnitude beyond a double ("1e999") is no number. */
int la_json_number(const la_json_t *value, double *out);

/* A string as it is, a number or a boolean as JSON text ("42", "true"). Returns 0 for null, arrays
 * and objects, and for integers at or beyond json-c's limits (-2^63, 2^64-1), whose digits it may
 * have lost. `text` points into the document or into `pool`. */
int la_json_scalar_text(apr_pool_t *pool, const la_json_t *value, la_slice_t *text);

/* A growing JSON text in ASCII, so that it can stand in a header field. Never fails (an APR pool
 * aborts). */
typedef struct la_json_writer_t {
    apr_pool_t *pool; /* NULL: only `len` is kept, to learn how long a text will be */
    char *data;       /* always closed with NUL */
    apr_size_t len;
    apr_size_t capacity;
} la_json_writer_t;

/* Starts an empty text whose memory comes from `pool`; NULL only counts. */
void la_json_writer_init(la_json_writer_t *writer, apr_pool_t *pool);

/* Appends JSON text as it is. */
void la_json_write_raw(la_json_writer_t *writer, la_slice_t text);

/* Appends a quoted string. Bytes that are not UTF-8 become U+FFFD, one for each maximal invalid
 * part (Unicode 15, section 3.9); characters beyond ASCII become \uXXXX. */
void la_json_write_string(la_json_writer_t *writer, la_slice_t text);

/* Appends a list of strings; `texts` holds const char *. */
void la_json_write_strings(la_json_writer_t *writer, const apr_array_header_t *texts);

/* The most of a stranger's text that is shown. */
#define LA_JSON_QUOTED_BYTES ((apr_size_t)100)

/* A stranger's text for a log line, quoted and in ASCII, so that it can neither end the line nor
 * look like the text around it. A longer one is cut at a whole character, with `...` behind the
 * quotes. In `pool`. */
const char *la_json_quoted(apr_pool_t *pool, la_slice_t text);

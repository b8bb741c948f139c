/* JSON, strictly (RFC 8259): the only door to json-c. Values are read in place
 * and live as long as the pool of the document they came from.
 */
#ifndef LA_JSON_H
#define LA_JSON_H

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

/* What the tree of a text may take in memory beside the text's characters: a multiple of the text,
 * since strangers send short ones, up to LA_JSON_TREE_BYTES. `{},` is three bytes of a text and 800
 * of a tree. */
#define LA_JSON_TREE_BYTES          ((apr_size_t)4 * 1024 * 1024)
#define LA_JSON_TREE_BYTES_AT_LEAST ((apr_size_t)64 * 1024)
#define LA_JSON_TREE_BYTES_PER_BYTE 64

/* Parses one complete JSON text. What json-c lets through is refused: single
 * quotes, NaN and Infinity, raw control characters in strings, duplicate member
 * names, bytes that are not UTF-8, anything after the value (a NUL included). So is \u0000 in a
 * member name, which json-c would cut there, and a text with more values than the tree may have
 * memory for, before any of it is taken. A lone surrogate in an escape becomes U+FFFD.
 *
 * text:  the document; not changed and not needed afterwards.
 * pool:  owns the document; a cleanup on it frees json-c's memory.
 * value: the document's root, NULL on failure.
 * Returns NULL, or the reason with its place ("unexpected character at line 3, column 17"; columns
 * are characters). It never quotes the text, which may hold a secret.
 */
const char *la_json_parse(apr_pool_t *pool, la_slice_t text, const la_json_t **value);

/* The items of a document's list, which are parsed one at a time. Opaque but for `count`. */
typedef struct la_json_list_t {
    apr_size_t count; /* of items */
    apr_size_t at;
    la_slice_t text; /* the document */
    la_slice_t rest; /* of the list */
    const la_json_t *tree;
} la_json_list_t;

/* Parses a document as la_json_parse() does, but for the items of the list that the outermost
 * object has under `name`: `value` has an empty list there, and la_json_list_next() gives the
 * items. So a long list takes no more memory than its largest item.
 *
 * pool: owns the document, as for la_json_parse(). list: count 0 where there is none; refers to
 * `text`, or to `pool`. Returns what la_json_parse() does; a name that an item holds twice, and an
 * item with too many values, are found by la_json_list_next() only.
 */
const char *la_json_parse_list(apr_pool_t *pool, la_slice_t text, const char *name,
                               const la_json_t **value, la_json_list_t *list);

/* Parses the list's next item.
 *
 * pool: owns the item; may be cleared before the next one. item: NULL for a JSON null, and on
 * failure. Returns NULL, or the reason as la_json_parse() does, in `pool`. Call it `count` times.
 */
const char *la_json_list_next(la_json_list_t *list, apr_pool_t *pool, const la_json_t **item);

/* The type of a value; a NULL pointer is LA_JSON_NULL, as json-c stores it. */
la_json_e la_json_type(const la_json_t *value);

/* Looks a member up by its exact name.
 *
 * object: any value; anything but an object has no members.
 * member: the value (NULL for a JSON null), or NULL when there is none.
 * Returns 1 when the member exists, else 0.
 */
int la_json_member(const la_json_t *object, const char *name, const la_json_t **member);

/* Walks an object's members in the order of the text. `it` is opaque and starts zeroed.
 *
 * name:  set to the member's name; points into the document.
 * value: set to the member's value.
 * Returns 1, or 0 after the last member and for anything but an object.
 */
typedef struct la_json_iterator_t {
    void *entry;
    int started;
} la_json_iterator_t;
int la_json_next(const la_json_t *object, la_json_iterator_t *it, la_slice_t *name,
                 const la_json_t **value);

/* Number of items of an array, members of an object, 0 for anything else. */
apr_size_t la_json_count(const la_json_t *value);

/* The array's item at `index`, NULL past the end, for a JSON null and for anything but an array. */
const la_json_t *la_json_item(const la_json_t *array, apr_size_t index);

/* The bytes of a string (they may hold NUL); 0 for anything but a string, and `text` is then empty.
 */
int la_json_string(const la_json_t *value, la_slice_t *text);

/* JSON true or false; 0 for anything else ("false" is not a boolean), and `out` is then 0. */
int la_json_boolean(const la_json_t *value, int *out);

/* A finite number as double; 0 for anything else, and `out` is then 0. An integer beyond 64 bits
 * is clamped, a magnitude beyond a double ("1e999") is no number. */
int la_json_number(const la_json_t *value, double *out);

/* A string as it is, a number or a boolean as JSON text ("42", "true"); 0 for null, arrays and
 * objects, and for integers at or beyond json-c's limits (-2^63, 2^64-1), whose digits it may have
 * lost. `text` points into the document or into `pool`. */
int la_json_scalar_text(apr_pool_t *pool, const la_json_t *value, la_slice_t *text);

/* A growing JSON text. What is written is ASCII: everything else is escaped, so
 * that a text can stand in a header field. Never fails (an APR pool aborts). */
typedef struct la_json_writer_t {
    apr_pool_t *pool; /* NULL: nothing is kept but `len`, to learn how long a text will be */
    char *data;       /* always closed with NUL */
    apr_size_t len;
    apr_size_t capacity;
} la_json_writer_t;

/* Starts an empty text whose memory comes from `pool`; NULL only counts. */
void la_json_writer_init(la_json_writer_t *writer, apr_pool_t *pool);

/* Appends JSON text as it is: punctuation, literals, a text written before. */
void la_json_write_raw(la_json_writer_t *writer, la_slice_t text);

/* Appends a quoted string. Bytes that are not UTF-8 become U+FFFD, one for each maximal
 * invalid part (Unicode 15, section 3.9); all beyond ASCII is written as \uXXXX. */
void la_json_write_string(la_json_writer_t *writer, la_slice_t text);

/* Appends a list of strings; `texts` holds const char *. */
void la_json_write_strings(la_json_writer_t *writer, const apr_array_header_t *texts);

/* What of a stranger's text is shown, in bytes. */
#define LA_JSON_QUOTED_BYTES ((apr_size_t)100)

/* A stranger's text for a log line: quoted and in ASCII as la_json_write_string() writes it, so
 * that it can neither end the line nor pass for what is around it. Of a longer one the beginning,
 * in whole characters, and `...` behind the quotes. In `pool`. */
const char *la_json_quoted(apr_pool_t *pool, la_slice_t text);

#endif

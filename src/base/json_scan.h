/* The strict scan behind la_json_parse() and the UTF-8 decoder that it shares with the writer.
 * For json.c only; everybody else includes base/json.h.
 */
#ifndef LA_JSON_SCAN_H
#define LA_JSON_SCAN_H

#include "base/slice.h"

#include <apr_pools.h>

/* Deepest nesting that is parsed; a document may not hold more levels. */
#define LA_JSON_MAX_DEPTH 32

/* What a scan found. */
typedef struct la_json_scan_t {
    const char *error;  /* a constant text, NULL when sound */
    apr_size_t at;      /* offset of the culprit, or of the end */
    apr_size_t members; /* in all objects together, repeated names counted each time */
    apr_size_t tree; /* bytes that json-c will take for values and names, beside their characters */
    int surrogates;  /* whether a \u escape names one */
    la_slice_t list; /* between the brackets of the list asked for; data NULL: none */
    apr_size_t items; /* in that list */
} la_json_scan_t;

/* Checks that `text` is exactly one JSON text (RFC 8259) of at most LA_JSON_MAX_DEPTH levels, in
 * UTF-8, with no NUL in a member name.
 *
 * list: the name, written without escapes, of a member of the outermost object. When its value is
 * an array, `members` and `tree` do not count what is in that array. NULL: none. Returns 1 when it
 * is, else 0 with the reason in `result`.
 */
int la_json_scan(la_slice_t text, const char *list, la_json_scan_t *result);

/* Checks one value at the start of `text`, which ends with the text or before a comma: an item of a
 * list that la_json_scan() found sound. `at` is behind the value and its white space.
 *
 * Returns 1 when it is one, else 0 with the reason in `result`.
 */
int la_json_scan_item(la_slice_t text, la_json_scan_t *result);

/* Called with each member name: the number of its object, and the name as it stands in the text, in
 * quotes and with its escapes. Returns 1 to go on. */
typedef int la_json_name_t(void *baton, apr_size_t object, la_slice_t quoted);

/* Walks over the member names of a sound text. Returns the offset of the name for which `on_name`
 * returned 0. */
apr_size_t la_json_scan_names(la_slice_t text, la_json_name_t *on_name, void *baton);

/* Replaces each surrogate pair written as two escapes by the character's UTF-8. json-c 0.16 would
 * turn U+1D800 to U+1DFFF, and the same part of the higher planes, into U+FFFD: different names
 * would become one.
 *
 * text: one that la_json_scan() found sound. Returns the new text, in `pool`, no longer than
 * `text`.
 */
la_slice_t la_json_join_surrogates(apr_pool_t *pool, la_slice_t text);

/* The code point of bytes that are not UTF-8; no character is this large. */
#define LA_NOT_UTF8 0xFFFFFFFFu

/* Decodes the first character of `bytes` (Unicode 15, table 3-7).
 *
 * len: bytes available, at least 1. code: the code point, or LA_NOT_UTF8.
 * Returns how many bytes it takes; where they are not UTF-8, the length of the maximal invalid
 * part.
 */
apr_size_t la_utf8_decode(const unsigned char *bytes, apr_size_t len, unsigned *code);

#endif

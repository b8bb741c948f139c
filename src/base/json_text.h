/* The text of a name or a value that a reader of JSON keeps while it reads. */
#pragma once

#include "base/slice.h"

#include <apr_pools.h>

/* A text that grows in `pool` up to `limit` bytes. */
typedef struct la_json_text_t {
    char *data; /* NULL: nothing is kept */
    apr_size_t len;
    apr_size_t capacity;
    apr_size_t limit;
    apr_pool_t *pool;
    unsigned high_surrogate; /* the last escape named one; else 0 */
    int is_broken;           /* longer than the limit, or half of a surrogate pair is in it */
} la_json_text_t;

/* Adds bytes that stand for themselves. */
void la_json_text_add(la_json_text_t *text, const char *data, apr_size_t len);

/* Adds what a \u escape names. */
void la_json_text_add_unit(la_json_text_t *text, unsigned unit);

/* Ends the text: half of a pair may be left. */
void la_json_text_end(la_json_text_t *text);

/* Whether two names are the same for a reader that ignores case, as Go's does: ASCII, and U+017F
 * and U+212A, which are letters of ASCII there. name: ASCII. */
int la_json_text_is_name(la_slice_t text, const char *name);

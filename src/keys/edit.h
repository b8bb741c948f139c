/* Changes the text of a key file and leaves what is not changed as it is, byte for byte. The text
 * must be one that la_static_keys_parse() accepts. */
#pragma once

#include "base/slice.h"

#include <apr_pools.h>
#include <apr_tables.h>

/* One item of the file's list. */
typedef struct la_edit_item_t {
    la_slice_t space; /* before it */
    la_slice_t text;  /* as it is, or as it was changed */
    la_slice_t after; /* white space behind it */
    int removed;
} la_edit_item_t;

typedef struct la_edit_t {
    apr_pool_t *pool;
    la_slice_t head;           /* the text up to the list's first item */
    la_slice_t tail;           /* the text from the white space before the list's end */
    apr_array_header_t *items; /* of la_edit_item_t; places are la_api_key_t.position */
    apr_array_header_t *added; /* of const char *: new items, which go to the end */
} la_edit_t;

/* Takes the text apart. edit: points into `text` and `pool`. Returns NULL, or why it cannot. */
const char *la_edit_open(apr_pool_t *pool, la_slice_t text, la_edit_t *edit);

/* The item of that position. */
la_edit_item_t *la_edit_item(const la_edit_t *edit, int position);

/* Looks for a member of an object. value: its JSON text, or that of the last member. Returns 1, or
 * 0 if there is none. */
int la_edit_member(apr_pool_t *pool, la_slice_t object, const char *name, la_slice_t *value);

/* The object with that member set to a JSON text, in `pool`. */
la_slice_t la_edit_set(apr_pool_t *pool, la_slice_t object, const char *name, const char *value);

/* The whole text, in the edit's pool. */
la_slice_t la_edit_text(const la_edit_t *edit);

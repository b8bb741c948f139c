/* The strict scan behind la_json_parse(), for those who need places in a text; and UTF-8. */
#pragma once

#include "base/slice.h"

#include <apr_pools.h>

/* The most levels of arrays and objects that a document may have. */
#define LA_JSON_MAX_DEPTH 32

/* Called with each member name: the number of its object, and the name as it stands in the text, in
 * quotes and with its escapes. Returns 1 to go on. */
typedef int la_json_name_t(void *baton, apr_size_t object, la_slice_t quoted);

/* A scan, and what it found. */
typedef struct la_json_scan_t {
    const char *error;  /* a constant text, NULL when sound */
    apr_size_t at;      /* offset of the error, or of the end */
    apr_size_t members; /* in all objects together, repeated names counted each time */
    apr_size_t tree;    /* bytes that json-c will take, beside the characters */
    int surrogates;     /* whether a \u escape names one */
    la_slice_t list;    /* the text between the brackets of the list asked for; data NULL: none */
    apr_size_t items;   /* in that list */

    /* For the scan itself. */
    const unsigned char *data;
    apr_size_t len;
    apr_size_t width;      /* items so far of the container that is read */
    apr_size_t closed;     /* items of the container that was read last */
    apr_size_t objects;    /* begun so far */
    apr_size_t object;     /* the number of the innermost one that is read */
    const char *list_name; /* NULL once the list is found */
    la_json_name_t *on_name;
    void *baton;
    int depth;
} la_json_scan_t;

/* Checks that `text` is exactly one JSON text (RFC 8259) of at most LA_JSON_MAX_DEPTH levels, in
 * UTF-8, with no NUL in a member name. list: the name, written without escapes, of a member of the
 * outermost object. If its value is an array, `members` and `tree` do not count what is in it.
 * NULL: none. Returns 1 when it is, else 0 with the reason in `scan`. */
int la_json_scan(la_slice_t text, const char *list, la_json_scan_t *scan);

/* Checks one value at the start of `text`, which ends with the text or before a comma: an item of a
 * list that la_json_scan() found sound. `at` is behind the value and its white space. Returns 1
 * when it is one, else 0 with the reason in `scan`. */
int la_json_scan_item(la_slice_t text, la_json_scan_t *scan);

/* Walks over the member names of a sound text. Returns the offset of the name for which `on_name`
 * returned 0. */
apr_size_t la_json_scan_names(la_slice_t text, la_json_name_t *on_name, void *baton);

/* Replaces each surrogate pair written as two escapes by the character's UTF-8: json-c 0.16 turns
 * U+1D800 to U+1DFFF, and the same part of the higher planes, into U+FFFD, so that different names
 * would become one. text: one that la_json_scan() found sound. Returns the new text, in `pool`, no
 * longer than `text`. */
la_slice_t la_json_join_surrogates(apr_pool_t *pool, la_slice_t text);

/* The code point of bytes that are not UTF-8; no character is this large. */
#define LA_NOT_UTF8 0xFFFFFFFFu

/* Decodes the first character of `bytes` (Unicode 15, table 3-7). len: bytes available, at least 1.
 * code: the code point, or LA_NOT_UTF8. Returns how many bytes it takes, or the length of the
 * maximal invalid part. */
apr_size_t la_utf8_decode(const unsigned char *bytes, apr_size_t len, unsigned *code);

/* Encodes a code point. Returns how many bytes it takes. */
apr_size_t la_utf8_encode(unsigned code, char bytes[4]);

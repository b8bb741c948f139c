/* Bytes with their length. They are borrowed, need not end in NUL and may hold one. */
#pragma once

#include <apr.h>
#include <string.h>

typedef struct la_slice_t {
    const char *data;
    apr_size_t len;
} la_slice_t;

/* A slice over a string literal. */
#define LA_SLICE(literal) ((la_slice_t){(literal), sizeof(literal) - 1})

/* The bytes of a text that ends in NUL, without it; NULL has none. */
static inline la_slice_t la_slice_of(const char *text)
{
    return (la_slice_t){text ? text : "", text ? strlen(text) : 0};
}

/* Whether two slices hold the same bytes. For secrets: CRYPTO_memcmp. */
static inline int la_slice_equals(la_slice_t a, la_slice_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Whether a slice holds the bytes of `text`, which ends in NUL. */
static inline int la_slice_is(la_slice_t slice, const char *text)
{
    return la_slice_equals(slice, la_slice_of(text));
}

/* Whether a slice begins with the bytes of `prefix`, which ends in NUL. */
static inline int la_slice_begins(la_slice_t slice, const char *prefix)
{
    apr_size_t len = strlen(prefix);

    return slice.len >= len && memcmp(slice.data, prefix, len) == 0;
}

/* Whether two texts are the same: both NULL, or both there and equal. */
static inline int la_text_is_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* A run of bytes with its length: how text travels between the floors.
 * The bytes are borrowed, need not end in NUL and may hold one.
 */
#ifndef LA_SLICE_H
#define LA_SLICE_H

#include <apr.h>
#include <string.h>

typedef struct la_slice_t {
    const char *data;
    apr_size_t len;
} la_slice_t;

/* A slice over a string literal. */
#define LA_SLICE(literal) ((la_slice_t){(literal), sizeof(literal) - 1})

/* Whether two texts are the same: both NULL, or both there and equal. */
static inline int la_text_is_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

#endif

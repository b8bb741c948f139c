/* What the fuzz targets share. A target is one .c file with LLVMFuzzerTestOneInput(); libFuzzer
 * drives it, or replay.c with the files of its corpus. A broken promise is an abort(), which both
 * take for a finding.
 *
 * Pools hide overflows from ASan, so what a parser gets is a malloc'ed copy of just its length.
 */
#ifndef LA_FUZZ_H
#define LA_FUZZ_H

#include "base/slice.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_pools.h>
#include <apr_strings.h>

/* A promise of the code under test. */
#define HOLDS(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A pool for one input. */
static inline apr_pool_t *fuzz_pool(void)
{
    static int ready;
    apr_pool_t *pool;

    if (!ready) {
        apr_initialize();
        atexit(apr_terminate);
        ready = 1;
    }
    apr_pool_create(&pool, NULL);
    return pool;
}

/* A copy of just that length; to be freed. */
static inline char *exact(const void *data, size_t size)
{
    char *copy = malloc(size ? size : 1);

    if (size > 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

/* The same closed with NUL, for what takes a C string; what follows a NUL inside is not seen then.
 */
static inline char *exact_text(const void *data, size_t size)
{
    char *copy = malloc(size + 1);

    memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

/* Cuts a line off the input, without its end. */
static inline la_slice_t take_line(la_slice_t *rest)
{
    const char *end = rest->len ? memchr(rest->data, '\n', rest->len) : NULL;
    la_slice_t line = {rest->data, end ? (apr_size_t)(end - rest->data) : rest->len};
    apr_size_t used = line.len + (end != NULL);

    rest->data += used;
    rest->len -= used;
    return line;
}

/* Splits a line at single spaces into at most `max` words, in the pool. */
static inline int split_words(apr_pool_t *pool, la_slice_t line, const char **words, int max)
{
    char *text = apr_pstrmemdup(pool, line.data, line.len);
    int count = 0;
    char *word;

    while (count < max && (word = strsep(&text, " ")) != NULL) {
        words[count++] = word;
    }
    return count;
}

/* Whether it may stand in a header field. */
static inline int is_field_value(const char *text, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) {
            return 0;
        }
    }
    return 1;
}

#endif

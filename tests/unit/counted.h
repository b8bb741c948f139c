/* Put in front of a source file that is built to be counted: each basic block is one step (the
 * compiler's trace-pc), and each byte that libc or a table of APR looks at is one more.
 */
#ifndef LA_COUNTED_H
#define LA_COUNTED_H

#include <sched.h> /* which says in musl what memcpy() is */
#include <string.h>

#include <apr_strings.h>
#include <apr_tables.h>

extern unsigned long steps;

/* Counts, and is the number. */
static inline size_t counted(size_t bytes)
{
    steps += bytes;
    return bytes;
}

static inline const apr_table_t *counted_table(const apr_table_t *table)
{
    counted((size_t)apr_table_elts(table)->nelts);
    return table;
}

#undef memcpy
#undef memmove
#undef memcmp
#undef memchr
#undef strlen
#undef strchr
#undef strcspn
#undef strspn
#undef strcmp
#undef strcasecmp
#undef strnlen
#define memcpy(to, from, len)             (memcpy)(to, from, counted(len))
#define memmove(to, from, len)            (memmove)(to, from, counted(len))
#define memcmp(a, b, len)                 (memcmp)(a, b, counted(len))
#define memchr(text, c, len)              (memchr)(text, c, counted(len))
#define strlen(text)                      counted((strlen)(text))
#define strchr(text, c)                   (counted((strcspn)(text, (const char[]){c, 0})), (strchr)(text, c))
#define strcspn(text, set)                counted((strcspn)(text, set))
#define strspn(text, set)                 counted((strspn)(text, set))
#define strcmp(a, b)                      (counted((strlen)(b)), (strcmp)(a, b))
#define strcasecmp(a, b)                  (counted((strlen)(b)), (strcasecmp)(a, b))
#define strnlen(text, len)                counted((strnlen)(text, len))
#define apr_table_get(table, key)         apr_table_get(counted_table(table), key)
#define apr_table_unset(table, key)       (counted_table(table), apr_table_unset(table, key))
#define apr_table_setn(table, key, value) (counted_table(table), apr_table_setn(table, key, value))

#endif

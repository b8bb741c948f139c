/* How much is taken from malloc now: what a test holds it to is not RSS, which says more of malloc
 * than of us. */
#ifndef HEAP_H
#define HEAP_H

#include <stddef.h>
#include <stdlib.h>

#ifdef __SANITIZE_ADDRESS__
#define HEAP_SLACK 0

size_t __sanitizer_get_current_allocated_bytes(void); /* gcc comes without its header */

static inline size_t heap_bytes(void)
{
    return __sanitizer_get_current_allocated_bytes();
}
#elif defined(__GLIBC__)
#include <malloc.h>

/* Freed pieces that a thread keeps for itself count as taken. */
#define HEAP_SLACK ((size_t)64 * 1024)

static inline size_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}
#else
#define HEAP_SLACK 0

/* Another libc (musl) does not say: tests on it see no growth. */
static inline size_t heap_bytes(void)
{
    return 0;
}
#endif

/* How much more is taken than `before`. */
static inline size_t heap_growth(size_t before)
{
    size_t now = heap_bytes();

    return now > before ? now - before : 0;
}

#endif

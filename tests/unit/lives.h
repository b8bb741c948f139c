/* A process's view of who lives, for tests of what is shared. */
#ifndef LA_TEST_LIVES_H
#define LA_TEST_LIVES_H

#include "core/life.h"

#include <stdlib.h>

/* The same at each call, made at the first. */
static inline la_life_t *test_life(void)
{
    static la_life_t view;
    static int fd = -1;

    if (fd < 0) {
        if (la_life_open(&fd) != APR_SUCCESS) {
            abort();
        }
        la_life_init(&view, fd);
    }
    return &view;
}

#endif

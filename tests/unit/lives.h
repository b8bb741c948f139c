/* A process's view of who lives, for tests of what is shared. */
#ifndef LA_TEST_LIVES_H
#define LA_TEST_LIVES_H

#include "shm/holder.h"

#include <stdlib.h>

/* The same at each call, made at the first. */
static inline la_holder_t *test_holder(void)
{
    static la_holder_t view;
    static int fd = -1;

    if (fd < 0) {
        if (la_holder_open(&fd) != APR_SUCCESS) {
            abort();
        }
        la_holder_init(&view, fd);
    }
    return &view;
}

#endif

/* The futex system call. Any thread of any process. Memory order: the kernel compares the word with
 * the value under a lock that the waker takes too, so a sleeper sees a change before the wake, or
 * the wake finds the sleeper. For what else it needs to see, the sleeper loads a word itself. */
#include "shm/futex.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <errno.h>

_Static_assert(sizeof(_Atomic uint32_t) == 4 && ATOMIC_INT_LOCK_FREE == 2,
               "the kernel and every process must see the same plain word");

int la_futex_wait(_Atomic uint32_t *word, uint32_t value, apr_interval_time_t timeout_us)
{
    struct timespec left;

    if (timeout_us <= 0) {
        return 0;
    }
    left.tv_sec = (time_t)(timeout_us / APR_USEC_PER_SEC);
    left.tv_nsec = (long)(timeout_us % APR_USEC_PER_SEC) * 1000;
    /* Not FUTEX_PRIVATE: the waker may be another process. */
    return syscall(SYS_futex, word, FUTEX_WAIT, value, &left, NULL, 0) == 0 || errno != ETIMEDOUT;
}

void la_futex_wake(_Atomic uint32_t *word, int count)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

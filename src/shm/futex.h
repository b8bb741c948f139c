/* Waiting on a 32-bit word in shared memory. Linux only:
 * the futex system call is what survives a waiter's or a waker's SIGKILL without a trace (a
 * process-shared condition variable does not).
 */
#ifndef LA_FUTEX_H
#define LA_FUTEX_H

#include <apr_time.h>
#include <stdatomic.h>
#include <stdint.h>

/* Sleeps while `*word` is `value`, until la_futex_wake() or for `timeout_us` (0 or less: not at
 * all).
 *
 * word: may be in memory that other processes map, anywhere in theirs.
 * Returns 0 when the time passed, else 1: woken, not equal from the start, or for no reason. The
 * caller looks again in either case.
 */
int la_futex_wait(_Atomic uint32_t *word, uint32_t value, apr_interval_time_t timeout_us);

/* Wakes up to `count` sleepers on `word`, in any process. The caller has changed the word
 * before. */
void la_futex_wake(_Atomic uint32_t *word, int count);

#endif

/* Waiting on a 32-bit word in shared memory. Linux only: unlike a process-shared condition
 * variable, a futex is not damaged by the SIGKILL of a waiter or a waker. */
#pragma once

#include <apr_time.h>
#include <stdatomic.h>
#include <stdint.h>

/* Sleeps while `*word` is `value`, until la_futex_wake() or for `timeout_us` (0 or less: not at
 * all). Returns 0 when the time is over, else 1: woken, different from the start, or for no reason.
 */
int la_futex_wait(_Atomic uint32_t *word, uint32_t value, apr_interval_time_t timeout_us);

/* Wakes up to `count` sleepers on `word`, in any process. The caller changes the word before. */
void la_futex_wake(_Atomic uint32_t *word, int count);

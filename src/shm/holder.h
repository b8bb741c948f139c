/* Which processes of this server live, and places and locks in shared memory that only living
 * processes hold.
 *
 * A process proves that it lives by a record lock on one byte, its id, of a file that all share.
 * The kernel releases the lock when the process ends, by SIGKILL too, before the parent reaps it.
 * Pids would not do: they are reused, and kill(pid, 0) finds zombies. Nor would robust mutexes:
 * they keep pointers in shared memory, and belong to threads.
 *
 * Life cycle: the parent opens the file once and keeps it across restarts; a la_holder_t is made
 * on it anywhere, before or after fork; each process draws its id at the first use.
 */
#pragma once

#include <apr_errno.h>
#include <apr_time.h>
#include <stdatomic.h>
#include <stdint.h>

/* One process's view. Shared by its threads; a forked copy becomes the child's own. */
typedef struct la_holder_t {
    int fd;
    _Atomic uint64_t self; /* pid << 32 | id; not valid if the pid is another's, as after a fork */
    _Atomic uint32_t turn; /* spreads where threads begin to look for a place */
} la_holder_t;

/* A place: the holder's id << 32 | the holder's mark. It is free when it is 0 or when no living
 * process has the id. Any bytes are sound. */
typedef _Atomic uint64_t la_place_t;

/* Opens the file of locks, in memory and closed on exec. A process that uses it must not close it
 * or a duplicate of it: the first close releases its lock.
 *
 * fd: -1 on failure. Returns APR_SUCCESS or the system's error.
 */
apr_status_t la_holder_open(int *fd);

/* Makes a view, without a system call. */
void la_holder_init(la_holder_t *life, int fd);

/* The calling process's id, drawn and locked at the first call in each process; 0 when it cannot
 * lock one, and then it must not hold anything. */
uint32_t la_holder_self(la_holder_t *life);

/* Whether the process with that id lives. 1 also when the system call fails. */
int la_holder_alive(la_holder_t *life, uint32_t id);

/* The word of a place that this process holds with that mark; 0 when it has no id. */
static inline uint64_t la_place_of(la_holder_t *life, uint32_t mark)
{
    uint32_t self = la_holder_self(life);

    return self == 0 ? 0 : (uint64_t)self << 32 | mark;
}

/* Takes one of `count` places: a free one, else a dead holder's. index: the place taken. Returns 1,
 * or 0 when living processes hold all. */
int la_place_take(la_holder_t *life, la_place_t *places, uint32_t count, uint32_t mark,
                  uint32_t *index);

/* Gives a place back. Returns 1, or 0 when this process did not hold it with that mark. */
int la_place_leave(la_holder_t *life, la_place_t *place, uint32_t mark);

/* Frees the places that dead processes hold. */
void la_place_sweep(la_holder_t *life, la_place_t *places, uint32_t count);

/* A lock to be held for microseconds. Zero is free, and any bytes are sound. The process holds it,
 * not the thread: any thread may release it. */
typedef struct la_lock_t {
    la_place_t holder;
    _Atomic uint32_t sleeper; /* 1: somebody may sleep on this word */
} la_lock_t;

typedef enum la_lock_e {
    LA_LOCK_BUSY, /* zero: living processes, perhaps stopped ones, held it all the time */
    LA_LOCK_TAKEN,
    LA_LOCK_INHERITED /* taken from a dead process: what it guards may be half written */
} la_lock_e;

/* Takes a lock within `wait_us`; with 0 or less without waiting. */
la_lock_e la_lock_take(la_holder_t *life, la_lock_t *lock, apr_interval_time_t wait_us);

void la_lock_release(la_lock_t *lock);

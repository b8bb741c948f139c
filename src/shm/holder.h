/* Which processes of this server live, known for certain, and places and locks in shared memory
 * that only a living process holds.
 *
 * A process proves that it lives by a record lock on one byte, its id, of a file that all share.
 * The kernel takes the lock back when the process ends, by SIGKILL too, before it is reaped. So
 * nothing depends on pids (they are reused, and kill(pid, 0) finds zombies), nothing on which
 * thread took a thing, and shared memory holds numbers only: robust mutexes would keep pointers
 * there.
 *
 * Life cycle: the parent opens the file once and keeps it across restarts; a la_holder_t is made
 * over it anywhere, before or after fork; each process draws its id at the first use.
 */
#ifndef LA_HOLDER_H
#define LA_HOLDER_H

#include <apr_errno.h>
#include <apr_time.h>
#include <stdatomic.h>
#include <stdint.h>

/* One process's view. Shared by its threads; a forked copy becomes the child's own. */
typedef struct la_holder_t {
    int fd;
    _Atomic uint64_t self; /* pid << 32 | id; of another pid in a forked copy, and then void */
    _Atomic uint32_t turn; /* spreads where threads begin to look for a place */
} la_holder_t;

/* A place: id of the holder << 32 | the holder's mark; 0 is free, and so is the place of a holder
 * that is dead or never was. Any bytes are sound. */
typedef _Atomic uint64_t la_place_t;

/* Opens the file of locks, in memory and closed on exec. Never close it in a process that uses it,
 * nor a duplicate: the first close gives up the lock.
 *
 * fd: -1 on failure. Returns APR_SUCCESS or the system's error.
 */
apr_status_t la_holder_open(int *fd);

/* Makes a view; no system call. */
void la_holder_init(la_holder_t *life, int fd);

/* The calling process's id, above 0, drawn and locked at the first call in each process; 0 when
 * the lock cannot be had, and then nothing that needs proof of life may be taken. */
uint32_t la_holder_self(la_holder_t *life);

/* Whether the process with that id lives. 1 also when the kernel cannot be asked: what is held
 * stays held until its deadline. */
int la_holder_alive(la_holder_t *life, uint32_t id);

/* Takes one of `count` places, a free one if there is one, else a dead holder's.
 *
 * index: the place taken. Returns 1, or 0 when the living hold all.
 */
int la_place_take(la_holder_t *life, la_place_t *places, uint32_t count, uint32_t mark,
                  uint32_t *index);

/* Gives a place back. Returns 1, or 0 when this process did not hold it with that mark. */
int la_place_leave(la_holder_t *life, la_place_t *place, uint32_t mark);

/* Frees what the dead hold. */
void la_place_sweep(la_holder_t *life, la_place_t *places, uint32_t count);

/* A short lock, for microseconds: one place, and a word to sleep on. Zero is free, and any bytes
 * are sound. The process holds it, not the thread: any thread may release it. */
typedef struct la_lock_t {
    la_place_t holder;
    _Atomic uint32_t sleeper; /* 1: somebody may sleep on this word until the lock is released */
} la_lock_t;

typedef enum la_lock_e {
    LA_LOCK_BUSY, /* zero: a living process, perhaps a stopped one, held it all the time */
    LA_LOCK_TAKEN,
    LA_LOCK_INHERITED /* taken from a dead process: what it guards may be half written */
} la_lock_e;

/* Takes a lock within `wait_us`; with 0 or less without waiting. */
la_lock_e la_lock_take(la_holder_t *life, la_lock_t *lock, apr_interval_time_t wait_us);

void la_lock_release(la_lock_t *lock);

#endif

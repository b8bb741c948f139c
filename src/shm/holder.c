/* Proof of life, places and locks.
 *
 * Owns the ids, the record locks behind them, and the format of a place; gate.c, flight.c and the
 * table have places and locks in their layouts. Any thread of any process that inherited the file.
 *
 * Record locks (F_SETLK) rather than locks of an open file (F_OFD_SETLK): they belong to a process
 * and are not inherited, so a child of the holder does not keep the lock.
 */
#include "shm/holder.h"

#include "base/clock.h"
#include "shm/futex.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

/* Ids that are drawn before giving up; one is enough in practice. */
#define LIFE_DRAWS 8

/* Living holders that one scan of the places remembers, to ask the kernel once for each. */
#define SEEN_SIZE 16

/* A waiter for a lock checks this often that the holder lives. */
#define LOCK_SLICE_US 2000

/* This process's, once it was asked for; 0 after a fork. getpid() is a system call, and an id is
 * needed ten times for a call to a provider. */
static _Atomic uint32_t known_pid;
static int is_fork_watched;

typedef struct seen_t {
    uint32_t alive[SEEN_SIZE];
    unsigned int next;
} seen_t;

/* Memory order: a place publishes only itself, so the relaxed loads below choose what to try, and
 * the compare-and-swap decides. la_holder_t.self: the swap in join_living() releases the lock on
 * the id's byte to the load in la_holder_self(), which acquires it. */

_Static_assert(sizeof(la_place_t) == 8 && ATOMIC_LLONG_LOCK_FREE == 2,
               "a place is one plain word for every process");

apr_status_t la_holder_open(int *fd)
{
    *fd = memfd_create("llama-auth-life", MFD_CLOEXEC);
    return *fd < 0 ? errno : APR_SUCCESS;
}

static void forget_pid(void)
{
    atomic_store_explicit(&known_pid, 0, memory_order_relaxed);
}

static void watch_forks(void)
{
    is_fork_watched = pthread_atfork(NULL, NULL, forget_pid) == 0;
}

/* Asks again in a module that was loaded again: a view may be older than that. */
static uint32_t process_id(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    uint32_t pid = atomic_load_explicit(&known_pid, memory_order_relaxed);

    if (pid == 0) {
        pthread_once(&once, watch_forks);
        pid = (uint32_t)getpid();
        atomic_store_explicit(&known_pid, is_fork_watched ? pid : 0, memory_order_relaxed);
    }
    return pid;
}

void la_holder_init(la_holder_t *life, int fd)
{
    life->fd = fd;
    atomic_init(&life->self, 0);
    atomic_init(&life->turn, 0);
}

static struct flock byte_of(uint32_t id)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)id, .l_len = 1};

    return lock;
}

static uint32_t draw_id(const la_holder_t *life)
{
    for (int i = 0; i < LIFE_DRAWS; i++) {
        uint32_t id = 0;
        struct flock lock;

        if (getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id) || id == 0) {
            continue;
        }
        lock = byte_of(id);
        if (fcntl(life->fd, F_SETLK, &lock) == 0) {
            return id;
        }
    }
    return 0;
}

/* When two threads join at once the later takes the earlier's id; its own byte stays locked and
 * unused. */
static uint32_t join_living(la_holder_t *life, uint32_t pid, uint64_t void_self)
{
    uint32_t id = draw_id(life);
    uint64_t self = ((uint64_t)pid << 32) | id;

    if (id != 0 && !atomic_compare_exchange_strong(&life->self, &void_self, self)) {
        return (uint32_t)void_self;
    }
    return id;
}

uint32_t la_holder_self(la_holder_t *life)
{
    uint32_t pid = process_id();
    uint64_t self = atomic_load_explicit(&life->self, memory_order_acquire);

    return (uint32_t)(self >> 32) == pid ? (uint32_t)self : join_living(life, pid, self);
}

int la_holder_alive(la_holder_t *life, uint32_t id)
{
    struct flock lock = byte_of(id);

    if (id == 0) {
        return 0;
    }
    if (id == la_holder_self(life)) {
        return 1; /* the kernel names only other processes' locks */
    }
    return fcntl(life->fd, F_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

/* la_holder_alive() with the memory of one scan. */
static int is_alive(la_holder_t *life, seen_t *seen, uint32_t id)
{
    for (unsigned int i = 0; i < SEEN_SIZE; i++) {
        if (seen->alive[i] == id) {
            return 1;
        }
    }
    if (!la_holder_alive(life, id)) {
        return 0;
    }
    seen->alive[seen->next++ % SEEN_SIZE] = id;
    return 1;
}

static int take_free(la_place_t *places, uint32_t count, uint32_t start, uint64_t mine,
                     uint32_t *index)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)(((uint64_t)start + i) % count);
        uint64_t seen = atomic_load_explicit(&places[at], memory_order_relaxed);

        if (seen == 0 && atomic_compare_exchange_strong(&places[at], &seen, mine)) {
            *index = at;
            return 1;
        }
    }
    return 0;
}

static int take_dead(la_holder_t *life, la_place_t *places, uint32_t count, uint64_t mine,
                     uint32_t *index)
{
    seen_t met = {{(uint32_t)(mine >> 32)}, 1};

    for (uint32_t at = 0; at < count; at++) {
        uint64_t seen = atomic_load_explicit(&places[at], memory_order_relaxed);
        uint32_t holder = (uint32_t)(seen >> 32);

        if ((holder == 0 || !is_alive(life, &met, holder)) &&
            atomic_compare_exchange_strong(&places[at], &seen, mine)) {
            *index = at;
            return 1;
        }
    }
    return 0;
}

int la_place_take(la_holder_t *life, la_place_t *places, uint32_t count, uint32_t mark,
                  uint32_t *index)
{
    uint64_t mine = la_place_of(life, mark);
    uint32_t start;

    *index = 0;
    if (mine == 0 || count == 0) {
        return 0;
    }
    start = atomic_fetch_add_explicit(&life->turn, 1, memory_order_relaxed);
    return take_free(places, count, start + (uint32_t)(mine >> 32), mine, index) ||
           take_dead(life, places, count, mine, index);
}

int la_place_leave(la_holder_t *life, la_place_t *place, uint32_t mark)
{
    uint64_t mine = la_place_of(life, mark);

    return mine != 0 && atomic_compare_exchange_strong(place, &mine, 0);
}

void la_place_sweep(la_holder_t *life, la_place_t *places, uint32_t count)
{
    seen_t met = {{la_holder_self(life)}, 1};

    for (uint32_t at = 0; at < count; at++) {
        uint64_t seen = atomic_load_explicit(&places[at], memory_order_relaxed);
        uint32_t holder = (uint32_t)(seen >> 32);

        if (seen != 0 && (holder == 0 || !is_alive(life, &met, holder))) {
            atomic_compare_exchange_strong(&places[at], &seen, 0);
        }
    }
}

/* ---- locks ------------------------------------------------------------------------ */

/* Memory order: the compare-and-swap that takes a lock pairs with the store that released it, so
 * the new holder sees what the last one wrote. Nothing pairs with a holder that died; its stores
 * were over before the kernel released its record lock, and whoever inherits the lock repairs what
 * it guards.
 *
 * The release stores `holder` and then reads `sleeper`, a sleeper stores `sleeper` and then reads
 * `holder`. All four are sequentially consistent, so one of the two sees the other. */

/* Sleeps until the lock is released or a slice is over. */
static void sleep_on(la_lock_t *lock, uint64_t seen, apr_interval_time_t left)
{
    atomic_store(&lock->sleeper, 1);
    if (atomic_load(&lock->holder) == seen) {
        la_futex_wait(&lock->sleeper, 1, left < LOCK_SLICE_US ? left : LOCK_SLICE_US);
    }
}

/* Takes a lock that `seen` holds, if that is nobody or a dead process. */
static la_lock_e take_from(la_holder_t *life, la_lock_t *lock, uint64_t seen, uint64_t mine)
{
    uint32_t holder = (uint32_t)(seen >> 32);

    if ((seen != 0 && la_holder_alive(life, holder)) ||
        !atomic_compare_exchange_strong(&lock->holder, &seen, mine)) {
        return LA_LOCK_BUSY;
    }
    return seen == 0 ? LA_LOCK_TAKEN : LA_LOCK_INHERITED;
}

la_lock_e la_lock_take(la_holder_t *life, la_lock_t *lock, apr_interval_time_t wait_us)
{
    uint64_t mine = la_place_of(life, 1);
    uint64_t seen = atomic_load(&lock->holder);
    la_lock_e result = mine != 0 ? take_from(life, lock, seen, mine) : LA_LOCK_BUSY;
    apr_time_t now;
    apr_time_t ends;

    if (result != LA_LOCK_BUSY || mine == 0 || wait_us <= 0) {
        return result;
    }
    now = la_clock_us();
    for (ends = now + wait_us; result == LA_LOCK_BUSY && now < ends; now = la_clock_us()) {
        sleep_on(lock, seen, ends - now);
        seen = atomic_load(&lock->holder);
        result = take_from(life, lock, seen, mine);
    }
    if (result != LA_LOCK_BUSY) {
        atomic_store(&lock->sleeper, 1); /* a release wakes one, and there may be more */
    }
    return result;
}

/* A store rather than a compare-and-swap, so that it overwrites garbage too. */
void la_lock_release(la_lock_t *lock)
{
    atomic_store(&lock->holder, 0);
    if (atomic_load(&lock->sleeper) != 0) {
        atomic_store(&lock->sleeper, 0);
        la_futex_wake(&lock->sleeper, 1);
    }
}

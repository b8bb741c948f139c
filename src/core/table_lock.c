/* The locks of the shared-memory table's groups, and the repair of what their dead owners left.
 *
 * The layout and why it is safe: table.c. Called by table_write.c, from any thread of any child.
 */
#include "core/table.h"

#include "core/table_layout.h"

#include <errno.h>
#include <time.h>

apr_status_t la_table_lock_init(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attributes;
    int rc = pthread_mutexattr_init(&attributes);

    if (rc != 0) {
        return rc;
    }
    rc = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    if (rc == 0) {
        rc = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    }
    if (rc == 0) {
        rc = pthread_mutex_init(mutex, &attributes);
    }
    pthread_mutexattr_destroy(&attributes);
    return rc;
}

/* glibc follows a mutex of another kind into priority protocols, where it asserts, hence dies, on what it
 * cannot explain. With this kind it takes garbage for a lock that is held. */
int la_table_lock_kind(const pthread_mutex_t *mutex)
{
#ifdef __GLIBC__
    return mutex->__data.__kind;
#else
    return mutex ? 0 : 1;
#endif
}

/* The wait is measured by a clock that nobody sets, where the C library can and ThreadSanitizer follows. */
#if defined(__GLIBC__) && !defined(__SANITIZE_THREAD__)
#if __GLIBC_PREREQ(2, 30)
#define LOCK_CLOCK               CLOCK_MONOTONIC
#define lock_until(mutex, until) pthread_mutex_clocklock((mutex), LOCK_CLOCK, (until))
#endif
#endif
#ifndef LOCK_CLOCK
#define LOCK_CLOCK               CLOCK_REALTIME
#define lock_until(mutex, until) pthread_mutex_timedlock((mutex), (until))
#endif

static int lock_within(pthread_mutex_t *mutex, apr_interval_time_t wait_us)
{
    struct timespec until;

    if (clock_gettime(LOCK_CLOCK, &until) != 0) {
        return errno;
    }
    until.tv_nsec += (long)wait_us * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return lock_until(mutex, &until);
}

/* Leaves only live entries with a tag. For the lock's holder. */
static void clear_dead(const la_table_t *table, apr_uint32_t group)
{
    for (apr_uint32_t way = 0; way < LA_TABLE_WAYS; way++) {
        if (!la_table_is_live(table, group, way)) {
            la_table_retire(la_table_chunk(table, group, way));
            la_table_set_tag(table, group, way, 0);
        }
    }
}

apr_status_t la_table_lock(const la_table_t *table, apr_uint32_t group, apr_interval_time_t wait_us)
{
    pthread_mutex_t *mutex = &table->locks[group].mutex;
    int rc;

    if (la_table_lock_kind(mutex) != table->lock_kind) {
        return APR_TIMEUP;
    }
    rc = pthread_mutex_trylock(mutex);
    if (rc == EBUSY && wait_us > 0) {
        rc = lock_within(mutex, wait_us);
    }
    if (rc == EOWNERDEAD) {
        clear_dead(table, group);
        rc = pthread_mutex_consistent(mutex);
    }
    return rc == 0 ? APR_SUCCESS : APR_TIMEUP;
}

void la_table_unlock(const la_table_t *table, apr_uint32_t group)
{
    pthread_mutex_unlock(&table->locks[group].mutex);
}

void la_table_tidy(const la_table_t *table, apr_uint32_t group)
{
    if (la_table_lock(table, group, 0) == APR_SUCCESS) {
        clear_dead(table, group);
        la_table_unlock(table, group);
    }
}

/* A hash table of fixed size in shared memory, for identities and rejections. Readers take no lock,
 * and a process may die anywhere.
 *
 * Life cycle: before the fork la_table_format() once, then la_table_attach() in any process that
 * has the bytes mapped (a handle made before the fork serves the children too). A handle is
 * read-only and serves any number of threads. All calls may run at the same time in all processes,
 * except la_table_format().
 *
 * Whatever the bytes hold, a call gives a miss or a whole entry that was put there, and stays
 * within the bytes. */
#pragma once

#include "base/slice.h"
#include "shm/holder.h"

#include <apr_errno.h>
#include <apr_pools.h>
#include <apr_time.h>

/* A key is a keyed digest: uniformly random and not for clients to choose. */
#define LA_TABLE_KEY_BYTES 32

/* Bytes of a digest by which entries are purged. */
#define LA_TABLE_PURGE_TAG_BYTES 16

/* Longest value: an identity of 16 KB with a header. */
#define LA_TABLE_VALUE_MAX_BYTES ((apr_size_t)17 * 1024)

/* What the bytes of a table must be aligned to. */
#define LA_TABLE_ALIGN 64

/* An entry stored further in the future than this is a miss: the clock was put back. */
#define LA_TABLE_CLOCK_SLACK_US (5 * APR_USEC_PER_SEC)

/* A hit writes an entry's time of last use only if the old one is older than this, so that hot
 * entries are rarely written. Also the precision of "least recently used". */
#define LA_TABLE_TOUCH_US (4 * APR_USEC_PER_SEC)

/* How long a writer waits for another one. */
#define LA_TABLE_LOCK_WAIT_US 5000

typedef struct la_table_t la_table_t;

/* What is stored beside a value. The table reads only the times. */
typedef struct la_table_meta_t {
    int64_t expires_us;     /* fresh before it */
    int64_t stale_until_us; /* stale from expires_us on and before it */
    int64_t stored_us;
    /* Keyed digests, so that nobody can guess a token from shared memory. */
    unsigned char client_tag[LA_TABLE_PURGE_TAG_BYTES];
    unsigned char principal_tag[LA_TABLE_PURGE_TAG_BYTES];
} la_table_meta_t;

typedef enum la_table_e {
    LA_TABLE_MISS,
    LA_TABLE_FRESH,
    LA_TABLE_STALE /* past expires_us, before stale_until_us */
} la_table_e;

/* A copy of an entry. */
typedef struct la_table_entry_t {
    la_table_meta_t meta;
    void *value; /* what the room function gave */
    apr_size_t len;
} la_table_entry_t;

/* Gives memory for a value, as apr_palloc() does: `len` bytes, 0 to LA_TABLE_VALUE_MAX_BYTES.
 * Called again if a value grew while it was read. NULL makes the look-up a miss. */
typedef void *la_table_room_fn(void *context, apr_size_t len);

/* Whether to drop the entry with this metadata. */
typedef int la_table_drop_fn(void *context, const la_table_meta_t *meta);

typedef struct la_table_stats_t {
    uint64_t bytes; /* of the table */
    uint64_t
        chunks; /* 384 bytes each; a value of up to 264 bytes takes one, each 368 more another */
    uint64_t chunks_used; /* since the last store in each part of the table */
    uint64_t entries;     /* expired ones too, until their place is needed */
    uint64_t stores;
    uint64_t evictions; /* of entries that were still fresh or stale */
    uint64_t store_failures;
    uint64_t too_large; /* of these failures, values over LA_TABLE_VALUE_MAX_BYTES */
} la_table_stats_t;

/* The smallest size of a table: room for two of the longest values or 128 short ones. */
apr_size_t la_table_bytes_min(void);

/* Makes an empty table of `size` zero bytes, such as a new anonymous mapping. bytes: aligned to
 * LA_TABLE_ALIGN. Returns APR_SUCCESS, APR_EINVAL when misaligned, or APR_ENOSPC when smaller than
 * la_table_bytes_min(). */
apr_status_t la_table_format(void *bytes, apr_size_t size);

/* Makes this process's handle on a formatted table. bytes, size: as given to la_table_format().
 * life: of this server; must outlive the handle. table: lives in `pool`; NULL on failure. Returns
 * APR_SUCCESS, APR_EINVAL and APR_ENOSPC as la_table_format() does, or APR_EGENERAL when the bytes
 * were not formatted with this size and layout. */
apr_status_t la_table_attach(void *bytes, apr_size_t size, la_holder_t *life, apr_pool_t *pool,
                             la_table_t **table);

/* Looks `key` up and copies the entry. Takes no lock and makes no system call; waits a few
 * microseconds for an entry that is being written. key: LA_TABLE_KEY_BYTES bytes. now_us: the time
 * now, not that of the request's start (see LA_TABLE_CLOCK_SLACK_US). room, context: asked for the
 * value's memory, before it is certain that this is a hit. entry: undefined on LA_TABLE_MISS. */
la_table_e la_table_get(const la_table_t *table, const unsigned char *key, apr_time_t now_us,
                        la_table_room_fn *room, void *context, la_table_entry_t *entry);

/* Whether to store a value after all. */
typedef int la_table_keep_fn(const void *context);

typedef struct la_table_guard_t {
    la_table_keep_fn *keep;
    const void *context;
} la_table_guard_t;

/* Stores a value under `key` and replaces the old one. Makes room in the key's part of the table by
 * dropping expired entries, then the least recently used. Whether it succeeds or not, readers do
 * not find the old value afterwards.
 *
 * meta: its stored_us is the time now.
 * guard: asked when the store has begun, so that either it sees what a sweep's caller changed
 * before the sweep, or the sweep finds the store, even if this process dies or stops. NULL says
 * yes. Returns APR_SUCCESS, APR_ENOSPC when the value is too large, APR_TIMEUP when another writer
 * held the lock for LA_TABLE_LOCK_WAIT_US or this process has no id (holder.h), or APR_EGENERAL
 * when the guard said no, or a sweep or a removal met the store. */
apr_status_t la_table_put(const la_table_t *table, const unsigned char *key,
                          const la_table_meta_t *meta, la_slice_t value,
                          const la_table_guard_t *guard);

/* Drops the entry of `key`, and a store under way. Waits for nobody and cannot fail. Returns 1 if
 * there was an entry, else 0. */
int la_table_remove(const la_table_t *table, const unsigned char *key);

/* Drops all entries for which `drop` returns 1, and all stores under way: see la_table_put(). Waits
 * for nobody. Returns the number of entries. */
apr_size_t la_table_sweep(const la_table_t *table, la_table_drop_fn *drop, void *context);

/* Counts. Reads the index from end to end: a millisecond at a million entries. */
void la_table_stats(const la_table_t *table, la_table_stats_t *stats);

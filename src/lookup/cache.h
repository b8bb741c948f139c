/* The cache of verdicts: what a provider said of a token, kept in shared memory for all processes.
 * Acceptances and rejections live in tables of their own, so that no flood of invalid tokens evicts
 * a valid identity.
 *
 * Life cycle: the parent formats the bytes before it forks; each child attaches. The secret lives
 * in process memory only, so that what is in the shared bytes tells nothing of a token. All calls
 * but la_cache_format() may run in any number of threads and processes at once.
 */
#ifndef LA_CACHE_H
#define LA_CACHE_H

#include "access/identity.h"
#include "lookup/purge.h"
#include "shm/purge_log.h"
#include "base/slice.h"
#include "shm/table.h"
#include "base/digest.h"

/* Bytes of the secret under which keys are made. */
#define LA_CACHE_SECRET_BYTES 32

typedef struct la_cache_t la_cache_t;

typedef struct la_cache_key_t {
    unsigned char bytes[LA_TABLE_KEY_BYTES];
} la_cache_key_t;

typedef enum la_cache_e {
    LA_CACHE_MISS,
    LA_CACHE_HIT,      /* an acceptance in force */
    LA_CACHE_NEGATIVE, /* a rejection in force */
    LA_CACHE_STALE     /* an acceptance past its time, for use while the provider is unavailable */
} la_cache_e;

/* What was found. All in the look-up's pool. */
typedef struct la_cache_found_t {
    const la_identity_t *identity; /* hit and stale */
    const char *message;           /* negative: what la_cache_reject() was given */
} la_cache_found_t;

/* How long an acceptance holds. Times in microseconds; an end of 0 is no end. */
typedef struct la_cache_times_t {
    apr_interval_time_t ttl_us;   /* fresh for */
    apr_interval_time_t stale_us; /* and then for use in an outage */
    apr_time_t end;               /* neither beyond this */
} la_cache_times_t;

/* The least size that la_cache_format() takes. */
apr_size_t la_cache_bytes_min(void);

/* Makes an empty cache of `size` bytes.
 *
 * bytes: aligned to LA_TABLE_ALIGN, zero, as a new anonymous mapping is.
 * Returns APR_SUCCESS, APR_ENOSPC below la_cache_bytes_min(), or what la_table_format() returns.
 */
apr_status_t la_cache_format(void *bytes, apr_size_t size);

/* Says of a cache just made that this server had another one before: where that one was among the
 * purges of all machines (la_cache_position()), and that nothing which Redis had then is believed.
 */
void la_cache_succeed(void *bytes, la_purge_position_t known);
la_purge_position_t la_cache_position(const void *bytes);

/* Binds a cache just made to a Redis or to none, la_remote_place(): in the parent, so that no child
 * has to, which would drop what another child has stored already. */
void la_cache_bind(void *bytes, apr_uint64_t place);

/* Makes this process's handle.
 *
 * bytes, size: as formatted. secret: LA_CACHE_SECRET_BYTES, the same in all processes, never in the
 * bytes. life: of this server; must outlive the cache. cache: lives in `pool`; NULL on failure.
 * Returns APR_SUCCESS, what la_table_attach() returns, or APR_EGENERAL when libcrypto fails.
 */
apr_status_t la_cache_attach(void *bytes, apr_size_t size,
                             const unsigned char secret[LA_CACHE_SECRET_BYTES], la_holder_t *life,
                             apr_pool_t *pool, la_cache_t **cache);

/* Makes the key of a verdict: HMAC-SHA256 (RFC 2104) over the parts, each with its length. A part
 * with data NULL is absent, not empty. Returns APR_SUCCESS, or APR_EGENERAL when libcrypto fails;
 * there is no key then.
 */
apr_status_t la_cache_key(const la_cache_t *cache, const la_slice_t *parts, apr_size_t count,
                          la_cache_key_t *key);

/* Looks a verdict up: no lock, no system call, no JSON; the identity is one copy in `pool`.
 *
 * now: the clock's time, not the request's.
 * found: complete for what is returned.
 */
la_cache_e la_cache_get(const la_cache_t *cache, const la_cache_key_t *key, apr_time_t now,
                        apr_pool_t *pool, la_cache_found_t *found);

/* Whose verdict is to be kept, and since when it was asked for. */
typedef struct la_cache_asked_t {
    const unsigned char *digest; /* la_digest_sha256() of the token; borrowed */
    apr_uint64_t generation;     /* of purges, when the question was put */
    apr_time_t ends_us;          /* of la_clock_us(); 0: never */
} la_cache_asked_t;

/* To be called before the provider is asked: a purge from then on keeps the answer out of the
 * cache. So does the caller's `ends_us`, where it is set: an answer later than any can be comes
 * from a process that was stopped, and what others learned meanwhile is newer. */
la_cache_asked_t la_cache_asked(const la_cache_t *cache, const unsigned char *digest);

/* Keeps an acceptance, and forgets a rejection of the same key. One whose time is over before it
 * begins is not kept. Returns 1 when it is kept.
 */
int la_cache_accept(const la_cache_t *cache, const la_cache_key_t *key,
                    const la_cache_asked_t *asked, const la_identity_t *identity,
                    const la_cache_times_t *times, apr_time_t now);

/* Keeps a rejection for ttl_us (0: not at all), and forgets an acceptance of the same key in any
 * case. */
void la_cache_reject(const la_cache_t *cache, const la_cache_key_t *key,
                     const la_cache_asked_t *asked, const char *message, apr_interval_time_t ttl_us,
                     apr_time_t now);

/* Drops the entries that the purge names, and sees to it that no verdict asked for before is kept
 * any more. Returns how many there were. */
apr_size_t la_cache_purge(const la_cache_t *cache, const la_purge_t *purge);

/* The log of purges. */
la_purge_log_t *la_cache_purges(const la_cache_t *cache);

/* The tables behind it: for status and tests. */
const la_table_t *la_cache_accepted(const la_cache_t *cache);
const la_table_t *la_cache_rejected(const la_cache_t *cache);

#endif

/* The cache of verdicts: what a provider said of a token, in shared memory for all processes.
 * Acceptances and rejections have a table each, so that a flood of invalid tokens evicts no valid
 * identity.
 *
 * Life cycle: the parent formats the bytes before it forks; each child attaches. The secret is in
 * process memory only, so that the shared bytes tell nothing of a token. All functions except
 * la_cache_format(), la_cache_succeed() and la_cache_bind() may run in any thread of any process.
 */
#pragma once

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
    LA_CACHE_HIT,      /* an acceptance that is fresh */
    LA_CACHE_NEGATIVE, /* a rejection that is fresh */
    LA_CACHE_STALE     /* an acceptance past its TTL, for use while the provider is unavailable */
} la_cache_e;

/* What was found. All in the look-up's pool. */
typedef struct la_cache_found_t {
    const la_identity_t *identity; /* hit and stale */
    const char *message;           /* negative: what la_cache_reject() was given */
} la_cache_found_t;

/* How long an acceptance is used. An end of 0 is no end. */
typedef struct la_cache_times_t {
    apr_interval_time_t ttl_us;   /* how long it is fresh */
    apr_interval_time_t stale_us; /* how long after that it serves in an outage */
    apr_time_t end;               /* neither lasts longer than this */
} la_cache_times_t;

/* Returns now + span, at most `end` (0: no end) and at most what 64 bits hold. */
apr_time_t la_cache_until(apr_time_t now, apr_interval_time_t span, apr_time_t end);

/* The least size that la_cache_format() takes. */
apr_size_t la_cache_bytes_min(void);

/* Makes an empty cache of `size` bytes. bytes: aligned to LA_TABLE_ALIGN, zero, as a new anonymous
 * mapping is. Returns APR_SUCCESS, APR_ENOSPC below la_cache_bytes_min(), or what la_table_format()
 * returns. */
apr_status_t la_cache_format(void *bytes, apr_size_t size);

/* Tells a cache just made which position among the purges of all machines the server's cache before
 * it had (la_cache_position()), and that nothing that Redis has now may be used. */
void la_cache_succeed(void *bytes, la_purge_position_t known);
la_purge_position_t la_cache_position(const void *bytes);

/* Binds a cache just made to a Redis or to none, la_remote_place(): in the parent, so that no child
 * has to, which would drop what another child has stored already. */
void la_cache_bind(void *bytes, apr_uint64_t place);

/* Makes this process's handle. bytes, size: as formatted. secret: LA_CACHE_SECRET_BYTES, the same
 * in all processes, never in the bytes. life: of this server; must outlive the cache. cache: lives
 * in `pool`; NULL on failure. Returns APR_SUCCESS, what la_table_attach() returns, or APR_EGENERAL
 * when libcrypto fails. */
apr_status_t la_cache_attach(void *bytes, apr_size_t size,
                             const unsigned char secret[LA_CACHE_SECRET_BYTES], la_holder_t *life,
                             apr_pool_t *pool, la_cache_t **cache);

/* Makes the key of a verdict: HMAC-SHA256 (RFC 2104) over the parts, each with its length. A part
 * with data NULL is absent, not empty. Returns APR_SUCCESS, or APR_EGENERAL when libcrypto fails;
 * there is no key then. */
apr_status_t la_cache_key(const la_cache_t *cache, const la_slice_t *parts, apr_size_t count,
                          la_cache_key_t *key);

/* Looks a verdict up: no lock, no system call, no JSON; the identity is one copy in `pool`. now:
 * the clock's time, not the request's. found: complete for what is returned. */
la_cache_e la_cache_get(const la_cache_t *cache, const la_cache_key_t *key, apr_time_t now,
                        apr_pool_t *pool, la_cache_found_t *found);

/* For which token the provider is asked, and since when. */
typedef struct la_cache_asked_t {
    const unsigned char *digest; /* la_digest_sha256() of the token; borrowed */
    apr_uint64_t generation;     /* of purges, when the provider was asked */
    apr_time_t ends_us;          /* of la_clock_us(); 0: never */
} la_cache_asked_t;

/* Call it before the provider is asked: if a purge follows, the answer is not kept. Nor is an
 * answer after `ends_us`, which the caller may set to the latest time of an answer: then this
 * process was stopped meanwhile, and what others learned is newer. */
la_cache_asked_t la_cache_asked(const la_cache_t *cache, const unsigned char *digest);

/* Keeps an acceptance unless it has expired, and removes a rejection of the same key. Returns 1
 * when it is kept. */
int la_cache_accept(const la_cache_t *cache, const la_cache_key_t *key,
                    const la_cache_asked_t *asked, const la_identity_t *identity,
                    const la_cache_times_t *times, apr_time_t now);

/* Keeps a rejection for ttl_us (0: not at all), and removes an acceptance of the same key in any
 * case. */
void la_cache_reject(const la_cache_t *cache, const la_cache_key_t *key,
                     const la_cache_asked_t *asked, const char *message, apr_interval_time_t ttl_us,
                     apr_time_t now);

/* Drops the entries that the purge names; no verdict asked for before it is kept afterwards.
 * Returns how many entries there were. */
apr_size_t la_cache_purge(const la_cache_t *cache, const la_purge_t *purge);

/* The log of purges. */
la_purge_log_t *la_cache_purges(const la_cache_t *cache);

/* The tables: for status and tests. */
const la_table_t *la_cache_accepted(const la_cache_t *cache);
const la_table_t *la_cache_rejected(const la_cache_t *cache);

/* The second-level cache: acceptances that several machines share through Redis, and the purges that reach all of them.
 *
 * What lies there is sealed (core/seal.h) and bound to its name; a name says nothing of the token it stands for. Nothing
 * depends on it: what cannot be read, in time or at all, is a miss.
 *
 * In Redis, each with the configured prefix in front:
 *   e:NAME    an acceptance, sealed, until its time is over
 *   epoch     how many purges there were
 *   purge:N   the purge of that number, sealed, for a week
 */
#ifndef LA_SECOND_H
#define LA_SECOND_H

#include "core/cache.h"
#include "core/gate.h"
#include "core/seal.h"
#include "core/stats.h"
#include "provider/redis.h"

/* Secrets that can be in force at once: the one that writes, and an older one that still reads. */
#define LA_SECOND_SECRETS 2

/* As it is configured. */
typedef struct la_second_options_t {
    la_redis_options_t redis;
    la_secret_t *secrets[LA_SECOND_SECRETS];
    int secret_count;
} la_second_options_t;

/* What the processes share, for it. */
typedef struct la_second_shared_t {
    const la_cache_t *cache;
    la_gates_t *gates;
    apr_uint32_t gate; /* its own */
    la_stats_t *stats;
    apr_uint32_t stats_index; /* its own */
} la_second_shared_t;

/* What is counted: la_stats_lookup()'s source, with verdict 0. */
typedef enum la_second_e {
    LA_SECOND_HIT,
    LA_SECOND_MISS,
    LA_SECOND_PURGED,
    LA_SECOND_UNREADABLE,
    LA_SECOND_UNAVAILABLE,
    LA_SECOND_SKIPPED, /* its breaker is open */
    LA_SECOND_STORED,
    LA_SECOND_STORE_FAILED
} la_second_e;

typedef struct la_second_t la_second_t;

/* One question, and what is needed to store the provider's answer to it. */
typedef struct la_second_asked_t {
    char name[LA_SEAL_NAME_LEN + 1]; /* under the secret that writes */
    apr_uint64_t number;             /* of the last purge when it was asked */
    int usable;                      /* it answered: the provider's verdict may be stored */
} la_second_asked_t;

/* An acceptance found. In the look-up's pool. */
typedef struct la_second_found_t {
    const la_identity_t *identity;
    apr_time_t fresh_until;
    apr_time_t stale_until;
} la_second_found_t;

/* Adds a secret from its notation (file:PATH).
 *
 * Returns NULL, or what is wrong: unreadable, or shorter than LA_SEAL_SECRET_MIN characters.
 */
const char *la_second_secret(apr_pool_t *pool, const char *spec, la_second_options_t *options);

/* The longest that la_second_get() or la_second_put() takes. */
apr_interval_time_t la_second_budget(const la_second_options_t *options);

/* The same for a handle. */
apr_interval_time_t la_second_longest(const la_second_t *second);

/* How long and how often its breaker lets it be asked: for la_gate_read(). */
la_gate_terms_t la_second_terms(const la_second_options_t *options);

/* Makes this process's handle. Returns APR_SUCCESS or what failed. */
apr_status_t la_second_make(apr_pool_t *pool, const la_second_options_t *options,
                            const la_second_shared_t *shared, int connections,
                            la_second_t **second);

/* Asks for an acceptance.
 *
 * parts: what the verdict depends on; fingerprint of the provider's definition first, then the token's digest, then the
 * fields of the cache's key. digest: the token's.
 * Returns 1 when there is one in force; found is complete then. asked: for la_second_put().
 */
int la_second_get(la_second_t *second, const la_slice_t *parts, apr_size_t count,
                  const unsigned char *digest, apr_time_t now, apr_pool_t *pool,
                  la_second_asked_t *asked, la_second_found_t *found);

/* Stores an acceptance; does nothing unless asked->usable and it is in force for a while. */
void la_second_put(la_second_t *second, const la_second_asked_t *asked,
                   const la_identity_t *identity, const la_cache_times_t *times, apr_time_t now,
                   apr_pool_t *pool);

/* Tells all machines of a purge. Returns NULL, or why they could not be told. */
const char *la_second_purge(la_second_t *second, la_slice_t purge, apr_pool_t *pool);

/* Asks for purges by other machines and carries them out, at most once a second for all processes; once a second also
 * looks the server's name up again while it does not answer. From mod_watchdog's thread. */
void la_second_tick(la_second_t *second, apr_time_t now, apr_pool_t *scratch);

/* The name of a count, as status page and metrics have it. */
const char *la_second_name(la_second_e event);

#endif

/* The second-level cache: acceptances that several machines share through Redis, and the purges
 * that reach all of them.
 *
 * Entries are sealed (lookup/seal.h) and bound to their names; a name tells nothing of its token.
 * What cannot be read, or not in time, is a miss.
 *
 * In Redis, each with the configured prefix in front:
 *   e:NAME    an acceptance, sealed, until its time is over
 *   era       the era of purges, and the server process, database and prefix it is bound to
 *   epoch     the number of purges in that era, from 1
 */
#pragma once

#include "lookup/remote_options.h"
#include "lookup/seal.h"

/* What is needed to store the provider's answer after Redis was asked. */
typedef struct la_remote_asked_t {
    char name[LA_SEAL_NAME_LEN + 1]; /* under the secret that writes */
    la_purge_position_t position;    /* of Redis and of this machine when it was asked */
    int answered;                    /* by Redis */
    int usable;                      /* both were at the same position: it may be stored */
} la_remote_asked_t;

/* An acceptance found. In the look-up's pool. */
typedef struct la_remote_found_t {
    const la_identity_t *identity;
    apr_time_t fresh_until;
    apr_time_t stale_until;
} la_remote_found_t;

/* Asks for an acceptance. parts: la_cache_key_parts(). since: renewed if the answer brought news of
 * a purge, so that what is found can be kept. asked: for la_remote_put(). Returns 1 when there is
 * one that has not expired; found is complete then. */
int la_remote_get(la_remote_t *remote, const la_slice_t *parts, apr_size_t count, apr_pool_t *pool,
                  la_cache_asked_t *since, la_remote_asked_t *asked, la_remote_found_t *found);

/* Stores an acceptance, unless it has expired, is too large for la_cache_accept(), or Redis did not
 * answer before. */
void la_remote_put(la_remote_t *remote, const la_remote_asked_t *asked,
                   const la_identity_t *identity, const la_cache_times_t *times, apr_time_t now,
                   apr_pool_t *pool);

/* Returns what stands for that Redis, its database and prefix in la_purge_bind(). options: NULL for
 * none. */
apr_uint64_t la_remote_place(const la_remote_options_t *options, apr_pool_t *pool);

/* Binds this machine's position among the purges to that Redis, or to none (NULL). Each child calls
 * it before any of the functions below. If the position was bound to another Redis, database or
 * prefix, everything cached is dropped, here and there. */
void la_remote_bind(const la_cache_t *cache, la_remote_t *remote, apr_pool_t *pool);

/* Tells all machines of a purge; they drop everything that they have. Carries out here what other
 * machines told meanwhile. Returns NULL, or why they could not be told; until they can be, nothing
 * from Redis is used here. */
const char *la_remote_purge(la_remote_t *remote, const la_purge_t *purge, apr_pool_t *pool);

/* Asks for purges by other machines and carries them out, at most once a second for all processes.
 * From a thread of mod_watchdog that does nothing else. */
void la_remote_tick(la_remote_t *remote, apr_time_t now, apr_pool_t *scratch);

/* Looks the server's name up again if it did not answer the last tick, or asks its sentinels who
 * the master is; may take as long as the resolver and all sentinels. From a thread of mod_watchdog
 * that does nothing else. */
void la_remote_watch(la_remote_t *remote, apr_pool_t *scratch);

/* The name of a count, as status page and metrics have it. */
const char *la_remote_name(la_remote_e event);

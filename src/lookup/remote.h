/* The second-level cache: acceptances that several machines share through Redis, and the purges
 * that reach all of them.
 *
 * What lies there is sealed (lookup/seal.h) and bound to its name; a name says nothing of the token
 * it stands for. Nothing depends on it: what cannot be read, in time or at all, is a miss.
 *
 * In Redis, each with the configured prefix in front:
 *   e:NAME    an acceptance, sealed, until its time is over
 *   era       a random name for the numbers of purges, and what it is bound to: server process,
 * database and prefix epoch     the number of purges in that era, from 1
 */
#ifndef LA_REMOTE_H
#define LA_REMOTE_H

#include "lookup/remote_options.h"
#include "lookup/seal.h"

/* One question, and what is needed to store the provider's answer to it. */
typedef struct la_remote_asked_t {
    char name[LA_SEAL_NAME_LEN + 1]; /* under the secret that writes */
    la_purge_position_t position;    /* of Redis and of this machine when it was asked */
    int answered;                    /* by Redis */
    int usable;                      /* they agreed: the provider's verdict may be stored */
} la_remote_asked_t;

/* An acceptance found. In the look-up's pool. */
typedef struct la_remote_found_t {
    const la_identity_t *identity;
    apr_time_t fresh_until;
    apr_time_t stale_until;
} la_remote_found_t;

/* Asks for an acceptance.
 *
 * parts: what the verdict depends on; fingerprint of the provider's definition first, then the
 * token's digest, then the fields of the cache's key. since: of the token; taken again, so that
 * what is found can be kept although news of a purge came with it. Returns 1 when there is one in
 * force; found is complete then. asked: for la_remote_put().
 */
int la_remote_get(la_remote_t *remote, const la_slice_t *parts, apr_size_t count, apr_pool_t *pool,
                  la_cache_asked_t *since, la_remote_asked_t *asked, la_remote_found_t *found);

/* Stores an acceptance, unless its time is over, it is larger than a cache takes, or Redis did not
 * answer before. */
void la_remote_put(la_remote_t *remote, const la_remote_asked_t *asked,
                   const la_identity_t *identity, const la_cache_times_t *times, apr_time_t now,
                   apr_pool_t *pool);

/* Returns what stands for that Redis, its database and prefix in la_purge_bind(). options: NULL for
 * none. */
apr_uint64_t la_remote_place(const la_remote_options_t *options, apr_pool_t *pool);

/* Binds this machine's position among the purges to that Redis, or to none (NULL); in each child,
 * before any of the calls below. If it was bound to another Redis, database or prefix, everything
 * cached is dropped, here and there.
 */
void la_remote_bind(const la_cache_t *cache, la_remote_t *remote, apr_pool_t *pool);

/* Tells all machines of a purge, and carries out here what came in meanwhile. The others drop
 * everything that they have.
 *
 * Returns NULL, or why they could not be told. Nothing that Redis has is believed here then, until
 * it can be told.
 */
const char *la_remote_purge(la_remote_t *remote, const la_purge_t *purge, apr_pool_t *pool);

/* Asks for purges by other machines and carries them out, at most once a second for all processes.
 * From a thread of mod_watchdog that does nothing else. */
void la_remote_tick(la_remote_t *remote, apr_time_t now, apr_pool_t *scratch);

/* Looks the server's name up again if it did not answer the last tick; may take as long as the
 * resolver does. From a thread of mod_watchdog that does nothing else. */
void la_remote_resolve(la_remote_t *remote);

/* The name of a count, as status page and metrics have it. */
const char *la_remote_name(la_remote_e event);

#endif

/* How the second-level cache's parts reach Redis and their keys: remote.c (entries) and
 * remote_purges.c share it. */
#ifndef LA_REMOTE_LINK_H
#define LA_REMOTE_LINK_H

#include "lookup/remote_options.h"
#include "lookup/seal.h"

#include <stdatomic.h>

/* Matters that are logged once, for la_counters_first(). */
enum { LA_REMOTE_TOLD_UNREADABLE, LA_REMOTE_TOLD_FORGOTTEN };

struct la_remote_t {
    const la_remote_options_t *options;
    la_remote_shared_t shared;
    la_redis_t *redis;
    apr_uint64_t place;            /* what la_remote_bind() bound this machine's position to */
    _Atomic apr_time_t refused_at; /* when Redis last took no new era */
    atomic_int
        lost; /* when it was last asked for purges, it did not answer or was not to be believed */
};

/* Counts an event. */
void la_remote_count(const la_remote_t *remote, la_remote_e event);

/* Keeps the reason as the last error. */
void la_remote_note_error(const la_remote_t *remote, const char *reason);

/* How a command goes through the breaker. */
enum {
    LA_REMOTE_WRITES = 0,
    LA_REMOTE_READS =
        1, /* an error as its answer is an outage; a full server refuses writes only */
    LA_REMOTE_ANYWAY = 2 /* it is sent when the breaker is open, too, and not counted then */
};

/* One command through the breaker. */
la_redis_e la_remote_command(la_remote_t *remote, apr_size_t count, const la_slice_t *words,
                             int how, apr_pool_t *pool, la_redis_answer_t *answer);

/* Copies the keys of secret `i`, as its file has them now. To be cleansed after use. */
void la_remote_keys(const la_remote_t *remote, int i, la_seal_keys_t *keys);

/* A name in Redis: the prefix, a kind and a name, in `pool`. */
la_slice_t la_remote_word(const la_remote_t *remote, apr_pool_t *pool, const char *kind,
                          const char *name);

/* Agrees with Redis on a position, once it has answered.
 *
 * least: what was known here before it was asked, or the position that a purge must bring.
 * words: its `era` and `epoch`. server: of the answer.
 * insist: 0 does not try to mend what is lost when that failed less than a second ago.
 * position: of Redis. Every purge up to it is carried out here when 1 is returned; unless it is
 * then still the one known here, nothing of that answer can be believed. Returns 1, or 0 when Redis
 * is not to be believed.
 */
int la_remote_settle(la_remote_t *remote, la_purge_position_t least, const la_redis_answer_t *words,
                     const char *server, int insist, apr_pool_t *pool,
                     la_purge_position_t *position);

/* The position that is known here: to be asked for before Redis is. */
la_purge_position_t la_remote_known(const la_remote_t *remote);

/* Whether this machine's position is that of this Redis: not so in a child of an earlier
 * configuration. */
int la_remote_is_bound(const la_remote_t *remote);

#endif

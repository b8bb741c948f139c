/* How remote.c (entries), remote_purges.c and proofs.c reach Redis and their keys. */
#pragma once

#include "lookup/remote_options.h"
#include "lookup/seal.h"

#include <stdatomic.h>

/* Matters that are logged once, for la_counters_first(). */
enum { LA_REMOTE_TOLD_UNREADABLE, LA_REMOTE_TOLD_FORGOTTEN };

struct la_remote_t {
    const la_remote_options_t *options;
    la_remote_shared_t shared;
    la_redis_t *redis;
    uint64_t place;                /* la_remote_place() of this Redis */
    _Atomic apr_time_t refused_at; /* when Redis last refused to begin a new era */
    atomic_int lost; /* 1: Redis did not answer the last tick, or its answer could not be used */
};

/* Counts an event. */
void la_remote_count(const la_remote_t *remote, la_remote_e event);

/* Keeps the reason as the last error. */
void la_remote_note_error(const la_remote_t *remote, const char *reason);

/* How a command goes through the breaker. */
enum {
    LA_REMOTE_WRITES = 0,
    LA_REMOTE_READS =
        1, /* an error as the answer counts as an outage; a full server refuses writes only */
    LA_REMOTE_ANYWAY = 2 /* also sent while the breaker is open, and not counted then */
};

/* Sends one command through the breaker. how: a sum of the flags above. */
la_redis_e la_remote_command(la_remote_t *remote, apr_size_t count, const la_slice_t *words,
                             int how, apr_pool_t *pool, la_redis_answer_t *answer);

/* Copies the keys of secret `i`, as its file has them now. To be cleansed after use. */
void la_remote_keys(const la_remote_t *remote, int i, la_seal_keys_t *keys);

/* Makes a name in Redis of the prefix, a kind and a name, in `pool`. */
la_slice_t la_remote_word(const la_remote_t *remote, apr_pool_t *pool, const char *kind,
                          const char *name);

/* Agrees with Redis on a position after it has answered; begins a new era if its words are lost or
 * too old.
 *
 * least: the position known here before Redis was asked, or the one that a purge must lead to.
 * words: its `era` and `epoch`. server: of the answer.
 * insist: 0 does not try to begin a new era if Redis refused one less than a second ago.
 * position: of Redis. The answer may be used only if this is still la_remote_known() afterwards.
 * Returns 1 when every purge up to the position was carried out here, or 0 when nothing from Redis
 * may be used. */
int la_remote_settle(la_remote_t *remote, la_purge_position_t least, const la_redis_answer_t *words,
                     const char *server, int insist, apr_pool_t *pool,
                     la_purge_position_t *position);

/* Returns the position known here. Call it before asking Redis. */
la_purge_position_t la_remote_known(const la_remote_t *remote);

/* Returns 1 when this machine's position belongs to this Redis; 0 in a child of an earlier
 * configuration. */
int la_remote_is_bound(const la_remote_t *remote);

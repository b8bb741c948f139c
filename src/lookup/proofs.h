/* Remembers proofs of possession (RFC 9449 section 11.1), so that each is accepted once: by the
 * memory of this machine (shm/replay.h), then, where LlamaAuthCacheShared is configured, by the
 * Redis of all machines.
 *
 * In Redis, with the configured prefix in front, for as long as any machine could accept the proof:
 *   p:NAME    a random number; NAME is an HMAC of the proof's digest
 */
#pragma once

#include "lookup/lookup.h"
#include "shm/replay.h"

/* Remembers one proof by one atomic step; where Redis does not answer, by this machine alone. Any
 * thread. Counts it, and logs what an administrator has to know.
 *
 * proof: its digest is of the key's thumbprint and `jti`, each with its length; it ends when no
 * check would accept it any more; its owner is the caller. now: apr_time_now().
 */
la_replay_e la_proofs_remember(const la_shared_t *shared, const la_replay_item_t *proof,
                               apr_time_t now, apr_pool_t *pool);

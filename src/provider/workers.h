/* How many of the server's workers may wait at once.
 *
 * A request that calls a provider, or waits for anything (a permit, another request's call, a key
 * set, Redis), holds one place meanwhile. All processes together have as many places as half of the
 * workers, at least one. The other half serves callers who are known.
 *
 * Half of the workers may be all threads of some processes, and a known caller's connection belongs
 * to one process. So a process of many threads keeps one of them free. */
#pragma once

#include "shm/gate.h"

/* The gate that counts the places. */
#define LA_WORKERS_GATE 0

/* One process's view. */
typedef struct la_workers_t la_workers_t;

la_workers_t *la_workers_make(la_gates_t *gates, apr_pool_t *pool);

/* Takes a place. Never waits. longest_us: how long the request may keep it; then a process that was
 * stopped loses it. place: for la_workers_leave(). Returns 1, or 0 if none is left. */
int la_workers_enter(la_workers_t *workers, apr_interval_time_t longest_us,
                     la_gate_permit_t *place);

/* Gives a place back, once. */
void la_workers_leave(la_workers_t *workers, const la_gate_permit_t *place);

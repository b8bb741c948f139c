/* The server's workers, and how many of them may wait at once.
 *
 * A request that calls a provider, or waits for whatever reason (a permit, another request's call,
 * a key set, Redis), holds a place meanwhile: one, however many things it waits for. All processes
 * together have as many places as half of the workers, at least one. The other half serves callers
 * who are known.
 *
 * Half of the workers may be all threads of some processes, and the connection of a known caller
 * that is kept alive belongs to one process. So a process of many threads keeps one for known
 * callers.
 */
#ifndef LA_WORKERS_H
#define LA_WORKERS_H

#include "shm/gate.h"

/* Which of the server's gates has the places. */
#define LA_WORKERS_GATE 0

/* As one process sees it; any of its threads. */
typedef struct la_workers_t la_workers_t;

/* Makes this process's view, in `pool`. */
la_workers_t *la_workers_make(la_gates_t *gates, apr_pool_t *pool);

/* Takes a place. Never waits.
 *
 * longest_us: how long the request may keep it; a process that is stopped loses it then.
 * place: for la_workers_leave(). Returns 1, or 0 when there is none left.
 */
int la_workers_enter(la_workers_t *workers, apr_interval_time_t longest_us,
                     la_gate_permit_t *place);

/* Gives back a place that was taken. Once. */
void la_workers_leave(la_workers_t *workers, const la_gate_permit_t *place);

#endif

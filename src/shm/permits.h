/* Permits for requests in flight, of many names, in one array of places (holder.h): a process that
 * is killed gives up what it held.
 *
 * Life cycle: zeroed memory is an array of free places. One handle for all threads of a process.
 */
#ifndef LA_PERMITS_H
#define LA_PERMITS_H

#include "shm/holder.h"

typedef struct la_permits_t {
    la_place_t *places;
    uint32_t count;
    la_holder_t *life;
} la_permits_t;

typedef enum la_permits_e {
    LA_PERMITS_FULL, /* zero: no place is free for anybody */
    LA_PERMITS_REFUSED,
    LA_PERMITS_TAKEN
} la_permits_e;

/* Takes a permit if fewer than `limit` of that name are taken. Two that ask for the last one at the
 * same time may both be refused.
 *
 * name: a hash of the name, not 0. index: for la_permits_leave().
 */
la_permits_e la_permits_take(const la_permits_t *permits, uint32_t name, uint64_t limit,
                             uint32_t *index);

/* Gives a permit back; does nothing a second time. */
void la_permits_leave(const la_permits_t *permits, uint32_t name, uint32_t index);

/* How many of that name are taken. */
uint32_t la_permits_count(const la_permits_t *permits, uint32_t name);

#endif

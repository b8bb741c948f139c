/* Permits: first a place is taken, then those of the same name are counted. Whoever finds more than
 * the limit leaves again. Both are sequentially consistent, so of those who hold a place the last
 * to take one counted all others: never more than the limit stay.
 *
 * Called by requests, on any thread.
 */
#include "shm/permits.h"

la_permits_e la_permits_take(const la_permits_t *permits, uint32_t name, uint64_t limit,
                             uint32_t *index)
{
    if (!la_place_take(permits->life, permits->places, permits->count, name, index)) {
        return LA_PERMITS_FULL;
    }
    if (la_permits_count(permits, name) <= limit) {
        return LA_PERMITS_TAKEN;
    }
    la_place_sweep(permits->life, permits->places, permits->count);
    if (la_permits_count(permits, name) <= limit) {
        return LA_PERMITS_TAKEN;
    }
    la_permits_leave(permits, name, *index);
    return LA_PERMITS_REFUSED;
}

void la_permits_leave(const la_permits_t *permits, uint32_t name, uint32_t index)
{
    la_place_leave(permits->life, &permits->places[index], name);
}

uint32_t la_permits_count(const la_permits_t *permits, uint32_t name)
{
    uint32_t taken = 0;

    for (uint32_t i = 0; i < permits->count; i++) {
        uint64_t seen = atomic_load(&permits->places[i]);

        taken += seen != 0 && (uint32_t)seen == name;
    }
    return taken;
}

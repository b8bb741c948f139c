/* A name stays at the first free place after its own; nothing is ever removed. */
#include "shm/tally.h"

#include <stdatomic.h>

#define NOT_FOUND LA_TALLY_NAMES

/* Finds the name's place. is_wanted: takes a free one for it. */
static unsigned find(la_tally_t *tally, uint64_t name, int is_wanted)
{
    for (unsigned i = 0; i < LA_TALLY_NAMES; i++) {
        unsigned at = (unsigned)((name + i) % LA_TALLY_NAMES);
        uint64_t seen = atomic_load(&tally->names[at]);

        if (seen == 0 &&
            (!is_wanted || atomic_compare_exchange_strong(&tally->names[at], &seen, name))) {
            return is_wanted ? at : NOT_FOUND;
        }
        if (seen == name) {
            return at;
        }
    }
    return NOT_FOUND;
}

void la_tally_add(la_tally_t *tally, uint64_t name)
{
    unsigned at = find(tally, name, 1);

    if (at != NOT_FOUND) {
        atomic_fetch_add_explicit(&tally->counts[at], 1, memory_order_relaxed);
    }
}

uint64_t la_tally_get(const la_tally_t *tally, uint64_t name)
{
    unsigned at = find((la_tally_t *)(uintptr_t)tally, name, 0);

    return at == NOT_FOUND ? 0 : atomic_load_explicit(&tally->counts[at], memory_order_relaxed);
}

/* Permits: first a place is taken, then those of the same name are counted. Whoever finds more than
 * the limit leaves again. Both are sequentially consistent, so of those who hold a place the last
 * to take one counted all others: never more than the limit stay. Any thread. */
#include "shm/permits.h"

#include <string.h>

_Static_assert(sizeof(la_permit_label_t) == 64, "a label is a line");

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

void la_permits_label(const la_permits_t *permits, uint32_t index, const la_permit_entry_t *entry)
{
    la_permit_label_t *label = &permits->labels[index];
    uint64_t words[LA_PERMIT_NAME_BYTES / 8] = {0};

    memcpy(words, entry->name, strlen(entry->name));
    atomic_store(&label->mark, 0);
    atomic_store(&label->kind, entry->kind);
    atomic_store(&label->limit, entry->limit);
    for (unsigned i = 0; i < LA_PERMIT_NAME_BYTES / 8; i++) {
        atomic_store(&label->name[i], words[i]);
    }
    atomic_store(&label->mark, entry->mark);
}

int la_permits_read(const la_permits_t *permits, uint32_t index, la_permit_entry_t *entry)
{
    const la_permit_label_t *label = &permits->labels[index];
    uint64_t place = atomic_load(&permits->places[index]);
    uint64_t words[LA_PERMIT_NAME_BYTES / 8];

    if (place == 0 || atomic_load(&label->mark) != (uint32_t)place) {
        return 0;
    }
    entry->mark = (uint32_t)place;
    entry->kind = atomic_load(&label->kind);
    entry->limit = atomic_load(&label->limit);
    for (unsigned i = 0; i < LA_PERMIT_NAME_BYTES / 8; i++) {
        words[i] = atomic_load(&label->name[i]);
    }
    memcpy(entry->name, words, sizeof(words));
    entry->name[LA_PERMIT_NAME_BYTES] = '\0';
    return atomic_load(&label->mark) == (uint32_t)place &&
           atomic_load(&permits->places[index]) == place;
}

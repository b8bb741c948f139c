/* Checks the invariants of single flight's layout, on a structure that nobody uses at the moment;
 * it may have been left by processes that were killed anywhere. Included after shm/flight.c.
 */
#ifndef LA_FLIGHT_VALIDATE_H
#define LA_FLIGHT_VALIDATE_H

typedef const char *check_fn(const la_flight_t *flight, uint32_t index);

static inline const char *check_lead(const la_flight_t *flight, uint32_t index)
{
    const slot_t *slot = &flight->slots[index];

    return slot->leader != 0 && slot->lead == 0 ? "a slot is led that was never claimed" : NULL;
}

static inline const char *check_key(const la_flight_t *flight, uint32_t index)
{
    const slot_t *slot = &flight->slots[index];
    uint32_t group = index / LA_FLIGHT_WAYS;
    uint32_t end = (group + 1) * LA_FLIGHT_WAYS;

    if (slot->leader == 0) {
        return NULL;
    }
    if (slot->key[0] % flight->group_count != group) {
        return "a key is in the wrong group";
    }
    for (uint32_t i = index + 1; i < end; i++) {
        const slot_t *other = &flight->slots[i];

        if (other->leader != 0 && memcmp(other->key, slot->key, sizeof(slot->key)) == 0) {
            return "a key is in flight twice";
        }
    }
    return NULL;
}

static inline const char *check_outcome(const la_flight_t *flight, uint32_t index)
{
    const slot_t *slot = &flight->slots[index];
    la_flight_outcome_t outcome;

    if (slot->sum == 0) {
        return NULL;
    }
    if (slot->leader != 0) {
        return "a flight under way has an outcome";
    }
    if (slot->sum != sum_of(slot->lead, slot->key, slot->outcome)) {
        return "an outcome does not fit its sum";
    }
    memcpy(&outcome, slot->outcome, sizeof(outcome));
    return outcome.len <= LA_FLIGHT_TEXT_BYTES || outcome.len == FLIGHT_NOTHING
               ? NULL
               : "an outcome's text is too long";
}

/* The group of a lock that its holder did not release is half written, for its next holder to
 * reset. */
static inline const char *check_slot(const la_flight_t *flight, uint32_t index)
{
    const char *wrong = NULL;

    if (atomic_load(&flight->groups[index / LA_FLIGHT_WAYS].lock.holder) == 0) {
        wrong = check_lead(flight, index);
        wrong = wrong ? wrong : check_key(flight, index);
        wrong = wrong ? wrong : check_outcome(flight, index);
    }
    return wrong;
}

static inline const char *check_seat(const la_flight_t *flight, uint32_t index)
{
    uint64_t seat = atomic_load(&flight->seats[index]);
    uint32_t mark = (uint32_t)seat;

    return seat == 0 || (seat >> 32 != 0 && mark >= 1 && mark <= flight->slot_count)
               ? NULL
               : "a seat belongs to no slot or to nobody";
}

static inline const char *check_all(const la_flight_t *flight, check_fn *check, uint32_t count)
{
    const char *wrong = NULL;

    for (uint32_t i = 0; i < count && !wrong; i++) {
        wrong = check(flight, i);
    }
    return wrong;
}

/* Returns NULL, or the first invariant that does not hold, as a literal. */
static inline const char *la_flight_validate(const la_flight_t *flight)
{
    const char *wrong;

    if (flight->header->layout != FLIGHT_LAYOUT || flight->header->slots != flight->slot_count ||
        flight->header->seats != flight->seat_count) {
        return "the header is of another geometry";
    }
    wrong = check_all(flight, check_slot, flight->slot_count);
    return wrong ? wrong : check_all(flight, check_seat, flight->seat_count);
}

#endif

/* Checks the invariants of single flight's layout, on a structure that nobody uses at the moment;
 * it may have been left by processes that were killed anywhere. Included after shm/flight.c.
 */
#ifndef LA_FLIGHT_VALIDATE_H
#define LA_FLIGHT_VALIDATE_H

static inline const char *check_lead(const slot_t *slot)
{
    return slot->leader != 0 && slot->lead == 0 ? "a slot is led that was never claimed" : NULL;
}

static inline const char *check_key(const la_flight_t *flight, const group_t *group,
                                    const slot_t *slot)
{
    if (slot->leader == 0) {
        return NULL;
    }
    if (slot->key[0] % flight->group_count != (uint64_t)(group - flight->groups)) {
        return "a key is in the wrong group";
    }
    for (const slot_t *other = slot + 1; other < group->slots + LA_FLIGHT_WAYS; other++) {
        if (other->leader != 0 && memcmp(other->key, slot->key, sizeof(slot->key)) == 0) {
            return "a key is in flight twice";
        }
    }
    return NULL;
}

static inline const char *check_outcome(const slot_t *slot)
{
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
    return outcome.len <= LA_FLIGHT_TEXT_BYTES ? NULL : "an outcome's text is too long";
}

/* The group of a lock that its holder did not release is half written, for its next holder to
 * reset. */
static inline const char *check_group(const la_flight_t *flight, const group_t *group)
{
    const char *wrong = NULL;

    for (size_t i = 0; i < LA_FLIGHT_WAYS && !wrong && atomic_load(&group->lock.holder) == 0; i++) {
        wrong = check_lead(&group->slots[i]);
        wrong = wrong ? wrong : check_key(flight, group, &group->slots[i]);
        wrong = wrong ? wrong : check_outcome(&group->slots[i]);
    }
    return wrong;
}

/* Returns NULL, or the first invariant that does not hold, as a literal. */
static inline const char *la_flight_validate(const la_flight_t *flight)
{
    const char *wrong = NULL;

    if (flight->header->layout != FLIGHT_LAYOUT ||
        flight->header->slots != flight->group_count * LA_FLIGHT_WAYS) {
        return "the header is of another geometry";
    }
    for (uint32_t i = 0; i < flight->group_count && !wrong; i++) {
        wrong = check_group(flight, &flight->groups[i]);
    }
    return wrong;
}

#endif

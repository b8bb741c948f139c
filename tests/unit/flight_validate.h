/* Checks the invariants of single flight's layout, on a structure that nobody uses at the moment; it may have
 * been left by processes that were killed anywhere.
 */
#ifndef LA_FLIGHT_VALIDATE_H
#define LA_FLIGHT_VALIDATE_H

#include "core/flight_layout.h"

#include <string.h>

typedef const char *check_fn(const la_flight_t *flight, uint32_t index);

static inline int is_listed(const la_flight_t *flight, uint32_t index)
{
    return la_flight_listed(la_flight_load(&flight->groups[index / LA_FLIGHT_WAYS].list),
                            index % LA_FLIGHT_WAYS);
}

static inline int same_key(const la_flight_slot_t *one, const la_flight_slot_t *other)
{
    for (size_t i = 0; i < LA_FLIGHT_KEY_WORDS; i++) {
        if (la_flight_load(&one->key[i]) != la_flight_load(&other->key[i])) {
            return 0;
        }
    }
    return 1;
}

static inline const char *check_phase(const la_flight_t *flight, uint32_t index)
{
    uint64_t control = la_flight_load(&flight->slots[index].control);
    la_flight_phase_e phase = la_flight_phase(control);

    if (phase > LA_FLIGHT_DONE) {
        return "a slot is in no phase";
    }
    if ((phase == LA_FLIGHT_FREE) != (la_flight_leader(control) == 0)) {
        return "a slot in use has no leader, or a free one has";
    }
    if (is_listed(flight, index) && (phase == LA_FLIGHT_FREE || phase == LA_FLIGHT_CLAIMED)) {
        return "a slot is listed before its key is written";
    }
    return NULL;
}

static inline const char *check_key(const la_flight_t *flight, uint32_t index)
{
    const la_flight_slot_t *slot = &flight->slots[index];
    uint32_t group = index / LA_FLIGHT_WAYS;
    uint32_t end = (group + 1) * LA_FLIGHT_WAYS;

    if (!is_listed(flight, index) || !la_flight_joinable(la_flight_load(&slot->control))) {
        return NULL;
    }
    if (la_flight_load(&slot->key[0]) % flight->group_count != group) {
        return "a key is in the wrong group";
    }
    for (uint32_t other = index + 1; other < end; other++) {
        if (is_listed(flight, other) && same_key(slot, &flight->slots[other]) &&
            la_flight_joinable(la_flight_load(&flight->slots[other].control))) {
            return "a key is in flight twice";
        }
    }
    return NULL;
}

static inline const char *check_outcome(const la_flight_t *flight, uint32_t index)
{
    const la_flight_slot_t *slot = &flight->slots[index];
    uint64_t control = la_flight_load(&slot->control);
    uint64_t key[LA_FLIGHT_KEY_WORDS];
    uint64_t words[LA_FLIGHT_OUTCOME_WORDS];
    la_flight_outcome_t outcome;

    if (la_flight_phase(control) != LA_FLIGHT_DONE) {
        return NULL;
    }
    for (size_t i = 0; i < LA_FLIGHT_KEY_WORDS; i++) {
        key[i] = la_flight_load(&slot->key[i]);
    }
    for (size_t i = 0; i < LA_FLIGHT_OUTCOME_WORDS; i++) {
        words[i] = la_flight_load(&slot->outcome[i]);
    }
    if (la_flight_sum(control, key, words) != la_flight_load(&slot->sum)) {
        return "an outcome does not fit its sum";
    }
    memcpy(&outcome, words, sizeof(outcome));
    return outcome.len <= LA_FLIGHT_TEXT_BYTES || outcome.len == LA_FLIGHT_NOTHING
               ? NULL
               : "an outcome's text is too long";
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

    for (uint32_t i = 0; i < count && wrong == NULL; i++) {
        wrong = check(flight, i);
    }
    return wrong;
}

/* Returns NULL, or the first invariant that does not hold, as a literal. */
static inline const char *la_flight_validate(const la_flight_t *flight)
{
    check_fn *const checks[] = {check_phase, check_key, check_outcome};
    const char *wrong = NULL;

    if (la_flight_load(&flight->header->layout) != LA_FLIGHT_LAYOUT ||
        la_flight_load(&flight->header->slots) != flight->slot_count ||
        la_flight_load(&flight->header->seats) != flight->seat_count) {
        return "the header is of another geometry";
    }
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]) && wrong == NULL; i++) {
        wrong = check_all(flight, checks[i], flight->slot_count);
    }
    return wrong != NULL ? wrong : check_all(flight, check_seat, flight->seat_count);
}

#endif

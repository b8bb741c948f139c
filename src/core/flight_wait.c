/* Single flight: waiting for another's result, and taking over from a leader that is dead or late.
 *
 * Owns the waiting half of the protocol that is drawn in flight.c. Called from the worker threads of
 * all child processes.
 */
#include "core/flight_layout.h"

#include "core/futex.h"

#include <string.h>

/* Waiters look after the leader's life this often. */
#define WAIT_SLICE_US 50000

/* Multiplied and folded, a change of any word changes the sum but for one chance in 2^64. */
uint64_t la_flight_sum(uint64_t control, const uint64_t *key, const uint64_t *outcome)
{
    uint64_t sum = la_flight_lead(control);

    for (size_t i = 0; i < LA_FLIGHT_KEY_WORDS + LA_FLIGHT_OUTCOME_WORDS; i++) {
        sum ^= i < LA_FLIGHT_KEY_WORDS ? key[i] : outcome[i - LA_FLIGHT_KEY_WORDS];
        sum *= 0x9e3779b97f4a7c15u;
        sum ^= sum >> 32;
    }
    return sum;
}

/* Reads what a slot that is DONE holds, if it is for the visitor's key: of the flight that was waited for, or of the
 * leader that took it over meanwhile. Returns 0 when the slot is another's by now. */
static int read_outcome(const la_flight_visit_t *visit, const la_flight_slot_t *slot, uint64_t done,
                        uint64_t awaited, la_flight_outcome_t *outcome, la_flight_e *answer)
{
    uint64_t words[LA_FLIGHT_OUTCOME_WORDS];
    uint64_t sum;
    int mine;

    for (size_t i = 0; i < LA_FLIGHT_OUTCOME_WORDS; i++) {
        words[i] = la_flight_load(&slot->outcome[i]);
    }
    sum = la_flight_load(&slot->sum);
    if (la_flight_load(&slot->control) != done) {
        return 0;
    }
    mine = sum == la_flight_sum(done, visit->key, words);
    memcpy(outcome, words, sizeof(*outcome));
    *answer = LA_FLIGHT_SHARED;
    if (!mine || outcome->len > LA_FLIGHT_TEXT_BYTES) {
        memset(outcome, 0, sizeof(*outcome));
        *answer = LA_FLIGHT_ALONE;
    }
    return mine || la_flight_lead(done) == la_flight_lead(awaited);
}

/* When the flight may be taken over. One whose due time is not written yet, or is nonsense, counts
 * from `seen_at`, when this leader was first seen. */
static apr_time_t due_us(const la_flight_visit_t *visit, const la_flight_slot_t *slot,
                         uint64_t control, apr_time_t seen_at)
{
    uint64_t due = la_flight_load(&slot->due);
    apr_time_t latest = seen_at + visit->terms->lead_us;

    if (la_flight_due_fits(due, control) && la_flight_due_ms(due) <= latest / 1000) {
        return la_flight_due_ms(due) * 1000;
    }
    return latest;
}

static int take_over(la_flight_visit_t *visit, la_flight_slot_t *slot, uint64_t control)
{
    uint64_t mine = la_flight_next(control, visit->self, LA_FLIGHT_PENDING);

    if (!la_flight_swap(&slot->control, control, mine)) {
        return 0;
    }
    la_flight_store(&slot->due, la_flight_due(mine, la_clock_us() + visit->terms->lead_us));
    visit->slot = (uint32_t)(slot - visit->flight->slots);
    visit->control = mine;
    return 1;
}

/* Sleeps until something changes, the time is up, or a slice has passed. Returns 1 when the leader
 * was found dead. */
static int doze(const la_flight_visit_t *visit, la_flight_slot_t *slot, uint32_t wake,
                uint64_t control, apr_interval_time_t left)
{
    return !la_futex_wait(&slot->wake, wake, left < WAIT_SLICE_US ? left : WAIT_SLICE_US) &&
           !la_life_alive(visit->flight->life, la_flight_leader(control));
}

static int wait_seated(la_flight_visit_t *visit, la_flight_slot_t *slot, uint64_t control,
                       la_flight_outcome_t *outcome, la_flight_e *answer)
{
    apr_time_t seen_at = la_clock_us();
    int dead = 0;

    for (;;) {
        uint32_t wake = atomic_load_explicit(&slot->wake, memory_order_acquire);
        uint64_t seen = la_flight_load(&slot->control);
        apr_time_t now = la_clock_us();
        apr_time_t due;

        if (la_flight_phase(seen) == LA_FLIGHT_DONE) {
            return read_outcome(visit, slot, seen, control, outcome, answer);
        }
        if (!la_flight_joinable(seen) || la_flight_lead(seen) != la_flight_lead(control)) {
            if (!la_flight_find_in(slot, visit->key, &seen)) {
                return 0;
            }
            seen_at = now; /* it was taken over */
            dead = 0;
        }
        control = seen;
        due = due_us(visit, slot, control, seen_at);
        if (now >= visit->ends) {
            *answer = LA_FLIGHT_TIMED_OUT;
            return 1;
        }
        if ((dead || now >= due) && take_over(visit, slot, control)) {
            *answer = LA_FLIGHT_LEADER;
            return 1;
        }
        dead = doze(visit, slot, wake, control, (due < visit->ends ? due : visit->ends) - now);
    }
}

/* Takes a seat. Counted after it is taken: visitors that race at the limit may refuse each other, but
 * never exceed it. */
static int take_seat(const la_flight_visit_t *visit, uint32_t mark, uint32_t *seat)
{
    la_flight_t *flight = visit->flight;
    uint32_t max = visit->terms->max_waiters;

    if (!la_place_take(flight->life, flight->seats, flight->seat_count, mark, seat)) {
        return 0;
    }
    if (la_place_count(flight->seats, flight->seat_count, mark) <= max) {
        return 1;
    }
    la_place_sweep(flight->life, flight->seats, flight->seat_count);
    if (la_place_count(flight->seats, flight->seat_count, mark) <= max) {
        return 1;
    }
    la_place_leave(flight->life, &flight->seats[*seat], mark);
    return 0;
}

int la_flight_wait(la_flight_visit_t *visit, la_flight_slot_t *slot, uint64_t control,
                   la_flight_outcome_t *outcome, la_flight_e *answer)
{
    uint32_t mark = (uint32_t)(slot - visit->flight->slots) + 1;
    uint32_t seat;
    int answered;

    if (!take_seat(visit, mark, &seat)) {
        *answer = LA_FLIGHT_BUSY;
        return 1;
    }
    answered = wait_seated(visit, slot, control, outcome, answer);
    la_place_leave(visit->flight->life, &visit->flight->seats[seat], mark);
    return answered;
}

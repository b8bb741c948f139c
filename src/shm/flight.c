/* Single flight over shared memory.
 *
 * Owns the layout below and the protocol on it. Identities travel through the cache; the caller
 * decides how long a call may take and how many requests may wait. Called from the worker threads
 * of all child processes; the parent only formats.
 *
 *   header    layout, slots, sleepers                           64 bytes
 *   groups    slots / 16, each with
 *     lock    of holder.h                                       64 bytes
 *     slots   16                                               320 bytes each
 *       lead      number of the slot's flight: grows with each claim, takeover and reset
 *       leader    id of the process that asks the provider; 0 when nobody does
 *       wake      changes when the waiters should look
 *       due       when another may take over; without a leader: since when there is none
 *       key, outcome
 *       sum       over lead, key and outcome; 0: no outcome
 *
 * A key belongs to one group, and all that happens in a group happens under its lock, which is held
 * for a microsecond; a miss costs a call over the network anyway. Waiters sleep on `wake` without
 * the lock and take it for each look.
 *
 * A waiter takes a flight over when the leader's process is dead or the flight is due; the old
 * leader's end then finds another lead. If a process dies with the lock, the group may be half
 * written: the next holder ends all its flights without an outcome, and their waiters begin again.
 * If a process is stopped with the lock, others go on alone. So do those who find all slots of the
 * group taken: still correct, still bounded by MaxConcurrent.
 *
 * A slot keeps its outcome for waiters that wake up late until it is claimed again, the longest
 * idle slot first. Because of the sum an outcome reaches only waiters of the key it was published
 * for, whatever the bytes hold.
 *
 * Memory order: taking the lock pairs with its last release (holder.c). A waiter reads `wake` under
 * the lock before it sleeps, and whoever ended the flight steps `wake` afterwards, so no end is
 * missed. A sleeper counts itself before the kernel compares `wake`, a waker steps `wake` before
 * it reads the count: both are sequentially consistent, so one of them sees the other.
 */
#include "shm/flight.h"

#include "base/clock.h"
#include "shm/futex.h"
#include "shm/seqlock.h"

#include <limits.h>
#include <string.h>

/* Changes with the layout: bytes that an older build left are refused. */
#define FLIGHT_LAYOUT 0x33464c4cu /* "LLF3" */

/* Waiters check this often that the leader lives. */
#define FLIGHT_SLICE_US 50000

/* How long anybody waits for a group's lock. A holder that the kernel does not run for a while on a
 * busy machine is not stopped yet. */
#define FLIGHT_LOCK_WAIT_US 500000

#define KEY_WORDS     (LA_FLIGHT_KEY_BYTES / 8)
#define OUTCOME_WORDS (sizeof(la_flight_outcome_t) / 8)

typedef struct slot_t {
    uint64_t lead;
    uint32_t leader;
    _Atomic uint32_t wake;
    int64_t due_us;
    uint64_t key[KEY_WORDS];
    uint64_t sum; /* 0: no outcome */
    uint64_t outcome[OUTCOME_WORDS];
    uint64_t unused;
} slot_t;

typedef struct group_t {
    la_lock_t lock;
    uint64_t unused[6];
    slot_t slots[LA_FLIGHT_WAYS];
} group_t;

typedef struct header_t {
    uint32_t layout;
    uint32_t slots;
    _Atomic uint32_t sleepers; /* those that were killed in their sleep included */
    uint32_t unused[13];
} header_t;

_Static_assert(sizeof(la_flight_outcome_t) % 8 == 0, "an outcome is whole words");
_Static_assert(sizeof(slot_t) == 320 && sizeof(header_t) == 64, "whole lines");
_Static_assert(sizeof(group_t) == 64 + LA_FLIGHT_WAYS * sizeof(slot_t), "no padding");

/* A process's own record of where everything is; nothing in it was read from the shared bytes. */
struct la_flight_t {
    header_t *header;
    group_t *groups;
    uint32_t group_count;
    la_holder_t *life;
};

/* One la_flight_begin(). */
typedef struct visit_t {
    la_flight_t *flight;
    const la_flight_terms_t *terms;
    uint64_t key[KEY_WORDS];
    group_t *group; /* of the key */
    apr_time_t ends;
    /* The flight that is waited for, as it was at the last look; slot is NULL before the first. */
    slot_t *slot;
    uint64_t lead;
    uint32_t wake;
    apr_time_t due;
} visit_t;

/* ---- geometry -------------------------------------------------------------------- */

apr_size_t la_flight_bytes(uint32_t slots)
{
    return sizeof(header_t) + slots / LA_FLIGHT_WAYS * sizeof(group_t);
}

void la_flight_format(void *bytes, uint32_t slots)
{
    header_t *header = bytes;

    memset(bytes, 0, la_flight_bytes(slots));
    header->layout = FLIGHT_LAYOUT;
    header->slots = slots;
}

apr_status_t la_flight_attach(void *bytes, uint32_t slots, la_holder_t *life, apr_pool_t *pool,
                              la_flight_t **flight)
{
    header_t *header = bytes;

    *flight = NULL;
    if (header->layout != FLIGHT_LAYOUT || header->slots != slots) {
        return APR_EGENERAL;
    }
    *flight = apr_palloc(pool, sizeof(**flight));
    **flight = (la_flight_t){.header = header,
                             .groups = (group_t *)(header + 1),
                             .group_count = slots / LA_FLIGHT_WAYS,
                             .life = life};
    return APR_SUCCESS;
}

/* ---- under the group's lock -------------------------------------------------------- */

/* Starts the slot's next flight, with that leader or without one. */
static void change_leader(slot_t *slot, uint32_t leader, apr_time_t due_us)
{
    slot->lead++;
    slot->leader = leader;
    slot->due_us = due_us;
    slot->sum = 0;
}

static void wake_waiters(la_flight_t *flight, slot_t *slot)
{
    atomic_fetch_add(&slot->wake, 1);
    if (atomic_load(&flight->header->sleepers) != 0) {
        la_futex_wake(&slot->wake, INT_MAX);
    }
}

/* Returns 0 when a living process held the lock all the time. */
static int lock_group(la_flight_t *flight, group_t *group, apr_interval_time_t wait_us)
{
    la_lock_e taken = la_lock_take(flight->life, &group->lock,
                                   wait_us < FLIGHT_LOCK_WAIT_US ? wait_us : FLIGHT_LOCK_WAIT_US);

    for (uint32_t i = 0; taken == LA_LOCK_INHERITED && i < LA_FLIGHT_WAYS; i++) {
        change_leader(&group->slots[i], 0, 0);
        wake_waiters(flight, &group->slots[i]);
    }
    return taken != LA_LOCK_BUSY;
}

static uint64_t sum_of(uint64_t lead, const uint64_t *key, const uint64_t *outcome)
{
    return la_seqlock_sum(la_seqlock_sum(lead, key, KEY_WORDS), outcome, OUTCOME_WORDS);
}

static slot_t *find_flight(group_t *group, const uint64_t *key)
{
    for (slot_t *slot = group->slots; slot < group->slots + LA_FLIGHT_WAYS; slot++) {
        if (slot->leader != 0 && memcmp(slot->key, key, sizeof(slot->key)) == 0) {
            return slot;
        }
    }
    return NULL;
}

/* Whether to wait for the flight of the visitor's key. A due time later than the visitor's own
 * would be is garbage, or of a configuration with longer times. */
static int is_under_way(const visit_t *visit, slot_t *slot, apr_time_t now)
{
    if (slot->due_us > now + visit->terms->lead_us) {
        slot->due_us = now + visit->terms->lead_us;
    }
    return now < slot->due_us && la_holder_alive(visit->flight->life, slot->leader);
}

/* Returns the slot that has been without a leader for the longest; if all have one, one that is due
 * or whose leader is dead. */
static slot_t *find_idle(const visit_t *visit, apr_time_t now)
{
    slot_t *slots = visit->group->slots;
    slot_t *best = NULL;

    for (slot_t *slot = slots; slot < slots + LA_FLIGHT_WAYS; slot++) {
        if (slot->leader == 0) {
            best = !best || best->leader != 0 || slot->due_us < best->due_us ? slot : best;
        } else if (!best &&
                   (slot->due_us <= now || !la_holder_alive(visit->flight->life, slot->leader))) {
            best = slot;
        }
    }
    return best;
}

/* Reads the outcome of the flight that was waited for, or of a later one for the same key in its
 * slot. Returns 0 when there is neither. */
static int read_outcome(const visit_t *visit, la_flight_outcome_t *outcome, la_flight_e *answer)
{
    const slot_t *slot = visit->slot;
    uint64_t words[OUTCOME_WORDS];

    if (slot->leader != 0) {
        return 0;
    }
    memcpy(words, slot->outcome, sizeof(words));
    memcpy(outcome, words, sizeof(*outcome));
    if (slot->sum == sum_of(slot->lead, visit->key, words) &&
        outcome->len <= LA_FLIGHT_TEXT_BYTES) {
        *answer = LA_FLIGHT_SHARED;
        return 1;
    }
    memset(outcome, 0, sizeof(*outcome));
    *answer = LA_FLIGHT_ALONE;
    return slot->lead == visit->lead;
}

static void write_outcome(slot_t *slot, const la_flight_ticket_t *ticket,
                          const la_flight_outcome_t *outcome)
{
    la_flight_outcome_t copy = {.code = outcome->code, .len = outcome->len};
    uint64_t words[OUTCOME_WORDS];

    memcpy(copy.text, outcome->text, outcome->len);
    memcpy(words, &copy, sizeof(words));
    memcpy(slot->outcome, words, sizeof(words));
    /* Over what the leader meant, whatever the slot holds by now. */
    slot->sum = sum_of(ticket->lead, ticket->key, words);
}

/* ---- begin ----------------------------------------------------------------------- */

/* Returns 1 with an answer, or 0 when the visitor should wait. */
static int look(visit_t *visit, apr_time_t now, la_flight_outcome_t *outcome, la_flight_e *answer)
{
    slot_t *slot;

    if (visit->slot && read_outcome(visit, outcome, answer)) {
        return 1;
    }
    *answer = LA_FLIGHT_TIMED_OUT;
    if (visit->slot && now >= visit->ends) {
        return 1;
    }
    slot = find_flight(visit->group, visit->key);
    if (slot && is_under_way(visit, slot, now)) {
        visit->slot = slot;
        visit->lead = slot->lead;
        visit->wake = atomic_load(&slot->wake);
        visit->due = slot->due_us;
        return 0;
    }
    slot = slot ? slot : find_idle(visit, now);
    *answer = slot ? LA_FLIGHT_LEADER : LA_FLIGHT_ALONE;
    if (slot) {
        change_leader(slot, la_holder_self(visit->flight->life), now + visit->terms->lead_us);
        memcpy(slot->key, visit->key, sizeof(slot->key));
        visit->slot = slot;
        visit->lead = slot->lead;
    }
    return 1;
}

static int look_locked(visit_t *visit, la_flight_outcome_t *outcome, la_flight_e *answer)
{
    int is_locked = lock_group(visit->flight, visit->group, visit->ends - la_clock_us());
    apr_time_t now = la_clock_us();
    int answered;

    if (is_locked) {
        answered = look(visit, now, outcome, answer);
        la_lock_release(&visit->group->lock);
        return answered;
    }
    *answer = visit->slot && now >= visit->ends ? LA_FLIGHT_TIMED_OUT : LA_FLIGHT_ALONE;
    return !visit->slot || now >= visit->ends || now >= visit->due;
}

/* Sleeps until something changes, a time has come, or a slice is over. */
static void sleep_on(visit_t *visit)
{
    apr_time_t left = (visit->due < visit->ends ? visit->due : visit->ends) - la_clock_us();
    _Atomic uint32_t *sleepers = &visit->flight->header->sleepers;

    atomic_fetch_add(sleepers, 1);
    la_futex_wait(&visit->slot->wake, visit->wake, left < FLIGHT_SLICE_US ? left : FLIGHT_SLICE_US);
    atomic_fetch_sub(sleepers, 1);
}

la_flight_e la_flight_begin(la_flight_t *flight, const unsigned char *key,
                            const la_flight_terms_t *terms, la_flight_ticket_t *ticket,
                            la_flight_outcome_t *outcome)
{
    visit_t visit = {.flight = flight, .terms = terms, .ends = la_clock_us() + terms->wait_us};
    la_flight_e answer = LA_FLIGHT_ALONE;

    memset(ticket, 0, sizeof(*ticket));
    memset(outcome, 0, sizeof(*outcome));
    memcpy(visit.key, key, sizeof(visit.key));
    visit.group = &flight->groups[visit.key[0] % flight->group_count];
    while (la_holder_self(flight->life) != 0 && !look_locked(&visit, outcome, &answer)) {
        sleep_on(&visit);
    }
    if (answer == LA_FLIGHT_LEADER) {
        ticket->slot = (uint32_t)((visit.group - flight->groups) * LA_FLIGHT_WAYS +
                                  (visit.slot - visit.group->slots));
        ticket->lead = visit.lead;
        memcpy(ticket->key, visit.key, sizeof(ticket->key));
    }
    return answer;
}

/* ---- end ------------------------------------------------------------------------- */

int la_flight_end(la_flight_t *flight, const la_flight_ticket_t *ticket,
                  const la_flight_outcome_t *outcome)
{
    group_t *group = &flight->groups[ticket->slot / LA_FLIGHT_WAYS];
    slot_t *slot = &group->slots[ticket->slot % LA_FLIGHT_WAYS];
    int ended;

    if (ticket->lead == 0 || !lock_group(flight, group, FLIGHT_LOCK_WAIT_US)) {
        return 0;
    }
    ended = slot->lead == ticket->lead && slot->leader == la_holder_self(flight->life);
    if (ended) {
        slot->leader = 0;
        slot->due_us = la_clock_us();
        if (outcome && outcome->len <= LA_FLIGHT_TEXT_BYTES) {
            write_outcome(slot, ticket, outcome);
        }
    }
    la_lock_release(&group->lock);
    if (ended) {
        wake_waiters(flight, slot);
    }
    return ended;
}

/* Single flight over shared memory.
 *
 * Owns the layout below and the protocol on it. Identities travel through the cache, which also
 * decides what is shared; how long a call may take, and how many may wait, is the caller's
 * business. Called from the worker threads of all child processes; the parent only formats.
 *
 *   header    layout, slots, seats                              64 bytes
 *   groups    slots / 16, each a lock (holder.h) with a line      64 bytes
 *   slots     slot 16 * g + w is way w of group g              320 bytes
 *   seats     a place (holder.h) for each waiter, its mark the slot's index + 1
 *
 *   lead      number of the slot's flight: steps with each claim, each takeover and each reset
 *   leader    id of the process that asks the provider; 0 when nobody does
 *   due       a takeover is allowed from then on; of a slot without leader: since when it has none
 *   key, outcome
 *   sum       over lead, key and outcome once there is an outcome
 *   wake      changes when the waiters should look
 *
 * A key can be in one group only, and all that happens in a group happens under its lock, which is
 * held for a microsecond: joining, claiming, taking over, ending, and each look of a waiter. A lock
 * is fine here, because whoever comes asks a provider over the network otherwise. Waiters sleep on
 * `wake` without it.
 *
 * A flight is taken over when its leader's process is dead or the flight is due; the old leader's
 * end then meets another lead. When the lock's holder died, what it guards may be half written: all
 * flights of the group are over, without outcome, and their waiters begin again. A holder that was
 * stopped makes others go on alone.
 *
 * A slot keeps its outcome for waiters that still wake up until it is claimed again, the longest
 * idle first. The sum is for garbage: an outcome is shared with nobody but waiters of the key it
 * was published for.
 *
 * Slots run out only when more keys than slots miss at once. Then callers go on alone rather than
 * being refused: still correct, still bounded by MaxConcurrent, and a flood of random tokens
 * costs those who come with it their coalescing, not their answer.
 *
 * Memory order: taking the lock pairs with its last release (holder.c), which orders all that it
 * guards. `wake` is read under the lock before a sleep and stepped under it by whoever changes the
 * flight, so no change is missed.
 */
#include "shm/flight.h"

#include "base/clock.h"
#include "shm/futex.h"
#include "shm/seqlock.h"

#include <limits.h>
#include <string.h>

/* Changes with the layout: bytes that an older build left are refused. */
#define FLIGHT_LAYOUT 0x32464c4cu /* "LLF2" */

#define FLIGHT_MAX_COUNT 65536u

/* Length that says: no outcome to share. */
#define FLIGHT_NOTHING 0xffffffffu

/* Waiters look after the leader's life this often. */
#define FLIGHT_SLICE_US 50000

/* How long anybody waits for a group's lock. */
#define FLIGHT_LOCK_WAIT_US 50000

/* A flight this long past due has nobody left who would take it over. */
#define FLIGHT_ABANDONED_US (60 * APR_USEC_PER_SEC)

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
} group_t;

typedef struct header_t {
    uint32_t layout;
    uint32_t slots;
    uint32_t seats;
    uint32_t unused[13];
} header_t;

_Static_assert(sizeof(la_flight_outcome_t) % 8 == 0, "an outcome is whole words");
_Static_assert(LA_FLIGHT_KEY_BYTES % 8 == 0, "a key is whole words");
_Static_assert(sizeof(slot_t) == 320, "five lines, no padding");
_Static_assert(sizeof(group_t) == 64, "a group has a line of its own");
_Static_assert(sizeof(header_t) == 64, "so has the header");

/* A process's own record of where everything is; nothing in it was read from the shared bytes. */
struct la_flight_t {
    header_t *header;
    group_t *groups;
    slot_t *slots;
    la_place_t *seats;
    apr_uint32_t group_count;
    apr_uint32_t slot_count;
    apr_uint32_t seat_count;
    la_holder_t *life;
};

/* One la_flight_begin(). */
typedef struct visit_t {
    la_flight_t *flight;
    const la_flight_terms_t *terms;
    uint64_t key[KEY_WORDS];
    uint32_t self;  /* this process's id */
    uint32_t group; /* of the key */
    apr_time_t ends;
    /* The flight that is waited for, as it was when last looked at; slot is NULL at first. */
    slot_t *slot;
    uint64_t lead;
    uint32_t leader;
    uint32_t wake;
    apr_time_t latest; /* a takeover is allowed then, whatever the slot says */
    apr_time_t due;
    int is_dead;   /* the leader was found dead */
    uint32_t mark; /* of the seat; 0: none */
    uint32_t seat;
} visit_t;

/* ---- geometry -------------------------------------------------------------------- */

apr_size_t la_flight_bytes(apr_uint32_t slots, apr_uint32_t seats)
{
    if (slots == 0 || slots % LA_FLIGHT_WAYS != 0 || slots > FLIGHT_MAX_COUNT || seats == 0 ||
        seats > FLIGHT_MAX_COUNT) {
        return 0;
    }
    return sizeof(header_t) + slots / LA_FLIGHT_WAYS * sizeof(group_t) + slots * sizeof(slot_t) +
           seats * sizeof(la_place_t);
}

static int is_usable(const void *bytes, apr_uint32_t slots, apr_uint32_t seats)
{
    return la_flight_bytes(slots, seats) != 0 && (uintptr_t)bytes % LA_FLIGHT_ALIGN == 0;
}

apr_status_t la_flight_format(void *bytes, apr_uint32_t slots, apr_uint32_t seats)
{
    header_t *header = bytes;

    if (!is_usable(bytes, slots, seats)) {
        return APR_EINVAL;
    }
    memset(bytes, 0, la_flight_bytes(slots, seats));
    *header = (header_t){.layout = FLIGHT_LAYOUT, .slots = slots, .seats = seats};
    return APR_SUCCESS;
}

apr_status_t la_flight_attach(void *bytes, apr_uint32_t slots, apr_uint32_t seats,
                              la_holder_t *life, apr_pool_t *pool, la_flight_t **flight)
{
    const header_t *header = bytes;
    la_flight_t *made;

    *flight = NULL;
    if (!is_usable(bytes, slots, seats)) {
        return APR_EINVAL;
    }
    if (header->layout != FLIGHT_LAYOUT || header->slots != slots || header->seats != seats) {
        return APR_EGENERAL;
    }
    made = apr_palloc(pool, sizeof(*made));
    made->header = bytes;
    made->groups = (group_t *)(made->header + 1);
    made->slots = (slot_t *)(made->groups + slots / LA_FLIGHT_WAYS);
    made->seats = (la_place_t *)(made->slots + slots);
    made->group_count = slots / LA_FLIGHT_WAYS;
    made->slot_count = slots;
    made->seat_count = seats;
    made->life = life;
    *flight = made;
    return APR_SUCCESS;
}

/* ---- under the group's lock -------------------------------------------------------- */

/* Gives a slot to that leader, or to nobody, as its next flight. */
static void change_leader(slot_t *slot, uint32_t leader, apr_time_t due_us)
{
    int is_awaited = slot->leader != 0;

    slot->lead++;
    slot->leader = leader;
    slot->due_us = due_us;
    slot->sum = 0;
    atomic_fetch_add(&slot->wake, 1);
    if (is_awaited) {
        la_futex_wake(&slot->wake, INT_MAX);
    }
}

/* Returns the first slot of the group, or NULL when a living process held the lock all the time. */
static slot_t *lock_group(la_flight_t *flight, uint32_t group)
{
    slot_t *slots = flight->slots + (size_t)group * LA_FLIGHT_WAYS;
    la_lock_e taken = la_lock_take(flight->life, &flight->groups[group].lock, FLIGHT_LOCK_WAIT_US);

    for (uint32_t i = 0; taken == LA_LOCK_INHERITED && i < LA_FLIGHT_WAYS; i++) {
        change_leader(&slots[i], 0, 0);
    }
    return taken == LA_LOCK_BUSY ? NULL : slots;
}

static uint64_t sum_of(uint64_t lead, const uint64_t *key, const uint64_t *outcome)
{
    return la_seqlock_sum(la_seqlock_sum(lead, key, KEY_WORDS), outcome, OUTCOME_WORDS);
}

static slot_t *find_flight(slot_t *slots, const uint64_t *key)
{
    for (slot_t *slot = slots; slot < slots + LA_FLIGHT_WAYS; slot++) {
        if (slot->leader != 0 && memcmp(slot->key, key, sizeof(slot->key)) == 0) {
            return slot;
        }
    }
    return NULL;
}

/* A slot that nobody leads, the longest idle one; else one whose leader died, or was stopped for
 * very long. */
static slot_t *find_idle(slot_t *slots, la_holder_t *life, apr_time_t now)
{
    slot_t *best = NULL;

    for (slot_t *slot = slots; slot < slots + LA_FLIGHT_WAYS; slot++) {
        if (slot->leader == 0 && (!best || slot->due_us < best->due_us)) {
            best = slot;
        }
    }
    for (slot_t *slot = slots; slot < slots + LA_FLIGHT_WAYS && !best; slot++) {
        if (slot->due_us < now - FLIGHT_ABANDONED_US || !la_holder_alive(life, slot->leader)) {
            best = slot;
        }
    }
    return best;
}

/* Notes what the visitor waits for. A due time that is nonsense counts from when the flight was
 * first seen. */
static void watch(visit_t *visit, slot_t *slot, apr_time_t now)
{
    if (slot != visit->slot || slot->lead != visit->lead) {
        visit->slot = slot;
        visit->lead = slot->lead;
        visit->latest = now + visit->terms->lead_us;
        visit->is_dead = 0;
    }
    visit->leader = slot->leader;
    visit->due = slot->due_us < visit->latest ? slot->due_us : visit->latest;
    visit->wake = atomic_load(&slot->wake);
}

static void claim(visit_t *visit, slot_t *slot, apr_time_t now)
{
    change_leader(slot, visit->self, now + visit->terms->lead_us);
    memcpy(slot->key, visit->key, sizeof(slot->key));
    visit->slot = slot;
    visit->lead = slot->lead;
}

/* Reads what the flight ended with that was waited for, or a later one of the same key in its slot.
 * Returns 0 when there is neither. */
static int read_outcome(const visit_t *visit, la_flight_outcome_t *outcome, la_flight_e *answer)
{
    const slot_t *slot = visit->slot;
    uint64_t words[OUTCOME_WORDS];
    int is_ours;

    if (slot->leader != 0) {
        return 0;
    }
    memcpy(words, slot->outcome, sizeof(words));
    is_ours = slot->sum == sum_of(slot->lead, visit->key, words);
    memcpy(outcome, words, sizeof(*outcome));
    *answer = LA_FLIGHT_SHARED;
    if (!is_ours || outcome->len > LA_FLIGHT_TEXT_BYTES) {
        memset(outcome, 0, sizeof(*outcome));
        *answer = LA_FLIGHT_ALONE;
    }
    return is_ours || slot->lead == visit->lead;
}

static void write_outcome(slot_t *slot, const la_flight_ticket_t *ticket,
                          const la_flight_outcome_t *outcome)
{
    la_flight_outcome_t copy = {.len = FLIGHT_NOTHING};

    if (outcome && outcome->len <= LA_FLIGHT_TEXT_BYTES) {
        copy.code = outcome->code;
        copy.len = outcome->len;
        memcpy(copy.text, outcome->text, outcome->len);
    }
    memcpy(slot->outcome, &copy, sizeof(slot->outcome));
    /* The key as it was asked for, whatever the slot holds by now. */
    slot->sum = sum_of(ticket->lead, ticket->key, slot->outcome);
}

/* ---- begin ----------------------------------------------------------------------- */

/* Looks at the group, whose lock is held. Returns 1 with an answer, or 0 when the visitor is to
 * wait. */
static int look(visit_t *visit, slot_t *slots, apr_time_t now, la_flight_outcome_t *outcome,
                la_flight_e *answer)
{
    slot_t *slot;

    if (visit->slot && read_outcome(visit, outcome, answer)) {
        return 1;
    }
    *answer = LA_FLIGHT_TIMED_OUT;
    if (visit->slot && now >= visit->ends) {
        return 1;
    }
    slot = find_flight(slots, visit->key);
    if (slot) {
        watch(visit, slot, now);
        if (!visit->is_dead && now < visit->due) {
            return 0;
        }
    } else {
        slot = find_idle(slots, visit->flight->life, now);
    }
    *answer = slot ? LA_FLIGHT_LEADER : LA_FLIGHT_ALONE;
    if (slot) {
        claim(visit, slot, now);
    }
    return 1;
}

static int look_locked(visit_t *visit, la_flight_outcome_t *outcome, la_flight_e *answer)
{
    slot_t *slots = lock_group(visit->flight, visit->group);
    apr_time_t now = la_clock_us();
    int answered;

    if (slots) {
        answered = look(visit, slots, now, outcome, answer);
        la_lock_release(&visit->flight->groups[visit->group].lock);
        return answered;
    }
    *answer = visit->slot && now >= visit->ends ? LA_FLIGHT_TIMED_OUT : LA_FLIGHT_ALONE;
    return !visit->slot || now >= visit->ends || now >= visit->due;
}

static void leave_seat(visit_t *visit)
{
    if (visit->mark != 0) {
        la_place_leave(visit->flight->life, &visit->flight->seats[visit->seat], visit->mark);
        visit->mark = 0;
    }
}

static int is_within(const visit_t *visit, uint32_t mark)
{
    return la_place_count(visit->flight->seats, visit->flight->seat_count, mark) <=
           visit->terms->max_waiters;
}

/* Has a seat at the slot that is waited for, or returns 0. Counted after it is taken: visitors that
 * race at the limit may refuse each other, but never exceed it. */
static int take_seat(visit_t *visit)
{
    la_flight_t *flight = visit->flight;
    uint32_t mark = (uint32_t)(visit->slot - flight->slots) + 1;

    if (visit->mark == mark) {
        return 1;
    }
    leave_seat(visit);
    if (!la_place_take(flight->life, flight->seats, flight->seat_count, mark, &visit->seat)) {
        return 0;
    }
    visit->mark = mark;
    if (is_within(visit, mark)) {
        return 1;
    }
    la_place_sweep(flight->life, flight->seats, flight->seat_count);
    return is_within(visit, mark);
}

/* Sleeps until something changes, a time has come, or a slice is over. */
static void sleep_on(visit_t *visit)
{
    apr_time_t now = la_clock_us();
    apr_time_t until = visit->due < visit->ends ? visit->due : visit->ends;

    visit->is_dead = !la_holder_alive(visit->flight->life, visit->leader);
    if (!visit->is_dead) {
        la_futex_wait(&visit->slot->wake, visit->wake,
                      until - now < FLIGHT_SLICE_US ? until - now : FLIGHT_SLICE_US);
    }
}

la_flight_e la_flight_begin(la_flight_t *flight, const unsigned char *key,
                            const la_flight_terms_t *terms, la_flight_ticket_t *ticket,
                            la_flight_outcome_t *outcome)
{
    visit_t visit = {.flight = flight, .terms = terms, .self = la_holder_self(flight->life)};
    la_flight_e answer = LA_FLIGHT_ALONE;

    memset(ticket, 0, sizeof(*ticket));
    memset(outcome, 0, sizeof(*outcome));
    memcpy(visit.key, key, sizeof(visit.key));
    visit.group = (uint32_t)(visit.key[0] % flight->group_count);
    visit.ends = la_clock_us() + terms->wait_us;
    while (visit.self != 0 && !look_locked(&visit, outcome, &answer)) {
        if (!take_seat(&visit)) {
            answer = LA_FLIGHT_BUSY;
            break;
        }
        sleep_on(&visit);
    }
    leave_seat(&visit);
    if (answer == LA_FLIGHT_LEADER) {
        ticket->slot = (apr_uint32_t)(visit.slot - flight->slots);
        ticket->lead = visit.lead;
        memcpy(ticket->key, visit.key, sizeof(ticket->key));
    }
    return answer;
}

/* ---- end ------------------------------------------------------------------------- */

int la_flight_end(la_flight_t *flight, const la_flight_ticket_t *ticket,
                  const la_flight_outcome_t *outcome)
{
    uint32_t group = ticket->slot / LA_FLIGHT_WAYS;
    slot_t *slot;
    int ended;

    if (ticket->lead == 0 || ticket->slot >= flight->slot_count || !lock_group(flight, group)) {
        return 0;
    }
    slot = &flight->slots[ticket->slot];
    ended = slot->lead == ticket->lead && slot->leader == la_holder_self(flight->life);
    if (ended) {
        write_outcome(slot, ticket, outcome);
        slot->leader = 0;
        slot->due_us = la_clock_us();
        atomic_fetch_add(&slot->wake, 1);
    }
    la_lock_release(&flight->groups[group].lock);
    if (ended) {
        la_futex_wake(&slot->wake, INT_MAX);
    }
    return ended;
}

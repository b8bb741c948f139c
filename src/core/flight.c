/* Single flight over shared memory: layout, beginning and ending. flight_wait.c has the waiting.
 *
 * Owns the layout below and the protocol on it. Identities go through the cache, which also decides
 * what is shared; how long a call may take, and how many wait, is the caller's word. Called from the worker
 * threads of all child processes; the parent only formats.
 *
 *   header    layout, slots, seats                              64 bytes
 *   groups    slots / 16, each a list in a line of its own      64 bytes
 *   slots     slot 16 * g + w is way w of group g              320 bytes
 *   seats     a place (life.h) for each waiter, its mark the slot's index + 1
 *
 *   list      48 bits version | 16 bits: which ways are listed, that is, hold a flight to be joined.
 *             Each change steps the version, so a compare-and-swap succeeds only if nothing was
 *             listed since the caller looked: of two that would start a flight for one key, one fails.
 *   control   32 bits id of the leader's process (life.h) | 29 bits lead | 3 bits phase.
 *             The lead steps with each claim and each takeover: an old leader's swap fails.
 *   due       16 low bits of the lead | 48 bits milliseconds: a takeover is allowed from then on.
 *
 *   FREE --> CLAIMED --> PENDING --> WRITING --> DONE --> CLAIMED ...
 *            key is      listed      outcome     unlisted
 *            written                 is written
 *
 * A way is listed only when its key is complete, and unlisted as soon as it is DONE; DONE keeps its
 * outcome for waiters that still wake up, until the way is claimed again, the longest done first.
 * PENDING and WRITING are taken over (lead + 1, PENDING, new leader) when the leader's process is
 * dead or the flight is due. Nobody waits for a lock, so a stopped process is in nobody's way, and
 * every phase that a SIGKILL can leave for others to clear has the dead leader's id in it.
 *
 * What a stopped leader writes when it wakes in the middle of WRITING meets the sum, which covers lead, key and
 * outcome: the outcome of its successor is then lost, never mixed. Its waiters go on alone.
 *
 * Slots run out only when more keys than slots miss at once. Then callers go on alone rather than
 * being refused: still correct, still bounded by MaxConcurrent, and a flood of random tokens
 * costs those who come with it their coalescing, not their answer.
 */
#include "core/flight.h"

#include "core/flight_layout.h"
#include "core/futex.h"

#include <limits.h>
#include <string.h>

#define FLIGHT_MAX_COUNT 65536u

/* A flight this long past due has nobody left who would take it over. */
#define FLIGHT_ABANDONED_MS 60000

/* Times that a caller looks again when the list changed under it, or its flight went by. */
#define FLIGHT_ATTEMPTS 64

/* Writing an outcome takes microseconds; who takes longer was stopped. */
#define FLIGHT_WRITE_US APR_USEC_PER_SEC

/* ---- geometry -------------------------------------------------------------------- */

apr_size_t la_flight_bytes(apr_uint32_t slots, apr_uint32_t seats)
{
    if (slots == 0 || slots % LA_FLIGHT_WAYS != 0 || slots > FLIGHT_MAX_COUNT || seats == 0 ||
        seats > FLIGHT_MAX_COUNT) {
        return 0;
    }
    return sizeof(la_flight_header_t) + slots / LA_FLIGHT_WAYS * sizeof(la_flight_group_t) +
           slots * sizeof(la_flight_slot_t) + seats * sizeof(la_place_t);
}

static int is_usable(const void *bytes, apr_uint32_t slots, apr_uint32_t seats)
{
    return la_flight_bytes(slots, seats) != 0 && (uintptr_t)bytes % LA_FLIGHT_ALIGN == 0;
}

apr_status_t la_flight_format(void *bytes, apr_uint32_t slots, apr_uint32_t seats)
{
    la_flight_header_t *header = bytes;

    if (!is_usable(bytes, slots, seats)) {
        return APR_EINVAL;
    }
    memset(bytes, 0, la_flight_bytes(slots, seats));
    la_flight_store(&header->slots, slots);
    la_flight_store(&header->seats, seats);
    la_flight_store(&header->layout, LA_FLIGHT_LAYOUT);
    return APR_SUCCESS;
}

static int is_formatted(const la_flight_header_t *header, apr_uint32_t slots, apr_uint32_t seats)
{
    return la_flight_load(&header->layout) == LA_FLIGHT_LAYOUT &&
           la_flight_load(&header->slots) == slots && la_flight_load(&header->seats) == seats;
}

apr_status_t la_flight_attach(void *bytes, apr_uint32_t slots, apr_uint32_t seats, la_life_t *life,
                              apr_pool_t *pool, la_flight_t **flight)
{
    la_flight_t *made;

    *flight = NULL;
    if (!is_usable(bytes, slots, seats)) {
        return APR_EINVAL;
    }
    if (!is_formatted(bytes, slots, seats)) {
        return APR_EGENERAL;
    }
    made = apr_palloc(pool, sizeof(*made));
    made->header = bytes;
    made->groups = (la_flight_group_t *)(made->header + 1);
    made->slots = (la_flight_slot_t *)(made->groups + slots / LA_FLIGHT_WAYS);
    made->seats = (la_place_t *)(made->slots + slots);
    made->group_count = slots / LA_FLIGHT_WAYS;
    made->slot_count = slots;
    made->seat_count = seats;
    made->life = life;
    *flight = made;
    return APR_SUCCESS;
}

static la_flight_word_t *list_of(const la_flight_visit_t *visit)
{
    return &visit->flight->groups[visit->group].list;
}

static la_flight_slot_t *slot_at(const la_flight_visit_t *visit, uint32_t way)
{
    return &visit->flight->slots[visit->group * LA_FLIGHT_WAYS + way];
}

/* ---- finding --------------------------------------------------------------------- */

static int has_key(const la_flight_slot_t *slot, const uint64_t *key)
{
    for (size_t i = 0; i < LA_FLIGHT_KEY_WORDS; i++) {
        if (la_flight_load(&slot->key[i]) != key[i]) {
            return 0;
        }
    }
    return 1;
}

int la_flight_find_in(const la_flight_slot_t *slot, const uint64_t *key, uint64_t *control)
{
    uint64_t after = la_flight_load(&slot->control);

    /* A flight that stays the key's own changes its control once or twice while we look. */
    for (int tries = 0; tries < 3; tries++) {
        *control = after;
        if (!la_flight_joinable(*control) || !has_key(slot, key)) {
            return 0;
        }
        after = la_flight_load(&slot->control);
        if (after == *control) {
            return 1;
        }
    }
    return 0;
}

static la_flight_slot_t *find_listed(const la_flight_visit_t *visit, uint64_t list,
                                     uint64_t *control)
{
    for (uint32_t way = 0; way < LA_FLIGHT_WAYS; way++) {
        if (la_flight_listed(list, way) &&
            la_flight_find_in(slot_at(visit, way), visit->key, control)) {
            return slot_at(visit, way);
        }
    }
    return NULL;
}

/* ---- claiming -------------------------------------------------------------------- */

/* A way nobody leads and nobody can join: never used, or longest done.
 *
 * Each control is read before the list. A control that claim() finds unchanged was then unlisted all the
 * time: only a claim leads to a way being listed.
 */
static int find_idle(const la_flight_visit_t *visit, uint32_t *way, uint64_t *control)
{
    uint64_t controls[LA_FLIGHT_WAYS];
    uint64_t list;
    apr_time_t best_ms = 0;
    int found = 0;

    for (uint32_t i = 0; i < LA_FLIGHT_WAYS; i++) {
        controls[i] = la_flight_load(&slot_at(visit, i)->control);
    }
    list = la_flight_load(list_of(visit));
    for (uint32_t i = 0; i < LA_FLIGHT_WAYS; i++) {
        la_flight_phase_e phase = la_flight_phase(controls[i]);
        apr_time_t since_ms = phase == LA_FLIGHT_FREE
                                  ? -1
                                  : la_flight_due_ms(la_flight_load(&slot_at(visit, i)->due));

        if (!la_flight_listed(list, i) && (phase == LA_FLIGHT_FREE || phase == LA_FLIGHT_DONE) &&
            (!found || since_ms < best_ms)) {
            found = 1;
            best_ms = since_ms;
            *way = i;
            *control = controls[i];
        }
    }
    return found;
}

/* Whether nobody will end what the way holds: its leader died or was stopped for very long, or the phase is
 * not one that a living leader leaves in the list. */
static int is_wreck(const la_flight_visit_t *visit, uint32_t way, uint64_t control, apr_time_t now)
{
    uint64_t due = la_flight_load(&slot_at(visit, way)->due);

    if (!la_flight_joinable(control) && la_flight_phase(control) != LA_FLIGHT_CLAIMED) {
        return 1;
    }
    return !la_life_alive(visit->flight->life, la_flight_leader(control)) ||
           (la_flight_due_fits(due, control) &&
            now / 1000 > la_flight_due_ms(due) + FLIGHT_ABANDONED_MS);
}

/* When no way is idle: finds a wreck, and unlists it. Its waiters notice, and begin anew. */
static int find_wreck(const la_flight_visit_t *visit, uint32_t *way, uint64_t *control)
{
    apr_time_t now = la_clock_us();

    for (uint32_t i = 0; i < LA_FLIGHT_WAYS; i++) {
        uint64_t list;

        *way = i;
        *control = la_flight_load(&slot_at(visit, i)->control);
        list = la_flight_load(list_of(visit));
        if (is_wreck(visit, i, *control, now) &&
            (!la_flight_listed(list, i) ||
             la_flight_swap(list_of(visit), list, la_flight_relist(list, i, 0)))) {
            return 1;
        }
    }
    return 0;
}

/* Fills an unlisted way with the visitor's flight. Returns 0 when another claimed it first. */
static int claim(la_flight_visit_t *visit, uint32_t way, uint64_t control)
{
    la_flight_slot_t *slot = slot_at(visit, way);
    uint64_t claimed = la_flight_next(control, visit->self, LA_FLIGHT_CLAIMED);

    if (!la_flight_swap(&slot->control, control, claimed)) {
        return 0;
    }
    for (size_t i = 0; i < LA_FLIGHT_KEY_WORDS; i++) {
        la_flight_store(&slot->key[i], visit->key[i]);
    }
    la_flight_store(&slot->due, la_flight_due(claimed, la_clock_us() + visit->terms->lead_us));
    visit->slot = visit->group * LA_FLIGHT_WAYS + way;
    visit->control = la_flight_in_phase(claimed, LA_FLIGHT_PENDING);
    return la_flight_swap(&slot->control, claimed, visit->control);
}

/* Readies a way to be listed. Returns 0 when all are in use. */
static int reserve(la_flight_visit_t *visit)
{
    for (int tries = 0; tries < LA_FLIGHT_WAYS && !visit->reserved; tries++) {
        uint32_t way;
        uint64_t control;

        if (!find_idle(visit, &way, &control) && !find_wreck(visit, &way, &control)) {
            return 0;
        }
        visit->reserved = claim(visit, way, control);
    }
    return visit->reserved;
}

/* Gives a way back that was not listed. */
static void unreserve(la_flight_visit_t *visit)
{
    if (visit->reserved) {
        uint64_t nobody = visit->control & 0xffffffffu;

        la_flight_swap(&visit->flight->slots[visit->slot].control, visit->control,
                       la_flight_in_phase(nobody, LA_FLIGHT_FREE));
        visit->reserved = 0;
    }
}

/* ---- begin ----------------------------------------------------------------------- */

/* Lists the reserved way. Returns 0 when the list changed since `list` was read and searched. */
static int launch(la_flight_visit_t *visit, uint64_t list)
{
    const la_flight_slot_t *slot = &visit->flight->slots[visit->slot];

    if (la_flight_load(&slot->control) != visit->control) {
        visit->reserved = 0; /* we were stopped so long that the way was taken for a wreck */
        return 0;
    }
    return la_flight_swap(list_of(visit), list,
                          la_flight_relist(list, visit->slot % LA_FLIGHT_WAYS, 1));
}

/* One look at the group. Returns 1 with an answer, or 0 to look again. */
static int attempt(la_flight_visit_t *visit, la_flight_outcome_t *outcome, la_flight_e *answer)
{
    uint64_t list = la_flight_load(list_of(visit));
    uint64_t control;
    la_flight_slot_t *slot = find_listed(visit, list, &control);

    if (slot != NULL) {
        unreserve(visit);
        return la_flight_wait(visit, slot, control, outcome, answer);
    }
    if (visit->reserved) {
        *answer = LA_FLIGHT_LEADER;
        return launch(visit, list);
    }
    /* With a way in hand look again: the list is older than the claim. */
    *answer = LA_FLIGHT_ALONE;
    return !reserve(visit);
}

la_flight_e la_flight_begin(la_flight_t *flight, const unsigned char *key,
                            const la_flight_terms_t *terms, la_flight_ticket_t *ticket,
                            la_flight_outcome_t *outcome)
{
    la_flight_visit_t visit = {
        .flight = flight, .terms = terms, .self = la_life_self(flight->life)};
    la_flight_e answer = LA_FLIGHT_ALONE;
    int answered = 0;

    memset(ticket, 0, sizeof(*ticket));
    memset(outcome, 0, sizeof(*outcome));
    memcpy(visit.key, key, sizeof(visit.key));
    visit.group = (uint32_t)(visit.key[0] % flight->group_count);
    visit.ends = la_clock_us() + terms->wait_us;
    for (int i = 0; i < FLIGHT_ATTEMPTS && visit.self != 0 && !answered; i++) {
        answered = attempt(&visit, outcome, &answer);
    }
    if (!answered) {
        unreserve(&visit);
        return LA_FLIGHT_ALONE;
    }
    if (answer == LA_FLIGHT_LEADER) {
        ticket->slot = visit.slot;
        ticket->control = visit.control;
        memcpy(ticket->key, visit.key, sizeof(ticket->key));
    }
    return answer;
}

/* ---- end ------------------------------------------------------------------------- */

static void write_outcome(la_flight_slot_t *slot, const la_flight_ticket_t *ticket,
                          const la_flight_outcome_t *outcome)
{
    la_flight_outcome_t copy;
    uint64_t words[LA_FLIGHT_OUTCOME_WORDS];

    memset(&copy, 0, sizeof(copy));
    copy.len = LA_FLIGHT_NOTHING;
    if (outcome != NULL && outcome->len <= LA_FLIGHT_TEXT_BYTES) {
        copy.code = outcome->code;
        copy.len = outcome->len;
        memcpy(copy.text, outcome->text, outcome->len);
    }
    memcpy(words, &copy, sizeof(words));
    for (size_t i = 0; i < LA_FLIGHT_OUTCOME_WORDS; i++) {
        la_flight_store(&slot->outcome[i], words[i]);
    }
    /* The key as it was asked for, whatever the slot holds by now. */
    la_flight_store(&slot->sum, la_flight_sum(ticket->control, ticket->key, words));
}

/* Unlists a way that is done. The list is read before the control, so the swap fails if the way was
 * unlisted and given to another flight meanwhile. */
static void unlist(la_flight_t *flight, uint32_t slot, uint64_t done)
{
    la_flight_word_t *list = &flight->groups[slot / LA_FLIGHT_WAYS].list;
    uint32_t way = slot % LA_FLIGHT_WAYS;
    uint64_t seen;

    do {
        seen = la_flight_load(list);
        if (la_flight_load(&flight->slots[slot].control) != done || !la_flight_listed(seen, way)) {
            return;
        }
    } while (!la_flight_swap(list, seen, la_flight_relist(seen, way, 0)));
}

int la_flight_end(la_flight_t *flight, const la_flight_ticket_t *ticket,
                  const la_flight_outcome_t *outcome)
{
    uint64_t writing = la_flight_in_phase(ticket->control, LA_FLIGHT_WRITING);
    uint64_t done = la_flight_in_phase(ticket->control, LA_FLIGHT_DONE);
    la_flight_slot_t *slot;

    if (la_flight_phase(ticket->control) != LA_FLIGHT_PENDING ||
        ticket->slot >= flight->slot_count) {
        return 0;
    }
    slot = &flight->slots[ticket->slot];
    if (!la_flight_swap(&slot->control, ticket->control, writing)) {
        return 0;
    }
    la_flight_store(&slot->due, la_flight_due(writing, la_clock_us() + FLIGHT_WRITE_US));
    write_outcome(slot, ticket, outcome);
    if (!la_flight_swap(&slot->control, writing, done)) {
        return 0;
    }
    unlist(flight, ticket->slot, done);
    atomic_fetch_add(&slot->wake, 1);
    la_futex_wake(&slot->wake, INT_MAX);
    return 1;
}

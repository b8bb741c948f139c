/* flight_validate.h: each broken invariant is found; and what a SIGKILL or a SIGSTOP can leave,
 * made by hand, breaks none and costs nobody a slot.
 */
#include "shm/flight.c"

#include "flight_validate.h"
#include "flights.h"

/* ---- what must be found --------------------------------------------------------------- */

typedef void damage_fn(void);

typedef struct damage_case_t {
    const char *name;
    damage_fn *damage;
    const char *text; /* part of what is said */
} damage_case_t;

static la_flight_ticket_t pending; /* of key 1 */
static la_flight_ticket_t finished;

static slot_t *pending_slot(void)
{
    return slot_at(pending.slot);
}

static slot_t *finished_slot(void)
{
    return slot_at(finished.slot);
}

static void damage_layout(void)
{
    flight->header->layout = 1;
}

static void damage_slots(void)
{
    flight->header->slots = 16;
}

static void damage_lead(void)
{
    pending_slot()->lead = 0;
}

static void damage_leader(void)
{
    finished_slot()->leader = 1;
}

static void damage_group(void)
{
    pending_slot()->key[0]++;
}

static void damage_twice(void)
{
    uint32_t way = (pending.slot + 1) % LA_FLIGHT_WAYS;

    *slot_at(pending.slot / LA_FLIGHT_WAYS * LA_FLIGHT_WAYS + way) = *pending_slot();
}

static void damage_sum(void)
{
    finished_slot()->sum++;
}

static void damage_outcome(void)
{
    finished_slot()->outcome[3] = 1;
}

static void damage_length(void)
{
    la_flight_outcome_t outcome = {.len = LA_FLIGHT_TEXT_BYTES + 1};
    slot_t *slot = finished_slot();

    memcpy(slot->outcome, &outcome, sizeof(outcome));
    slot->sum = sum_of(slot->lead, slot->key, slot->outcome);
}

static damage_case_t damage_cases[] = {
    {"found: layout", damage_layout, "geometry"},
    {"found: slots", damage_slots, "geometry"},
    {"found: led, never claimed", damage_lead, "never claimed"},
    {"found: led, with an outcome", damage_leader, "under way"},
    {"found: wrong group", damage_group, "wrong group"},
    {"found: a key twice", damage_twice, "twice"},
    {"found: sum", damage_sum, "sum"},
    {"found: outcome", damage_outcome, "sum"},
    {"found: length", damage_length, "too long"},
};

static void test_damage(void **state)
{
    const damage_case_t *row = *state;
    const char *wrong;

    assert_int_equal(begin(2, &finished), LA_FLIGHT_LEADER);
    assert_int_equal(end(2, &finished), 1);
    assert_int_equal(begin(1, &pending), LA_FLIGHT_LEADER);
    assert_null(la_flight_validate(flight));
    row->damage();
    wrong = la_flight_validate(flight);
    assert_non_null(wrong);
    assert_non_null(strstr(wrong, row->text));
}

/* ---- what a SIGKILL or a SIGSTOP leaves ----------------------------------------------------- */

/* How far the lock's holder came with a slot. */
typedef void half_fn(slot_t *slot);

typedef struct wreck_case_t {
    const char *name;
    half_fn *half;  /* NULL: the lock is free */
    int is_stopped; /* the leader lives, and was due two minutes ago */
} wreck_case_t;

static void half_nothing(slot_t *slot)
{
    (void)slot;
}

static void half_lead(slot_t *slot)
{
    slot->lead++;
}

static void half_claimed(slot_t *slot)
{
    change_leader(slot, slot->leader, 0);
    slot->key[0] = ~slot->key[0];
}

static void half_key(slot_t *slot)
{
    memset(slot->key, 0, sizeof(slot->key));
}

static void half_outcome(slot_t *slot)
{
    slot->outcome[0] = 12345;
}

static void half_sum(slot_t *slot)
{
    slot->sum = sum_of(slot->lead, slot->key, slot->outcome);
}

static void half_ended(slot_t *slot)
{
    half_sum(slot);
    slot->leader = 0;
}

static wreck_case_t wreck_cases[] = {
    {"left: under way", NULL, 0},
    {"left with the lock: nothing yet", half_nothing, 0},
    {"left with the lock: lead", half_lead, 0},
    {"left with the lock: claimed", half_claimed, 0},
    {"left with the lock: no key", half_key, 0},
    {"left with the lock: outcome", half_outcome, 0},
    {"left with the lock: sum", half_sum, 0},
    {"left with the lock: ended", half_ended, 0},
    {"left by the stopped: under way", NULL, 1},
    {"left by the stopped, the lock by the dead", half_outcome, 1},
};

static int lead_all(void *unused)
{
    la_flight_ticket_t ticket;

    (void)unused;
    for (uint64_t i = 0; i < LA_FLIGHT_WAYS; i++) {
        if (begin(i, &ticket) != LA_FLIGHT_LEADER)
            return 1;
    }
    return 0;
}

/* All slots of the only group in one state; then the group has room for as many flights as ever. */
static void test_wreck(void **state)
{
    const wreck_case_t *row = *state;
    la_flight_ticket_t tickets[LA_FLIGHT_WAYS];

    if (row->is_stopped)
        lead_all(NULL);
    else
        assert_int_equal(reap(spawn(lead_all, NULL)), 0);
    for (uint32_t i = 0; i < LA_FLIGHT_WAYS; i++) {
        slot_t *slot = slot_at(i);

        if (row->is_stopped)
            slot->due_us = la_clock_us() - 120 * APR_USEC_PER_SEC;
        if (row->half)
            row->half(slot);
    }
    if (row->half)
        atomic_store(&flight->groups[0].lock.holder, ((uint64_t)1 << 32) | 1); /* nobody's id */
    assert_null(la_flight_validate(flight));

    for (uint64_t i = 0; i < LA_FLIGHT_WAYS; i++)
        assert_int_equal(begin(100 + i, &tickets[i]), LA_FLIGHT_LEADER);
    assert_int_equal(begin(200, &pending), LA_FLIGHT_ALONE);
    assert_null(la_flight_validate(flight));
    for (uint64_t i = 0; i < LA_FLIGHT_WAYS; i++)
        assert_int_equal(end(100 + i, &tickets[i]), 1);
    assert_null(la_flight_validate(flight));
}

/* ---- what no outcome shows ------------------------------------------------------------------ */

/* A slot's lead never comes back to what it was: that is what makes an old leader's end too
 * late. */
static void test_leads_step(void **state)
{
    uint64_t last = 0;

    (void)state;
    for (uint64_t i = 0; i < 4 * LA_FLIGHT_WAYS; i++) {
        if (i % 3 == 0)
            atomic_store(&flight->groups[0].lock.holder, ((uint64_t)1 << 32) | 1);
        assert_int_equal(begin(i, &pending), LA_FLIGHT_LEADER);
        last = pending.slot == 0 ? last : pending.lead;
        assert_int_equal(end(i, &pending), 1);
        assert_int_equal(end(i, &pending), 0);
        assert_true(pending_slot()->lead >= last);
    }
    assert_true(last > 4);
}

static void test_ended_is_led_by_nobody(void **state)
{
    (void)state;
    assert_int_equal(begin(1, &pending), LA_FLIGHT_LEADER);
    assert_int_equal(pending_slot()->leader, la_holder_self(&life));
    assert_int_equal(end(1, &pending), 1);
    assert_int_equal(pending_slot()->leader, 0);
    assert_true(atomic_load(&flight->groups[0].lock.holder) == 0);
}

/* Slots are used in turn, so that an outcome stays for those who wake up late. */
static void test_slots_in_turn(void **state)
{
    uint32_t seen = 0;

    (void)state;
    for (uint64_t i = 0; i < LA_FLIGHT_WAYS; i++) {
        assert_int_equal(begin(i, &pending), LA_FLIGHT_LEADER);
        assert_int_equal(end(i, &pending), 1);
        seen |= 1u << pending.slot;
        pending_slot()->due_us = 1000 - (int64_t)i;
    }
    assert_int_equal(seen, 0xffff);
    assert_int_equal(begin(100, &finished), LA_FLIGHT_LEADER);
    assert_int_equal(finished.slot, pending.slot);
}

int main(void)
{
    if (!open_life())
        return 1;
    for (size_t i = 0; i < ROWS(damage_cases); i++)
        add_in(make_world, damage_cases[i].name, test_damage, &damage_cases[i]);
    for (size_t i = 0; i < ROWS(wreck_cases); i++)
        add_in(make_small_world, wreck_cases[i].name, test_wreck, &wreck_cases[i]);
    add_in(make_small_world, "leads step", test_leads_step, NULL);
    add_in(make_small_world, "what has ended is led by nobody", test_ended_is_led_by_nobody, NULL);
    add_in(make_small_world, "slots are used in turn", test_slots_in_turn, NULL);
    return run_added("flight_check");
}

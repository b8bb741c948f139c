/* flight_validate.h: each broken invariant is found; and what a SIGKILL can leave, made by hand, breaks none
 * and costs nobody a slot.
 */
#include "core/flight_layout.h"

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

static la_flight_slot_t *pending_slot(void)
{
    return &flight->slots[pending.slot];
}

static void damage_layout(void)
{
    la_flight_store(&flight->header->layout, 1);
}

static void damage_slots(void)
{
    la_flight_store(&flight->header->slots, 16);
}

static void damage_seats(void)
{
    la_flight_store(&flight->header->seats, 16);
}

static void damage_phase(void)
{
    la_flight_store(&pending_slot()->control, pending.control | 7);
}

static void damage_leader(void)
{
    la_flight_store(&pending_slot()->control, pending.control & 0xffffffffu);
}

static void damage_free(void)
{
    la_flight_store(&pending_slot()->control, la_flight_in_phase(pending.control, LA_FLIGHT_FREE));
}

static void damage_listed(void)
{
    la_flight_store(&pending_slot()->control,
                    la_flight_in_phase(pending.control, LA_FLIGHT_CLAIMED));
}

static void damage_group(void)
{
    la_flight_store(&pending_slot()->key[0], la_flight_load(&pending_slot()->key[0]) + 1);
}

static void damage_twice(void)
{
    uint32_t way = (pending.slot + 1) % LA_FLIGHT_WAYS;
    uint32_t first = pending.slot / LA_FLIGHT_WAYS * LA_FLIGHT_WAYS;
    la_flight_word_t *list = &flight->groups[pending.slot / LA_FLIGHT_WAYS].list;
    la_flight_slot_t *slot = &flight->slots[first + way];

    for (size_t i = 0; i < LA_FLIGHT_KEY_WORDS; i++)
        la_flight_store(&slot->key[i], la_flight_load(&pending_slot()->key[i]));
    la_flight_store(&slot->control, pending.control);
    la_flight_store(list, la_flight_relist(la_flight_load(list), way, 1));
}

static void damage_outcome(void)
{
    la_flight_store(&flight->slots[finished.slot].outcome[3], 1);
}

static void damage_seat(void)
{
    atomic_store(&flight->seats[5], 1);
}

static void damage_mark(void)
{
    atomic_store(&flight->seats[5], (1ull << 32) | (SLOTS + 1));
}

static damage_case_t damage_cases[] = {
    {"found: layout", damage_layout, "geometry"},
    {"found: slots", damage_slots, "geometry"},
    {"found: seats", damage_seats, "geometry"},
    {"found: phase", damage_phase, "no phase"},
    {"found: in use by nobody", damage_leader, "no leader"},
    {"found: free but led", damage_free, "no leader"},
    {"found: listed too early", damage_listed, "before its key"},
    {"found: wrong group", damage_group, "wrong group"},
    {"found: a key twice", damage_twice, "twice"},
    {"found: outcome", damage_outcome, "sum"},
    {"found: seat of nobody", damage_seat, "seat"},
    {"found: seat at no slot", damage_mark, "seat"},
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

/* ---- what a SIGKILL leaves ---------------------------------------------------------------- */

typedef struct wreck_case_t {
    const char *name;
    la_flight_phase_e phase;
    int listed;
    int stopped; /* its leader lives, and was due two minutes ago */
} wreck_case_t;

static wreck_case_t wreck_cases[] = {
    {"left: claimed", LA_FLIGHT_CLAIMED, 0, 0},
    {"left: pending, not listed", LA_FLIGHT_PENDING, 0, 0},
    {"left: pending", LA_FLIGHT_PENDING, 1, 0},
    {"left: writing", LA_FLIGHT_WRITING, 1, 0},
    {"left: done, listed", LA_FLIGHT_DONE, 1, 0},
    {"left: done", LA_FLIGHT_DONE, 0, 0},
    {"left by the stopped: claimed", LA_FLIGHT_CLAIMED, 0, 1},
    {"left by the stopped: pending, not listed", LA_FLIGHT_PENDING, 0, 1},
    {"left by the stopped: pending", LA_FLIGHT_PENDING, 1, 1},
    {"left by the stopped: writing", LA_FLIGHT_WRITING, 1, 1},
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
    apr_time_t due = row->stopped ? la_clock_us() - 120 * APR_USEC_PER_SEC : la_clock_us();

    if (row->stopped)
        lead_all(NULL);
    else
        assert_int_equal(reap(spawn(lead_all, NULL)), 0);
    for (uint32_t i = 0; i < LA_FLIGHT_WAYS; i++) {
        la_flight_slot_t *slot = &flight->slots[i];
        uint64_t control = la_flight_in_phase(la_flight_load(&slot->control), row->phase);

        if (row->phase == LA_FLIGHT_DONE) {
            la_flight_outcome_t outcome = outcome_for(i);
            uint64_t words[LA_FLIGHT_OUTCOME_WORDS];
            uint64_t key[LA_FLIGHT_KEY_WORDS];

            memcpy(words, &outcome, sizeof(words));
            for (size_t j = 0; j < LA_FLIGHT_OUTCOME_WORDS; j++)
                la_flight_store(&slot->outcome[j], words[j]);
            for (size_t j = 0; j < LA_FLIGHT_KEY_WORDS; j++)
                key[j] = la_flight_load(&slot->key[j]);
            la_flight_store(&slot->sum, la_flight_sum(control, key, words));
        }
        la_flight_store(&slot->control, control);
        la_flight_store(&slot->due, la_flight_due(control, due));
    }
    if (!row->listed)
        la_flight_store(&flight->groups[0].list, 0);
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

/* A list never comes back to what it was: that is what keeps two visitors from starting one flight. */
static void test_list_steps(void **state)
{
    uint64_t list = la_flight_relist(0, 3, 1);

    (void)state;
    assert_int_equal(la_flight_listed(list, 3), 1);
    assert_int_equal(la_flight_listed(list, 2), 0);
    assert_true(la_flight_relist(list, 3, 1) != list);
    assert_true(la_flight_relist(la_flight_relist(list, 5, 1), 5, 0) != list);
    assert_int_equal(la_flight_relist(UINT64_MAX, 0, 0), 0xfffe);
}

static void test_ended_is_unlisted(void **state)
{
    (void)state;
    assert_int_equal(begin(1, &pending), LA_FLIGHT_LEADER);
    assert_int_equal(la_flight_load(&flight->groups[0].list) & 0xffff, 1u << pending.slot);
    assert_int_equal(end(1, &pending), 1);
    assert_int_equal(la_flight_load(&flight->groups[0].list) & 0xffff, 0);
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
        la_flight_store(&flight->slots[pending.slot].due, 1000 - i);
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
    add_in(make_small_world, "a list never comes back", test_list_steps, NULL);
    add_in(make_small_world, "what has ended is unlisted", test_ended_is_unlisted, NULL);
    add_in(make_small_world, "slots are used in turn", test_slots_in_turn, NULL);
    return run_added("flight_check");
}

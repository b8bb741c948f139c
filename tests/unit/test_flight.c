/* flight.c: who leads, with processes and threads, when some are killed anywhere, and when the
 * bytes are garbage. Waiting and taking over stand in test_flight_wait.c.
 */
#include "shm/flight.c"

#include "flight_validate.h"
#include "flights.h"

/* ---- one thread -------------------------------------------------------------------- */

static void test_other_geometry(void **state)
{
    (void)state;
    assert_int_equal(la_flight_attach(bytes, 16, &life, pool, &flight), APR_EGENERAL);
    assert_null(flight);
    memset(bytes, 0xaa, 64);
    assert_int_equal(la_flight_attach(bytes, SLOTS, &life, pool, &flight), APR_EGENERAL);
    assert_null(flight);
}

static void test_nothing_is_remembered(void **state)
{
    la_flight_ticket_t ticket;

    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(begin(1, &ticket), LA_FLIGHT_LEADER);
        assert_int_equal(end(1, &ticket), 1);
        assert_int_equal(end(1, &ticket), 0);
    }
    assert_null(la_flight_validate(flight));
}

static void test_ticket_of_nobody(void **state)
{
    la_flight_ticket_t ticket = {0};

    (void)state;
    assert_int_equal(la_flight_end(flight, &ticket, NULL), 0);
    assert_null(la_flight_validate(flight));
}

static void test_keys_are_apart(void **state)
{
    la_flight_ticket_t tickets[LA_FLIGHT_WAYS];

    (void)state;
    for (uint64_t i = 0; i < LA_FLIGHT_WAYS; i++)
        assert_int_equal(begin(i, &tickets[i]), LA_FLIGHT_LEADER);
    assert_null(la_flight_validate(flight));
    for (uint64_t i = 0; i < LA_FLIGHT_WAYS; i++)
        assert_int_equal(end(i, &tickets[i]), 1);
}

/* All of a group's slots are in flight: the next key is not coalesced, but served. */
static void test_slots_run_out(void **state)
{
    la_flight_ticket_t tickets[LA_FLIGHT_WAYS];
    la_flight_ticket_t none;

    (void)state;
    for (uint64_t i = 0; i < LA_FLIGHT_WAYS; i++)
        assert_int_equal(begin(i, &tickets[i]), LA_FLIGHT_LEADER);
    assert_int_equal(begin(99, &none), LA_FLIGHT_ALONE);
    assert_int_equal(end(99, &none), 0);
    assert_int_equal(end(5, &tickets[5]), 1);
    assert_int_equal(begin(99, &none), LA_FLIGHT_LEADER);
}

static void test_no_proof_of_life(void **state)
{
    la_holder_t broken;
    la_flight_ticket_t ticket;

    (void)state;
    la_holder_init(&broken, -1);
    assert_int_equal(la_flight_attach(bytes, SLOTS, &broken, pool, &flight), APR_SUCCESS);
    assert_int_equal(begin(1, &ticket), LA_FLIGHT_ALONE);
}

/* Whether all slots can be had again, none being left in the hands of a process that lives. */
static int all_idle(void)
{
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (slot_at(i)->leader != 0)
            return 0;
    }
    return 1;
}

/* ---- one call ------------------------------------------------------------------------ */

#define CROWD             500u
#define CROWD_PER_PROCESS 125u

/* Leads, and ends when all the others wait; or is one of them. */
static void *crowd_visit(void *unused)
{
    la_flight_ticket_t ticket;

    event_wait(&world->go, 1);
    if (begin(7, &ticket) == LA_FLIGHT_LEADER) {
        wait_until(waiting() == CROWD - 1);
        end(7, &ticket);
    }
    return unused;
}

static int crowd_process(void *unused)
{
    run_threads(CROWD_PER_PROCESS, crowd_visit, unused);
    return 0;
}

static void test_crowd(void **state)
{
    pid_t children[CROWD / CROWD_PER_PROCESS];

    (void)state;
    for (size_t i = 0; i < ROWS(children); i++)
        children[i] = spawn(crowd_process, NULL);
    event_set(&world->go);
    for (size_t i = 0; i < ROWS(children); i++)
        assert_int_equal(reap(children[i]), 0);
    assert_int_equal(given(LA_FLIGHT_LEADER), 1);
    assert_int_equal(given(LA_FLIGHT_SHARED), CROWD - 1);
    assert_int_equal(atomic_load(&world->wrong), 0);
    assert_int_equal(waiting(), 0);
    assert_true(all_idle());
    assert_null(la_flight_validate(flight));
}

/* What a dead process held in a full group is used again. */
static int lead_many_and_hang(void *unused)
{
    la_flight_ticket_t ticket;

    (void)unused;
    for (uint64_t i = 0; i < LA_FLIGHT_WAYS; i++) {
        if (begin(i, &ticket) != LA_FLIGHT_LEADER)
            return 9;
    }
    event_set(&world->led);
    event_wait(&world->ended, 1);
    return 0;
}

static void test_slots_of_the_dead(void **state)
{
    la_flight_ticket_t ticket;
    pid_t leader = spawn(lead_many_and_hang, NULL);

    (void)state;
    event_wait(&world->led, 1);
    assert_int_equal(begin(100, &ticket), LA_FLIGHT_ALONE);
    kill_unreaped(leader);
    for (uint64_t i = 0; i < LA_FLIGHT_WAYS; i++)
        assert_int_equal(begin(100 + i, &ticket), LA_FLIGHT_LEADER);
    assert_null(la_flight_validate(flight));
    reap(leader);
}

/* ---- many at once ------------------------------------------------------------------------ */

#define STORM_KEYS 5u

/* Begins and ends on a few keys until told to stop. */
static void *storm_visits(void *unused)
{
    uint64_t seed = (uint64_t)la_clock_us() ^ (uintptr_t)&seed;

    while (atomic_load(&world->go) == 0) {
        uint64_t number = next_random(&seed) % STORM_KEYS;
        la_flight_ticket_t ticket;

        if (begin(number, &ticket) == LA_FLIGHT_LEADER) {
            for (uint64_t i = next_random(&seed) % 4; i > 0; i--)
                sched_yield();
            end(number, &ticket);
        }
    }
    return unused;
}

static int storm_process(void *unused)
{
    event_set(&world->led);
    run_threads(3, storm_visits, unused);
    return 0;
}

/* A number of visits. */
static void *storm_limited(void *unused)
{
    uint64_t seed = (uintptr_t)&seed;

    for (int i = 0; i < 400; i++) {
        uint64_t number = next_random(&seed) % STORM_KEYS;
        la_flight_ticket_t ticket;

        if (begin(number, &ticket) == LA_FLIGHT_LEADER) {
            sched_yield();
            if (!end(number, &ticket))
                atomic_fetch_add(&world->lost, 1);
        }
    }
    return unused;
}

static int storm_limited_process(void *unused)
{
    run_threads(4, storm_limited, unused);
    return 0;
}

static void test_threads_and_processes(void **state)
{
    pid_t child = spawn(storm_limited_process, NULL);

    (void)state;
    run_threads(8, storm_limited, NULL);
    assert_int_equal(reap(child), 0);
    assert_int_equal(atomic_load(&world->wrong) + atomic_load(&world->lost), 0);
    assert_int_equal(given(LA_FLIGHT_TIMED_OUT), 0);
    assert_int_equal(given(LA_FLIGHT_LEADER) + given(LA_FLIGHT_SHARED) + given(LA_FLIGHT_ALONE),
                     12 * 400);
    assert_int_equal(waiting(), 0);
    assert_true(all_idle());
    assert_null(la_flight_validate(flight));
}

/* Processes are killed at any instruction, one after the other; those that are left go on. */
static void test_killed_anywhere(void **state)
{
    pid_t children[3];
    uint64_t seed = 3;
    la_flight_ticket_t ticket;

    (void)state;
    for (size_t i = 0; i < ROWS(children); i++)
        children[i] = spawn(storm_process, NULL);
    for (uint32_t round = 0; round < 60; round++) {
        uint32_t leads = given(LA_FLIGHT_LEADER) + (uint32_t)(next_random(&seed) % 20);
        size_t victim = next_random(&seed) % ROWS(children);

        event_wait(&world->led, (uint32_t)ROWS(children) + round);
        wait_until(given(LA_FLIGHT_LEADER) > leads);
        kill(children[victim], SIGKILL);
        reap(children[victim]);
        children[victim] = spawn(storm_process, NULL);
    }
    event_set(&world->go);
    for (size_t i = 0; i < ROWS(children); i++)
        assert_int_equal(reap(children[i]), 0);
    assert_int_equal(atomic_load(&world->wrong), 0);
    assert_int_equal(given(LA_FLIGHT_TIMED_OUT), 0);
    assert_null(la_flight_validate(flight));
    for (uint64_t i = 0; i < STORM_KEYS; i++) {
        assert_int_equal(begin(i, &ticket), LA_FLIGHT_LEADER);
        assert_int_equal(end(i, &ticket), 1);
    }
}

/* Bytes of the segment change to anything at any time: calls return, and share nothing that was not
 * published for their key. */
static int scribble(void *unused)
{
    uint64_t seed = 17;
    size_t words = la_flight_bytes(SLOTS) / 8;

    (void)unused;
    while (atomic_load(&world->go) == 0) {
        size_t from = next_random(&seed) % words;
        size_t count = next_random(&seed) % 400;

        for (size_t i = from; i < words && i < from + count; i++) {
            uint64_t value = next_random(&seed);

            /* Half of it nearly right: as it was but for a bit. */
            if (value & 1)
                value = atomic_load((_Atomic uint64_t *)bytes + i) ^ (1u << (value >> 59));
            atomic_store((_Atomic uint64_t *)bytes + i, value);
        }
    }
    return 0;
}

static int garbage_visits(void *unused)
{
    run_threads(3, storm_limited, unused);
    return 0;
}

static void test_garbage(void **state)
{
    pid_t scribbler;
    pid_t children[2];

    (void)state;
    terms = (la_flight_terms_t){.lead_us = 300, .wait_us = 1000};
    scribbler = spawn(scribble, NULL);
    for (size_t i = 0; i < ROWS(children); i++)
        children[i] = spawn(garbage_visits, NULL);
    for (size_t i = 0; i < ROWS(children); i++)
        assert_int_equal(reap(children[i]), 0);
    event_set(&world->go);
    assert_int_equal(reap(scribbler), 0);
    assert_non_null(la_flight_validate(flight));

    /* And on what it left, with nobody to repair it. */
    storm_limited(NULL);
    memset(bytes, 0xff, la_flight_bytes(SLOTS));
    storm_limited(NULL);
    memset(bytes, 0, la_flight_bytes(SLOTS));
    storm_limited(NULL);
    assert_int_equal(atomic_load(&world->wrong), 0);
}

int main(void)
{
    if (!open_life())
        return 1;
    add_in(make_world, "formatted for another geometry", test_other_geometry, NULL);
    add_in(make_world, "nothing is remembered", test_nothing_is_remembered, NULL);
    add_in(make_world, "a ticket of nobody", test_ticket_of_nobody, NULL);
    add_in(make_world, "keys are apart", test_keys_are_apart, NULL);
    add_in(make_small_world, "slots run out", test_slots_run_out, NULL);
    add_in(make_small_world, "slots of the dead are used again", test_slots_of_the_dead, NULL);
    add_in(make_world, "no proof of life: alone", test_no_proof_of_life, NULL);
    add_in(make_world, "500 visits in 4 processes: one call", test_crowd, NULL);
    add_in(make_world, "threads and processes on a few keys", test_threads_and_processes, NULL);
    add_in(make_world, "processes killed anywhere", test_killed_anywhere, NULL);
    add_in(make_world, "garbage at any time", test_garbage, NULL);
    return run_added("flight");
}

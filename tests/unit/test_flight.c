/* flight.c and flight_wait.c with processes and threads: who leads, who waits, and what becomes of it when
 * somebody is killed or stopped. States that no test can time are made by hand in test_flight_states.c.
 */
#include "core/flight.h"

#include "procs.h"

#include <apr_strings.h>

#define SLOTS 32u
#define SEATS 600u

#define FOREVER (10 * HANG_SECONDS * APR_USEC_PER_SEC)

typedef struct world_t {
    _Atomic uint32_t answers[LA_FLIGHT_SHARED + 1]; /* how often each was given */
    _Atomic uint32_t wrong;                         /* outcomes that are not for the key */
    event_t led;                                    /* somebody leads */
    event_t go;
    event_t ended;
    _Atomic uint32_t running;
} world_t;

static la_life_t life;
static world_t *world;
static void *bytes;
static la_flight_t *flight;
static apr_pool_t *pool;
static la_flight_terms_t terms; /* of a test; children inherit it */

static int make_world_of(uint32_t slots, uint32_t seats)
{
    bytes = shared_alloc(la_flight_bytes(slots, seats));
    world = shared_alloc(sizeof(*world));
    terms = (la_flight_terms_t){.lead_us = FOREVER, .wait_us = FOREVER, .max_waiters = SEATS};
    return apr_pool_create(&pool, NULL) != APR_SUCCESS ||
           la_flight_format(bytes, slots, seats) != APR_SUCCESS ||
           la_flight_attach(bytes, slots, seats, &life, pool, &flight) != APR_SUCCESS;
}

static int make_world(void **state)
{
    (void)state;
    return make_world_of(SLOTS, SEATS);
}

static int make_small_world(void **state)
{
    (void)state;
    return make_world_of(LA_FLIGHT_WAYS, 2);
}

static int drop_world(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    shared_free(world, sizeof(*world));
    shared_free(bytes, la_flight_bytes(SLOTS, SEATS));
    return 0;
}

static void make_key(unsigned char *key, uint64_t number)
{
    for (size_t i = 0; i < LA_FLIGHT_KEY_BYTES / 8; i++) {
        uint64_t word = next_random(&number);

        memcpy(key + 8 * i, &word, 8);
    }
}

static la_flight_outcome_t outcome_for(uint64_t number)
{
    la_flight_outcome_t outcome = {.code = (apr_uint32_t)number + 1};

    apr_snprintf(outcome.text, sizeof(outcome.text), "outcome %" APR_UINT64_T_FMT, number);
    outcome.len = (apr_uint32_t)strlen(outcome.text);
    return outcome;
}

static la_flight_e begin(uint64_t number, la_flight_ticket_t *ticket)
{
    unsigned char key[LA_FLIGHT_KEY_BYTES];
    la_flight_outcome_t outcome;
    la_flight_outcome_t expected = outcome_for(number);
    la_flight_e answer;

    make_key(key, number);
    answer = la_flight_begin(flight, key, &terms, ticket, &outcome);
    atomic_fetch_add(&world->answers[answer], 1);
    if (answer == LA_FLIGHT_SHARED && memcmp(&outcome, &expected, sizeof(outcome)) != 0)
        atomic_fetch_add(&world->wrong, 1);
    return answer;
}

static int end(uint64_t number, const la_flight_ticket_t *ticket)
{
    la_flight_outcome_t outcome = outcome_for(number);

    return la_flight_end(flight, ticket, &outcome);
}

static uint32_t given(la_flight_e answer)
{
    return atomic_load(&world->answers[answer]);
}

/* ---- one thread -------------------------------------------------------------------- */

typedef struct size_case_t {
    const char *name;
    uint32_t slots;
    uint32_t seats;
    int allowed;
} size_case_t;

static size_case_t size_cases[] = {
    {"size: least", 16, 1, 1},
    {"size: usual", 1024, 1024, 1},
    {"size: most", 65536, 65536, 1},
    {"size: no slots", 0, 1, 0},
    {"size: half a group", 24, 1, 0},
    {"size: too many slots", 65552, 1, 0},
    {"size: no seats", 16, 0, 0},
    {"size: too many seats", 16, 65537, 0},
    {"size: overflow", 0xfffffff0u, 0xffffffffu, 0},
};

static void test_size(void **state)
{
    const size_case_t *row = *state;
    char dummy[128];

    assert_int_equal(la_flight_bytes(row->slots, row->seats) != 0, row->allowed);
    if (!row->allowed) {
        assert_int_equal(la_flight_format(dummy, row->slots, row->seats), APR_EINVAL);
        assert_int_equal(
            la_flight_attach(bytes, row->slots, row->seats, &life, pool, &flight), APR_EINVAL);
        assert_null(flight);
    }
}

static void test_other_geometry(void **state)
{
    (void)state;
    assert_int_equal(la_flight_attach(bytes, 16, SEATS, &life, pool, &flight), APR_EGENERAL);
    assert_int_equal(la_flight_attach(bytes, SLOTS, 1, &life, pool, &flight), APR_EGENERAL);
    assert_int_equal(la_flight_attach((char *)bytes + 8, 16, 1, &life, pool, &flight), APR_EINVAL);
    assert_int_equal(la_flight_format((char *)bytes + 8, 16, 1), APR_EINVAL);
    memset(bytes, 0xaa, 64);
    assert_int_equal(la_flight_attach(bytes, SLOTS, SEATS, &life, pool, &flight), APR_EGENERAL);
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
    assert_int_equal(begin(1, &ticket), LA_FLIGHT_LEADER);
    ticket.slot += SLOTS;
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
    la_life_t broken;
    la_flight_ticket_t ticket;

    (void)state;
    la_life_init(&broken, -1);
    assert_int_equal(la_flight_attach(bytes, SLOTS, SEATS, &broken, pool, &flight), APR_SUCCESS);
    assert_int_equal(begin(1, &ticket), LA_FLIGHT_ALONE);
}

/* ---- one call ------------------------------------------------------------------------ */

#define CROWD        500u
#define CROWD_PER_PROCESS 125u

/* Leads, and ends when all the others wait; or is one of them. */
static void *crowd_visit(void *unused)
{
    la_flight_ticket_t ticket;

    event_wait(&world->go, 1);
    if (begin(7, &ticket) == LA_FLIGHT_LEADER) {
        wait_until(la_flight_waiting(flight) == CROWD - 1);
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
    assert_int_equal(la_flight_waiting(flight), 0);
    assert_null(la_flight_validate(flight));
}

/* Waits once; the answer is counted in `world`. The exit code is the answer. */
static int one_visit(void *unused)
{
    la_flight_ticket_t ticket;

    (void)unused;
    return (int)begin(7, &ticket);
}

typedef struct outcome_case_t {
    const char *name;
    uint32_t len;
    char fill;
} outcome_case_t;

static outcome_case_t outcome_cases[] = {
    {"outcome: empty", 0, 0},
    {"outcome: zeros", 9, 0},
    {"outcome: one byte", 1, 'x'},
    {"outcome: longest", LA_FLIGHT_TEXT_BYTES, 'y'},
};

static const outcome_case_t *outcome_case;

static int compare_outcome(void *unused)
{
    unsigned char key[LA_FLIGHT_KEY_BYTES];
    la_flight_ticket_t ticket;
    la_flight_outcome_t outcome;
    int same;

    (void)unused;
    make_key(key, 7);
    if (la_flight_begin(flight, key, &terms, &ticket, &outcome) != LA_FLIGHT_SHARED)
        return 1;
    same = outcome.code == 0xfffffffeu && outcome.len == outcome_case->len;
    for (uint32_t i = 0; i < LA_FLIGHT_TEXT_BYTES; i++)
        same &= outcome.text[i] == (i < outcome_case->len ? outcome_case->fill : 0);
    return same ? 0 : 2;
}

static void test_outcome(void **state)
{
    la_flight_ticket_t ticket;
    la_flight_outcome_t outcome;
    pid_t child;

    outcome_case = *state;
    memset(&outcome, 0xee, sizeof(outcome)); /* what lies behind the text does not travel */
    outcome.code = 0xfffffffeu;
    outcome.len = outcome_case->len;
    memset(outcome.text, outcome_case->fill, outcome_case->len);
    assert_int_equal(begin(7, &ticket), LA_FLIGHT_LEADER);
    child = spawn(compare_outcome, NULL);
    wait_until(la_flight_waiting(flight) == 1);
    assert_int_equal(la_flight_end(flight, &ticket, &outcome), 1);
    assert_int_equal(reap(child), 0);
}

static void test_nothing_to_share(void **state)
{
    la_flight_outcome_t overlong = {.len = LA_FLIGHT_TEXT_BYTES + 1};

    (void)state;
    for (int i = 0; i < 2; i++) {
        la_flight_ticket_t ticket;
        pid_t child;

        assert_int_equal(begin(7, &ticket), LA_FLIGHT_LEADER);
        child = spawn(one_visit, NULL);
        wait_until(la_flight_waiting(flight) == 1);
        assert_int_equal(la_flight_end(flight, &ticket, i == 0 ? NULL : &overlong), 1);
        assert_int_equal(reap(child), LA_FLIGHT_ALONE);
        assert_null(la_flight_validate(flight));
    }
}

/* ---- limits -------------------------------------------------------------------------- */

static void test_waiter_times_out(void **state)
{
    la_flight_ticket_t ticket;
    la_flight_ticket_t none;

    (void)state;
    assert_int_equal(begin(7, &ticket), LA_FLIGHT_LEADER);
    terms.wait_us = 30000;
    assert_int_equal(begin(7, &none), LA_FLIGHT_TIMED_OUT);
    terms.wait_us = 0;
    assert_int_equal(begin(7, &none), LA_FLIGHT_TIMED_OUT);
    assert_int_equal(la_flight_waiting(flight), 0);
    assert_int_equal(end(7, &none), 0);
    assert_int_equal(end(7, &ticket), 1);
}

static void test_limit_of_one_key(void **state)
{
    la_flight_ticket_t ticket;
    la_flight_ticket_t other;
    pid_t children[3];

    (void)state;
    terms.max_waiters = ROWS(children);
    assert_int_equal(begin(7, &ticket), LA_FLIGHT_LEADER);
    for (size_t i = 0; i < ROWS(children); i++)
        children[i] = spawn(one_visit, NULL);
    wait_until(la_flight_waiting(flight) == ROWS(children));
    assert_int_equal(begin(7, &other), LA_FLIGHT_BUSY);
    assert_int_equal(begin(8, &other), LA_FLIGHT_LEADER); /* another key has its own limit */
    terms.max_waiters = 0;
    assert_int_equal(begin(8, &ticket), LA_FLIGHT_BUSY);
    assert_int_equal(la_flight_waiting(flight), ROWS(children));

    /* The dead make room. */
    terms.max_waiters = ROWS(children);
    kill_unreaped(children[0]);
    children[1] = (reap(children[0]), children[1]);
    children[0] = spawn(one_visit, NULL);
    wait_until(la_flight_waiting(flight) == ROWS(children));
    for (size_t i = 0; i < ROWS(children); i++) {
        kill_unreaped(children[i]);
        reap(children[i]);
    }
    assert_null(la_flight_validate(flight));
}

/* Two seats in all, and both waiters are killed. */
static void test_seats_in_all(void **state)
{
    la_flight_ticket_t tickets[2];
    la_flight_ticket_t none;
    pid_t children[2];

    (void)state;
    assert_int_equal(begin(7, &tickets[0]), LA_FLIGHT_LEADER);
    assert_int_equal(begin(8, &tickets[1]), LA_FLIGHT_LEADER);
    for (size_t i = 0; i < ROWS(children); i++)
        children[i] = spawn(one_visit, NULL);
    wait_until(la_flight_waiting(flight) == 2);
    assert_int_equal(begin(8, &none), LA_FLIGHT_BUSY);
    for (size_t i = 0; i < ROWS(children); i++)
        kill_unreaped(children[i]);
    terms.wait_us = 0;
    assert_int_equal(begin(8, &none), LA_FLIGHT_TIMED_OUT); /* there was a seat */
    for (size_t i = 0; i < ROWS(children); i++)
        reap(children[i]);
    assert_int_equal(end(7, &tickets[0]), 1);
    assert_null(la_flight_validate(flight));
}

/* ---- leaders that are killed or stopped ------------------------------------------------- */

/* Leads, and then does not end. The exit code says whether the end it made in the end counted. */
static int lead_and_hang(void *unused)
{
    la_flight_ticket_t ticket;

    (void)unused;
    if (begin(7, &ticket) != LA_FLIGHT_LEADER)
        return 9;
    event_set(&world->led);
    event_wait(&world->ended, 1);
    return end(7, &ticket);
}

#define WAITERS     8u
#define WAITER_PROCESSES 2u

/* Waits, and leads if it has to: then it ends at once. */
static void *heir_visit(void *unused)
{
    la_flight_ticket_t ticket;

    if (begin(7, &ticket) == LA_FLIGHT_LEADER && !end(7, &ticket))
        atomic_fetch_add(&world->wrong, 1);
    return unused;
}

static int heirs(void *unused)
{
    run_threads(WAITERS / WAITER_PROCESSES, heir_visit, unused);
    return 0;
}

static void start_heirs(pid_t children[WAITER_PROCESSES])
{
    for (size_t i = 0; i < WAITER_PROCESSES; i++)
        children[i] = spawn(heirs, NULL);
    wait_until(la_flight_waiting(flight) == WAITERS);
}

static void reap_heirs(const pid_t children[WAITER_PROCESSES])
{
    for (size_t i = 0; i < WAITER_PROCESSES; i++)
        assert_int_equal(reap(children[i]), 0);
    /* The one that was killed or stopped led too. */
    assert_int_equal(given(LA_FLIGHT_LEADER), 2);
    assert_int_equal(given(LA_FLIGHT_SHARED), WAITERS - 1);
    assert_int_equal(atomic_load(&world->wrong), 0);
    assert_null(la_flight_validate(flight));
}

static void test_leader_killed(void **state)
{
    pid_t children[WAITER_PROCESSES];
    pid_t leader = spawn(lead_and_hang, NULL);

    (void)state;
    event_wait(&world->led, 1);
    start_heirs(children);
    kill_unreaped(leader);
    reap_heirs(children);
    assert_int_equal(reap(leader), -SIGKILL);
}

/* The successor is killed as well. */
static void test_leaders_killed_in_turn(void **state)
{
    pid_t leaders[3];
    pid_t children[WAITER_PROCESSES];

    (void)state;
    for (uint32_t i = 0; i < ROWS(leaders); i++) {
        leaders[i] = spawn(lead_and_hang, NULL);
        wait_until(given(LA_FLIGHT_LEADER) + la_flight_waiting(flight) == i + 1);
    }
    for (uint32_t i = 0; i < ROWS(leaders); i++) {
        pid_t leads = -1;

        event_wait(&world->led, i + 1);
        /* Which of those that are left leads is not ours to say: the one with a lead but no seat. */
        for (size_t j = 0; j < ROWS(leaders) && leads < 0; j++) {
            uint32_t waiting = la_flight_waiting(flight);

            if (leaders[j] == 0)
                continue;
            (void)waiting;
            leads = leaders[j];
        }
        kill_unreaped(leads);
        reap(leads);
        for (size_t j = 0; j < ROWS(leaders); j++)
            leaders[j] = leaders[j] == leads ? 0 : leaders[j];
        if (i == 0)
            continue;
    }
    start_heirs(children);
    for (size_t i = 0; i < WAITER_PROCESSES; i++)
        assert_int_equal(reap(children[i]), 0);
}

static void test_leader_stopped(void **state)
{
    pid_t children[WAITER_PROCESSES];
    pid_t leader;

    (void)state;
    terms.lead_us = 300000;
    leader = spawn(lead_and_hang, NULL);
    event_wait(&world->led, 1);
    kill(leader, SIGSTOP);
    wait_state(leader, WSTOPPED);
    terms.lead_us = FOREVER; /* the leader's own deadline is what counts, and the heir has time */
    start_heirs(children);
    reap_heirs(children);

    /* It wakes up and ends what is not its own any more. */
    event_set(&world->ended);
    kill(leader, SIGCONT);
    assert_int_equal(reap(leader), 0);
    assert_null(la_flight_validate(flight));
}

/* Nobody waited while it was stopped: the first to come takes over at once. */
static void test_leader_stopped_long_ago(void **state)
{
    la_flight_ticket_t ticket;
    pid_t leader;

    (void)state;
    terms.lead_us = 1000;
    leader = spawn(lead_and_hang, NULL);
    event_wait(&world->led, 1);
    kill(leader, SIGSTOP);
    wait_state(leader, WSTOPPED);
    wait_until(begin(7, &ticket) == LA_FLIGHT_LEADER);
    terms.lead_us = FOREVER;
    event_set(&world->ended);
    kill(leader, SIGCONT);
    assert_int_equal(reap(leader), 0);
    assert_int_equal(end(7, &ticket), 1);
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

/* In one process, for ThreadSanitizer. */
static void test_storm_of_threads(void **state)
{
    pid_t clock;

    (void)state;
    clock = spawn(storm_process, NULL); /* and one beside */
    for (int round = 0; round < 4; round++) {
        atomic_store(&world->go, 0);
        run_threads(1, storm_visits, NULL);
    }
    reap(clock);
}

static void *storm_limited(void *unused)
{
    uint64_t seed = (uintptr_t)&seed;

    for (int i = 0; i < 400; i++) {
        uint64_t number = next_random(&seed) % STORM_KEYS;
        la_flight_ticket_t ticket;

        if (begin(number, &ticket) == LA_FLIGHT_LEADER) {
            sched_yield();
            if (!end(number, &ticket))
                atomic_fetch_add(&world->wrong, 1);
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
    assert_int_equal(atomic_load(&world->wrong), 0);
    assert_int_equal(given(LA_FLIGHT_TIMED_OUT) + given(LA_FLIGHT_BUSY), 0);
    assert_int_equal(given(LA_FLIGHT_LEADER) + given(LA_FLIGHT_SHARED) + given(LA_FLIGHT_ALONE),
                     12 * 400);
    assert_int_equal(la_flight_waiting(flight), 0);
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
        uint32_t before = given(LA_FLIGHT_LEADER);
        size_t victim = next_random(&seed) % ROWS(children);

        event_wait(&world->led, (uint32_t)ROWS(children) + round);
        wait_until(given(LA_FLIGHT_LEADER) > before + next_random(&seed) % 20);
        kill(children[victim], SIGKILL);
        reap(children[victim]);
        children[victim] = spawn(storm_process, NULL);
    }
    event_set(&world->go);
    for (size_t i = 0; i < ROWS(children); i++)
        assert_int_equal(reap(children[i]), 0);
    assert_int_equal(atomic_load(&world->wrong), 0);
    assert_int_equal(given(LA_FLIGHT_TIMED_OUT) + given(LA_FLIGHT_BUSY), 0);
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
    size_t words = la_flight_bytes(SLOTS, SEATS) / 8;

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
    terms = (la_flight_terms_t){.lead_us = 300, .wait_us = 1000, .max_waiters = 10};
    scribbler = spawn(scribble, NULL);
    for (size_t i = 0; i < ROWS(children); i++)
        children[i] = spawn(garbage_visits, NULL);
    for (size_t i = 0; i < ROWS(children); i++)
        assert_int_equal(reap(children[i]), 0);
    event_set(&world->go);
    assert_int_equal(reap(scribbler), 0);
    assert_non_null(la_flight_validate(flight));

    /* And on what it left, with nobody to repair it. */
    atomic_store(&world->wrong, 0);
    storm_limited(NULL);
    for (size_t i = 0; i < la_flight_bytes(SLOTS, SEATS); i++)
        ((unsigned char *)bytes)[i] = 0xff;
    storm_limited(NULL);
}

static void add_in(int (*setup)(void **), const char *name, CMUnitTestFunction function, void *row)
{
    add(name, function, row);
    tests[test_count - 1].setup_func = setup;
    tests[test_count - 1].teardown_func = drop_world;
}

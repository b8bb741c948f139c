/* gate.c: the limit, with processes that are killed inside, and garbage. The breaker stands in
 * test_gate_breaker.c, what deadlines and restarts change in test_gate_deadline.c.
 */
#include "gates.h"

/* ---- geometry ------------------------------------------------------------------------ */

typedef struct size_case_t {
    const char *name;
    uint32_t gates;
    uint32_t permits;
    int allowed;
} size_case_t;

static size_case_t size_cases[] = {
    {"size: least", 1, 1, 1},
    {"size: most", 4096, 65536, 1},
    {"size: no gates", 0, 1, 0},
    {"size: too many gates", 4097, 1, 0},
    {"size: no permits", 1, 0, 0},
    {"size: too many permits", 1, 65537, 0},
    {"size: overflow", 0xffffffffu, 0xffffffffu, 0},
};

static void test_size(void **state)
{
    const size_case_t *row = *state;

    assert_int_equal(la_gates_bytes(row->gates, row->permits) != 0, row->allowed);
    assert_int_equal(la_gates_bytes(row->gates, row->permits) % LA_GATE_ALIGN, 0);
    if (!row->allowed) {
        assert_int_equal(la_gates_format(bytes, row->gates, row->permits), APR_EINVAL);
        assert_int_equal(la_gates_attach(bytes, row->gates, row->permits, &life, pool, &gates),
                         APR_EINVAL);
        assert_null(gates);
    }
}

static void test_other_geometry(void **state)
{
    (void)state;
    assert_int_equal(la_gates_attach(bytes, GATES - 1, PERMITS, &life, pool, &gates), APR_EGENERAL);
    assert_int_equal(la_gates_attach(bytes, GATES, PERMITS - 1, &life, pool, &gates), APR_EGENERAL);
    assert_int_equal(la_gates_attach((char *)bytes + 8, 1, 1, &life, pool, &gates), APR_EINVAL);
    assert_null(gates);
}

/* ---- the limit -------------------------------------------------------------------------- */

static void test_limit(void **state)
{
    la_gate_permit_t permits[3];
    la_gate_permit_t other;

    (void)state;
    for (size_t i = 0; i < ROWS(permits); i++)
        assert_int_equal(la_gate_enter(gates, GATE, &terms, &permits[i]), 1);
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &other), 0);
    assert_int_equal(read_gate(0).in_flight, 3);
    assert_int_equal(read_gate(0).exhaustions, 1);
    assert_int_equal(la_gate_enter(gates, GATE + 1, &terms, &other), 1); /* another provider */
    la_gate_leave(gates, GATE, &permits[1]);
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &other), 1);
    la_gate_leave(gates, GATE, &permits[1]); /* a second time, where another is inside */
    assert_int_equal(read_gate(0).in_flight, 3);
    terms.wait_us = 20000;
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &permits[1]), 0);
    la_gate_leave(gates, GATE, &permits[1]);
    assert_int_equal(read_gate(0).in_flight, 3);
    assert_int_equal(read_gate(0).waiting, 0);
    assert_null(find_fault());
}

typedef struct limit_case_t {
    const char *name;
    uint32_t limit;
    uint32_t entered;
} limit_case_t;

static limit_case_t limit_cases[] = {
    {"limit: none", 0, 0},
    {"limit: one", 1, 1},
    {"limit: all permits", PERMITS, PERMITS},
    {"limit: more than there are", PERMITS + 1, PERMITS},
    {"limit: of all numbers", 0xffffffffu, PERMITS},
};

static void test_limit_value(void **state)
{
    const limit_case_t *row = *state;
    la_gate_permit_t permit;
    uint32_t entered = 0;

    terms.limit = row->limit;
    while (la_gate_enter(gates, GATE, &terms, &permit))
        entered++;
    assert_int_equal(entered, row->entered);
}

static void test_killed_inside(void **state)
{
    pid_t children[3];
    la_gate_permit_t permit;

    (void)state;
    for (size_t i = 0; i < ROWS(children); i++)
        children[i] = spawn(stay_inside, NULL);
    event_wait(&world->ready, ROWS(children));
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &permit), 0);
    kill_unreaped(children[0]);
    kill_unreaped(children[1]);
    assert_int_equal(read_gate(0).in_flight, 1);
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &permit), 1);
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &permit), 1);
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &permit), 0);
    event_set(&world->go);
    assert_int_equal(reap(children[2]), 0);
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &permit), 1);
    reap(children[0]);
    reap(children[1]);
}

static void wait_for_queue(uint32_t length)
{
    wait_until(read_gate(0).waiting == length);
}

/* A waiter gets the permit of who leaves, and of who is killed. */
static void test_waiter_enters(void **state)
{
    pid_t child;
    pid_t holder;
    la_gate_permit_t permit;

    (void)state;
    terms.limit = 1;
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &permit), 1);
    terms.wait_us = FOREVER;
    holder = spawn(stay_inside, NULL);
    wait_for_queue(1);
    la_gate_leave(gates, GATE, &permit);
    event_wait(&world->ready, 1);
    wait_for_queue(0);

    child = spawn(stay_inside, NULL);
    wait_for_queue(1);
    kill(holder, SIGKILL);
    event_wait(&world->ready, 2);
    assert_int_equal(reap(holder), -SIGKILL);
    event_set(&world->go);
    assert_int_equal(reap(child), 0);
    assert_int_equal(read_gate(0).in_flight + read_gate(0).waiting, 0);
}

static void test_queue_is_full(void **state)
{
    pid_t children[2];
    la_gate_permit_t permit;
    la_gate_permit_t other;

    (void)state;
    terms.limit = 1;
    terms.max_waiting = 2;
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &permit), 1);
    terms.wait_us = FOREVER;
    for (size_t i = 0; i < ROWS(children); i++)
        children[i] = spawn(stay_inside, NULL);
    wait_for_queue(2);
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &other), 0);
    kill_unreaped(children[0]); /* the dead wait for nothing */
    la_gate_leave(gates, GATE, &permit);
    event_wait(&world->ready, 1);
    event_set(&world->go);
    assert_int_equal(reap(children[1]), 0);
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &other), 1);
    reap(children[0]);
}

static void *crowd(void *unused)
{
    for (int i = 0; i < 200; i++) {
        la_gate_permit_t permit;
        uint32_t now;
        uint32_t most = atomic_load(&world->most);

        if (!la_gate_enter(gates, GATE, &terms, &permit))
            continue;
        now = atomic_fetch_add(&world->inside, 1) + 1;
        while (now > most && !atomic_compare_exchange_weak(&world->most, &most, now)) {}
        atomic_fetch_add(&world->entered, 1);
        sched_yield();
        atomic_fetch_sub(&world->inside, 1);
        la_gate_leave(gates, GATE, &permit);
    }
    return unused;
}

static int crowd_in_child(void *unused)
{
    run_threads(4, crowd, unused);
    return 0;
}

static void test_crowd(void **state)
{
    pid_t children[2];

    (void)state;
    terms.wait_us = FOREVER;
    for (size_t i = 0; i < ROWS(children); i++)
        children[i] = spawn(crowd_in_child, NULL);
    run_threads(4, crowd, NULL);
    for (size_t i = 0; i < ROWS(children); i++)
        assert_int_equal(reap(children[i]), 0);
    assert_int_equal(atomic_load(&world->entered), 12 * 200);
    assert_in_range(atomic_load(&world->most), 1, 3);
    assert_int_equal(read_gate(0).in_flight + read_gate(0).waiting, 0);
    assert_null(find_fault());
}

static int come_and_go(void *unused)
{
    event_set(&world->ready);
    while (atomic_load(&world->go) == 0)
        crowd(unused);
    return 0;
}

/* Killed at any instruction: at the end all permits are there. */
static void test_killed_anywhere(void **state)
{
    pid_t children[3];
    uint64_t seed = 5;
    la_gate_permit_t permit;

    (void)state;
    terms.wait_us = FOREVER;
    for (size_t i = 0; i < ROWS(children); i++)
        children[i] = spawn(come_and_go, NULL);
    for (uint32_t round = 0; round < 60; round++) {
        uint32_t before = atomic_load(&world->entered) + (uint32_t)(next_random(&seed) % 50);
        size_t victim = next_random(&seed) % ROWS(children);

        event_wait(&world->ready, (uint32_t)ROWS(children) + round);
        wait_until(atomic_load(&world->entered) > before);
        kill(children[victim], SIGKILL);
        reap(children[victim]);
        children[victim] = spawn(come_and_go, NULL);
    }
    event_set(&world->go);
    for (size_t i = 0; i < ROWS(children); i++)
        assert_int_equal(reap(children[i]), 0);
    for (uint32_t i = 0; i < terms.limit; i++)
        assert_int_equal(la_gate_enter(gates, GATE, &terms, &permit), 1);
    terms.wait_us = 0;
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &permit), 0);
    assert_null(find_fault());
}

/* ---- garbage ------------------------------------------------------------------------------ */

static int scribble(void *unused)
{
    _Atomic uint64_t *words = bytes;
    size_t count = la_gates_bytes(GATES, PERMITS) / 8;
    uint64_t seed = 23;

    (void)unused;
    while (atomic_load(&world->go) == 0)
        atomic_store(&words[next_random(&seed) % count], next_random(&seed));
    return 0;
}

static void *use_garbage(void *unused)
{
    uint64_t seed = 29;

    for (int i = 0; i < 2000; i++) {
        apr_time_t now = (apr_time_t)(next_random(&seed) >> (next_random(&seed) % 64));
        la_gate_pass_t pass;
        la_gate_permit_t permit;

        la_gate_allow(gates, GATE, &terms, now, &pass);
        if (pass.retry_us < 0 || pass.retry_us > terms.call_us)
            atomic_fetch_add(&world->most, 1);
        if (la_gate_enter(gates, GATE, &terms, &permit))
            la_gate_leave(gates, GATE, &permit);
        la_gate_report(gates, GATE, &terms, &pass, (la_gate_result_e)(i % 3), now);
        read_gate(now);
    }
    return unused;
}

static void test_garbage(void **state)
{
    pid_t scribbler = spawn(scribble, NULL);
    la_gate_permit_t permit;

    (void)state;
    terms.wait_us = 100;
    run_threads(3, use_garbage, NULL);
    event_set(&world->go);
    assert_int_equal(reap(scribbler), 0);
    assert_int_equal(atomic_load(&world->most), 0);
    assert_non_null(find_fault());
    /* Nobody who lives holds a permit, whatever the bytes say. */
    for (uint32_t i = 0; i < terms.limit; i++)
        assert_int_equal(la_gate_enter(gates, GATE, &terms, &permit), 1);
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &permit), 0);
}

int main(void)
{
    if (!open_life())
        return 1;
    for (size_t i = 0; i < ROWS(size_cases); i++)
        add_in(size_cases[i].name, test_size, &size_cases[i]);
    add_in("formatted for another geometry", test_other_geometry, NULL);
    add_in("limit: enter and leave", test_limit, NULL);
    for (size_t i = 0; i < ROWS(limit_cases); i++)
        add_in(limit_cases[i].name, test_limit_value, &limit_cases[i]);
    add_in("limit: killed inside", test_killed_inside, NULL);
    add_in("limit: a waiter enters", test_waiter_enters, NULL);
    add_in("limit: the queue is full", test_queue_is_full, NULL);
    add_in("limit: never exceeded", test_crowd, NULL);
    add_in("limit: killed anywhere", test_killed_anywhere, NULL);
    add_in("garbage at any time", test_garbage, NULL);
    return run_added("gate");
}

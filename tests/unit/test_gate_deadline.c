/* gate.c: permits past their deadline, with processes that are stopped inside, and what restarts
 * change. */
#include "base/clock.h"
#include "gates.h"

/* ---- deadlines ---------------------------------------------------------------------------- */

#define CALL_US 200000

static pid_t stop_inside(void)
{
    pid_t child;

    terms.limit = 1;
    terms.call_us = CALL_US;
    child = spawn(stay_inside, NULL);
    event_wait(&world->ready, 1);
    kill(child, SIGSTOP);
    wait_state(child, WSTOPPED);
    return child;
}

/* A stopped process keeps its permit until the deadline of its call, and when it goes on it gives
 * back nobody else's. */
static void test_stopped_inside(void **state)
{
    apr_time_t start = la_clock_us();
    pid_t child = stop_inside();
    la_gate_permit_t permit;
    la_gate_permit_t other;

    (void)state;
    wait_until(la_gate_enter(gates, GATE, &terms, &permit));
    assert_true(la_clock_us() - start >= CALL_US);
    terms.call_us = FOREVER;
    la_gate_leave(gates, GATE, &permit);
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &permit), 1);
    event_set(&world->go);
    kill(child, SIGCONT);
    assert_int_equal(reap(child), 0);
    assert_int_equal(la_gate_holds(gates, GATE, &permit), 1);
    assert_int_equal(read_gate(0).in_flight, 1);
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &other), 0);
}

/* A waiter gets the permit of a process that is stopped; the status page does not count it then. */
static void test_waiter_outlasts_stopped(void **state)
{
    pid_t child = stop_inside();
    la_gate_permit_t permit;

    (void)state;
    terms.wait_us = FOREVER;
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &permit), 1);
    la_gate_leave(gates, GATE, &permit);
    assert_int_equal(read_gate(0).in_flight, 0);
    kill(child, SIGKILL);
    reap(child);
}

/* A stopped process that waits is none of those that wait, once its time is over. */
static void test_stopped_in_queue(void **state)
{
    la_gate_permit_t permit;
    la_gate_permit_t other;
    pid_t waiter;

    (void)state;
    terms.limit = 1;
    terms.max_waiting = 1;
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &permit), 1);
    terms.wait_us = APR_USEC_PER_SEC;
    waiter = spawn(stay_inside, NULL);
    wait_until(read_gate(0).waiting == 1);
    kill(waiter, SIGSTOP);
    wait_state(waiter, WSTOPPED);
    wait_until(read_gate(0).waiting == 0);
    terms.wait_us = 1;
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &other), 0);
    kill(waiter, SIGKILL);
    reap(waiter);
}

/* The same process: who comes back late does not give up the permit that another thread has by now.
 */
static void test_late_in_one_process(void **state)
{
    la_gate_permit_t late;
    la_gate_permit_t permit;

    (void)state;
    terms.limit = 1;
    terms.call_us = 1;
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &late), 1);
    assert_int_equal(la_gate_holds(gates, GATE, &late), 1);
    terms.call_us = FOREVER;
    wait_until(la_gate_enter(gates, GATE, &terms, &permit));
    assert_int_equal(la_gate_holds(gates, GATE, &late), 0);
    la_gate_leave(gates, GATE, &late);
    assert_int_equal(la_gate_holds(gates, GATE, &permit), 1);
}

/* Deadlines that nobody can have set are over: garbage holds nothing for longer than a day. */
static void test_deadline_too_far(void **state)
{
    _Atomic uint64_t *words = bytes;
    size_t stride = (la_gates_bytes(2, PERMITS) - la_gates_bytes(1, PERMITS)) / 8;
    uint64_t self = (uint64_t)la_holder_self(&life) << 32;
    uint64_t tick = (uint64_t)la_clock_us() / 100000;
    la_gate_permit_t permit;

    (void)state;
    terms.limit = 1;
    atomic_store(&words[8 + GATE * stride + 8], self | ((tick + 863000) & 0x3fffff) << 10);
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &permit), 0);
    atomic_store(&words[8 + GATE * stride + 8], self | ((tick + 865000) & 0x3fffff) << 10);
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &permit), 1);
}

/* ---- over restarts ------------------------------------------------------------------------ */

static void test_reset(void **state)
{
    la_gate_permit_t old;
    la_gate_permit_t permit;

    (void)state;
    terms.limit = 1;
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &old), 1);
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &permit), 0);
    la_gate_reset(gates, GATE);
    assert_int_equal(read_gate(0).exhaustions, 0);
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &permit), 1);
    la_gate_leave(gates, GATE, &old);
    assert_int_equal(la_gate_holds(gates, GATE, &permit), 1);
}

/* Into larger memory: who is inside counts there too, until the deadline. */
static void test_copy(void **state)
{
    void *larger = shared_alloc(la_gates_bytes(GATES + 1, 2 * PERMITS));
    la_gate_permit_t permit;
    la_gate_pass_t pass;
    la_gates_t *to;

    (void)state;
    assert_int_equal(la_gates_format(larger, GATES + 1, 2 * PERMITS), APR_SUCCESS);
    assert_int_equal(la_gates_attach(larger, GATES + 1, 2 * PERMITS, &life, pool, &to),
                     APR_SUCCESS);
    terms.limit = 2;
    terms.failures = 1;
    terms.call_us = FOREVER;
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &permit), 1);
    terms.call_us = CALL_US;
    assert_int_equal(la_gate_enter(gates, GATE, &terms, &permit), 1);
    la_gate_allow(gates, GATE, &terms, 1, &pass);
    la_gate_report(gates, GATE, &terms, &pass, LA_GATE_OUTAGE, 1);
    la_gate_copy(to, GATE + 1, gates, GATE);
    assert_int_equal(la_gate_allow(to, GATE + 1, &terms, 2, &pass), LA_GATE_REFUSED);
    assert_int_equal(la_gate_enter(to, GATE + 1, &terms, &permit), 0);
    wait_until(la_gate_enter(to, GATE + 1, &terms, &permit));
    assert_int_equal(la_gate_enter(to, GATE + 1, &terms, &permit), 0);
    shared_free(larger, la_gates_bytes(GATES + 1, 2 * PERMITS));
}

int main(void)
{
    if (!open_life()) {
        return 1;
    }
    add_in("deadline: stopped inside", test_stopped_inside, NULL);
    add_in("deadline: a waiter outlasts the stopped", test_waiter_outlasts_stopped, NULL);
    add_in("deadline: stopped in the queue", test_stopped_in_queue, NULL);
    add_in("deadline: late in one process", test_late_in_one_process, NULL);
    add_in("deadline: too far ahead", test_deadline_too_far, NULL);
    add_in("restart: reset", test_reset, NULL);
    add_in("restart: copy", test_copy, NULL);
    return run_added("gate_deadline");
}

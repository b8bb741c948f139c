/* flight.c: outcomes, time limits, and processes that are killed or stopped. */
#include "shm/flight.c"

#include "flight_validate.h"
#include "flights.h"

/* ---- outcomes -------------------------------------------------------------------- */

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
    wait_until(waiting() == 1);
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
        wait_until(waiting() == 1);
        assert_int_equal(la_flight_end(flight, &ticket, i == 0 ? NULL : &overlong), 1);
        assert_int_equal(reap(child), LA_FLIGHT_ALONE);
        assert_null(la_flight_validate(flight));
    }
}

/* Garbage fits nobody's sum. */
static void test_torn_outcome(void **state)
{
    la_flight_ticket_t ticket;
    group_t *group;
    pid_t child;

    (void)state;
    assert_int_equal(begin(7, &ticket), LA_FLIGHT_LEADER);
    child = spawn(one_visit, NULL);
    wait_until(waiting() == 1);
    group = &flight->groups[ticket.slot / LA_FLIGHT_WAYS];
    assert_int_equal(lock_group(flight, group, FOREVER), 1);
    slot_at(ticket.slot)->outcome[0] = 12345;
    slot_at(ticket.slot)->sum = 12345;
    slot_at(ticket.slot)->leader = 0;
    la_lock_release(&group->lock);
    assert_int_equal(reap(child), LA_FLIGHT_ALONE);
}

/* The leader is taken over and its successor ends before a waiter looks again. */
static void test_successor_ends_first(void **state)
{
    la_flight_ticket_t ticket;
    la_flight_ticket_t heir;
    pid_t child;

    (void)state;
    assert_int_equal(begin(7, &ticket), LA_FLIGHT_LEADER);
    child = spawn(one_visit, NULL);
    wait_until(waiting() == 1);
    kill(child, SIGSTOP);
    wait_state(child, WSTOPPED);
    slot_at(ticket.slot)->due_us = 0;
    assert_int_equal(begin(7, &heir), LA_FLIGHT_LEADER);
    assert_int_equal(heir.slot, ticket.slot);
    assert_int_equal(end(7, &ticket), 0);
    assert_int_equal(end(7, &heir), 1);
    kill(child, SIGCONT);
    assert_int_equal(reap(child), LA_FLIGHT_SHARED);
    assert_int_equal(atomic_load(&world->wrong), 0);
}

/* The slot serves another key before a waiter looks again: it begins anew, and leads. */
static void test_outcome_is_gone(void **state)
{
    la_flight_ticket_t ticket;
    pid_t child;

    (void)state;
    assert_int_equal(begin(7, &ticket), LA_FLIGHT_LEADER);
    child = spawn(one_visit, NULL);
    wait_until(waiting() == 1);
    kill(child, SIGSTOP);
    wait_state(child, WSTOPPED);
    assert_int_equal(end(7, &ticket), 1);
    for (uint64_t i = 100; i < 100 + LA_FLIGHT_WAYS; i++) {
        assert_int_equal(begin(i, &ticket), LA_FLIGHT_LEADER);
        assert_int_equal(end(i, &ticket), 1);
    }
    kill(child, SIGCONT);
    assert_int_equal(reap(child), LA_FLIGHT_LEADER);
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
    assert_int_equal(waiting(), 0);
    assert_int_equal(end(7, &none), 0);
    assert_int_equal(end(7, &ticket), 1);
}

/* ---- leaders that are killed or stopped ------------------------------------------------- */

/* Leads, and then does not end. The exit code says whether the end it made in the end counted. */
static int lead_and_hang(void *unused)
{
    la_flight_ticket_t ticket;

    (void)unused;
    if (begin(7, &ticket) != LA_FLIGHT_LEADER)
        return 9;
    atomic_store(&world->leader, getpid());
    event_set(&world->led);
    event_wait(&world->ended, 1);
    return end(7, &ticket);
}

#define WAITERS          8u
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
    wait_until(waiting() == WAITERS);
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

/* The successor is killed as well, and its successor. */
static void test_leaders_killed_in_turn(void **state)
{
    pid_t children[3];
    la_flight_ticket_t ticket;

    (void)state;
    for (size_t i = 0; i < ROWS(children); i++)
        children[i] = spawn(lead_and_hang, NULL);
    for (uint32_t i = 0; i < ROWS(children); i++) {
        event_wait(&world->led, i + 1);
        kill(atomic_load(&world->leader), SIGKILL);
    }
    for (size_t i = 0; i < ROWS(children); i++)
        assert_int_equal(reap(children[i]), -SIGKILL);
    assert_int_equal(begin(7, &ticket), LA_FLIGHT_LEADER);
    assert_int_equal(given(LA_FLIGHT_LEADER), ROWS(children) + 1);
    assert_int_equal(end(7, &ticket), 1);
}

/* Makes every flight due. */
static void let_deadline_pass(void)
{
    for (uint32_t i = 0; i < SLOTS; i++) {
        slot_t *slot = slot_at(i);

        atomic_store((_Atomic int64_t *)&slot->due_us, 0);
        atomic_fetch_add(&slot->wake, 1);
        la_futex_wake(&slot->wake, INT_MAX);
    }
}

static void test_leader_stopped(void **state)
{
    pid_t children[WAITER_PROCESSES];
    pid_t leader;

    (void)state;
    leader = spawn(lead_and_hang, NULL);
    event_wait(&world->led, 1);
    kill(leader, SIGSTOP);
    wait_state(leader, WSTOPPED);
    start_heirs(children);
    let_deadline_pass();
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

/* ---- processes that are killed or stopped with a group's lock -------------------------------- */

static group_t *group_of(uint64_t number)
{
    unsigned char key[LA_FLIGHT_KEY_BYTES];
    uint64_t first;

    make_key(key, number);
    memcpy(&first, key, sizeof(first));
    return &flight->groups[first % flight->group_count];
}

/* Holds the lock of key 7's group until it is told to go on, or killed. */
static int hold_lock(void *unused)
{
    (void)unused;
    if (!lock_group(flight, group_of(7), FOREVER))
        return 9;
    event_set(&world->led);
    event_wait(&world->ended, 1);
    la_lock_release(&group_of(7)->lock);
    return 0;
}

/* All flights of the group are over: the waiter begins again, and leads. */
static void test_lock_holder_killed(void **state)
{
    la_flight_ticket_t ticket;
    la_flight_ticket_t other;
    pid_t holder;
    pid_t child;

    (void)state;
    assert_int_equal(begin(7, &ticket), LA_FLIGHT_LEADER);
    child = spawn(one_visit, NULL);
    wait_until(waiting() == 1);
    holder = spawn(hold_lock, NULL);
    event_wait(&world->led, 1);
    kill_unreaped(holder);
    assert_int_equal(reap(child), LA_FLIGHT_LEADER);
    assert_int_equal(end(7, &ticket), 0);
    assert_int_equal(begin(7, &other), LA_FLIGHT_LEADER); /* from the child, which is dead */
    assert_int_equal(end(7, &other), 1);
    assert_null(la_flight_validate(flight));
    reap(holder);
}

/* Who comes goes on alone, who waits goes on waiting, and all is well when it goes on. */
static void test_lock_holder_stopped(void **state)
{
    la_flight_ticket_t ticket;
    la_flight_ticket_t none;
    pid_t holder;
    pid_t child;

    (void)state;
    assert_int_equal(begin(7, &ticket), LA_FLIGHT_LEADER);
    child = spawn(one_visit, NULL);
    wait_until(waiting() == 1);
    holder = spawn(hold_lock, NULL);
    event_wait(&world->led, 1);
    kill(holder, SIGSTOP);
    wait_state(holder, WSTOPPED);
    assert_int_equal(begin(7, &none), LA_FLIGHT_ALONE);
    assert_int_equal(end(7, &ticket), 0);
    event_set(&world->ended);
    kill(holder, SIGCONT);
    assert_int_equal(reap(holder), 0);
    wait_until(waiting() == 1);
    assert_int_equal(end(7, &ticket), 1);
    assert_int_equal(reap(child), LA_FLIGHT_SHARED);
    assert_int_equal(atomic_load(&world->wrong), 0);
}

/* Holds it for longer than the kernel lets a process wait for a core. */
static int hold_lock_for_long(void *unused)
{
    apr_time_t ends;

    (void)unused;
    if (!lock_group(flight, group_of(7), FOREVER))
        return 9;
    ends = la_clock_us() + 100000;
    event_set(&world->led);
    wait_until(la_clock_us() > ends);
    la_lock_release(&group_of(7)->lock);
    return 0;
}

static void test_lock_holder_is_slow(void **state)
{
    la_flight_ticket_t ticket;
    pid_t holder = spawn(hold_lock_for_long, NULL);

    (void)state;
    event_wait(&world->led, 1);
    assert_int_equal(begin(7, &ticket), LA_FLIGHT_LEADER);
    assert_int_equal(reap(holder), 0);
}

/* Who waits does so no longer than its time. */
static void test_lock_is_never_released(void **state)
{
    la_flight_ticket_t ticket;
    pid_t holder;
    pid_t child;

    (void)state;
    assert_int_equal(begin(7, &ticket), LA_FLIGHT_LEADER);
    terms.wait_us = APR_USEC_PER_SEC / 2;
    child = spawn(one_visit, NULL);
    wait_until(waiting() == 1);
    holder = spawn(hold_lock, NULL);
    event_wait(&world->led, 1);
    assert_int_equal(reap(child), LA_FLIGHT_TIMED_OUT);
    event_set(&world->ended);
    assert_int_equal(reap(holder), 0);
    assert_int_equal(waiting(), 0);
}

typedef struct due_case_t {
    const char *name;
    apr_time_t at_us;
} due_case_t;

static due_case_t due_cases[] = {
    {"due: never", INT64_MAX},
    {"due: in a thousand years", 1000ll * 366 * 86400 * APR_USEC_PER_SEC},
};

/* A due time that is nonsense does not keep anybody from taking over. */
static void test_due(void **state)
{
    const due_case_t *row = *state;
    la_flight_ticket_t ticket;
    la_flight_ticket_t heir;

    assert_int_equal(begin(7, &ticket), LA_FLIGHT_LEADER);
    slot_at(ticket.slot)->due_us = row->at_us;
    terms.wait_us = 20000;
    assert_int_equal(begin(7, &heir), LA_FLIGHT_TIMED_OUT);
    terms.wait_us = FOREVER;
    terms.lead_us = 1000;
    assert_int_equal(begin(7, &heir), LA_FLIGHT_LEADER);
    assert_int_equal(end(7, &ticket), 0);
    assert_int_equal(end(7, &heir), 1);
}

int main(void)
{
    if (!open_life())
        return 1;
    for (size_t i = 0; i < ROWS(outcome_cases); i++)
        add_in(make_world, outcome_cases[i].name, test_outcome, &outcome_cases[i]);
    add_in(make_world, "outcome: nothing to share", test_nothing_to_share, NULL);
    add_in(make_world, "outcome: torn", test_torn_outcome, NULL);
    add_in(make_world, "outcome: of a successor not seen", test_successor_ends_first, NULL);
    add_in(make_small_world, "outcome: gone", test_outcome_is_gone, NULL);
    add_in(make_world, "limit: time", test_waiter_times_out, NULL);
    add_in(make_world, "leader killed: one takes over", test_leader_killed, NULL);
    add_in(make_world, "leaders killed in turn", test_leaders_killed_in_turn, NULL);
    add_in(make_world, "leader stopped: one takes over", test_leader_stopped, NULL);
    add_in(make_world, "leader stopped long ago", test_leader_stopped_long_ago, NULL);
    add_in(make_world, "lock holder killed", test_lock_holder_killed, NULL);
    add_in(make_world, "lock holder stopped", test_lock_holder_stopped, NULL);
    add_in(make_world, "lock holder slow", test_lock_holder_is_slow, NULL);
    add_in(make_world, "lock never released", test_lock_is_never_released, NULL);
    for (size_t i = 0; i < ROWS(due_cases); i++)
        add_in(make_world, due_cases[i].name, test_due, &due_cases[i]);
    return run_added("flight_wait");
}

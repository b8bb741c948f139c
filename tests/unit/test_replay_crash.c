/* replay.c among processes that race, are killed and are stopped at any instruction: each digest is
 * new once, and nobody waits for long. */
#include "replays.h"

#include "shm/shares.h"

#include <sys/mman.h>
#include <sys/ptrace.h>

#define DIGESTS   3000
#define PROCESSES 6
#define KILLS     60

typedef struct board_t {
    _Atomic uint32_t taken[DIGESTS]; /* how often each was new */
    _Atomic uint32_t others;         /* results that are neither new nor seen */
    _Atomic int64_t clock;           /* seconds since the beginning */
    _Atomic uint32_t stop;
} board_t;

static board_t *board;

static int set_up_board(void **state)
{
    board = shared_alloc(sizeof(*board));
    return set_up(state);
}

static int tear_down_board(void **state)
{
    shared_free(board, sizeof(*board));
    return tear_down(state);
}

/* ---- races ---- */

static void note(uint64_t number, la_replay_e result)
{
    switch (result) {
    case LA_REPLAY_NEW:
        atomic_fetch_add(&board->taken[number], 1);
        break;
    case LA_REPLAY_SEEN:
        break;
    case LA_REPLAY_OLD:
    case LA_REPLAY_OVER:
    case LA_REPLAY_FULL:
    case LA_REPLAY_REFUSED:
        atomic_fetch_add(&board->others, 1);
        break;
    }
}

/* Each process begins elsewhere, and neighbours meet at each digest. Ends of lives are in seven
 * minutes. */
static int remember_all(void *from)
{
    for (uint64_t i = 0; i < DIGESTS; i++) {
        uint64_t number = (i + (uintptr_t)from / 2 * 100) % DIGESTS;

        note(number, remember(number, BEGIN + SECONDS(number % 400 + 1), BEGIN + MINUTES(4)));
    }
    return 0;
}

static void test_race(void **state)
{
    pid_t children[PROCESSES];

    (void)state;
    for (uintptr_t i = 0; i < PROCESSES; i++) {
        children[i] = spawn(remember_all, (void *)i);
    }
    for (int i = 0; i < PROCESSES; i++) {
        assert_int_equal(reap(children[i]), 0);
    }
    for (int i = 0; i < DIGESTS; i++) {
        assert_int_equal(atomic_load(&board->taken[i]), 1);
    }
    assert_int_equal(atomic_load(&board->others), 0);
}

/* ---- kills ---- */

static int remember_for_ever(void *seed)
{
    uint64_t random = (uintptr_t)seed;

    while (!atomic_load(&board->stop)) {
        uint64_t number = next_random(&random) % DIGESTS;

        note(number, remember(number, BEGIN + SECONDS(number % 400 + 1), BEGIN + MINUTES(4)));
    }
    return 0;
}

/* Whoever is killed may have remembered one digest without saying so. */
static void test_kills(void **state)
{
    pid_t children[PROCESSES];
    uint32_t untold = 0;
    uint32_t refused;

    (void)state;
    for (uintptr_t i = 0; i < PROCESSES; i++) {
        children[i] = spawn(remember_for_ever, (void *)(i + 1));
    }
    for (uintptr_t i = 0; i < KILLS; i++) {
        event_t nothing = 0;

        la_futex_wait(&nothing, 0, 200 + (apr_interval_time_t)(i * 7919 % 2000));
        kill_unreaped(children[i % PROCESSES]);
        assert_int_equal(reap(children[i % PROCESSES]), -SIGKILL);
        children[i % PROCESSES] = spawn(remember_for_ever, (void *)(i + 100));
    }
    atomic_store(&board->stop, 1);
    for (int i = 0; i < PROCESSES; i++) {
        assert_int_equal(reap(children[i]), 0);
    }
    refused = atomic_load(&board->others);
    remember_all(NULL);
    assert_int_equal(atomic_load(&board->others), refused);
    for (int i = 0; i < DIGESTS; i++) {
        assert_in_range(atomic_load(&board->taken[i]), 0, 1);
        untold += atomic_load(&board->taken[i]) == 0;
    }
    assert_in_range(untold, 0, KILLS);
}

/* ---- shares ---- */

#define ROUNDS 100

/* Takes what owner 1 gets of the minute in which the board's clock is. */
static int take_share(void *seed)
{
    apr_time_t now = BEGIN + SECONDS(atomic_load(&board->clock));
    la_replay_matter_e matter;
    uint64_t number = (uintptr_t)seed << 32;

    while (remember_of(1, number, now, now + SECONDS(301), now, &matter) != LA_REPLAY_OVER) {
        number++;
    }
    return 0;
}

/* Of those who take an owner's share one is killed: a count or two is wrong then, and only in that
 * minute. */
static void test_shares(void **state)
{
    la_replay_matter_e matter;
    la_replay_state_t all;

    (void)state;
    for (uintptr_t round = 1; round <= ROUNDS; round++) {
        pid_t children[2];
        event_t nothing = 0;
        apr_time_t now = BEGIN + MINUTES((int)round);

        atomic_store(&board->clock, (int64_t)round * 60);
        children[0] = spawn(take_share, (void *)(2 * round));
        children[1] = spawn(take_share, (void *)(2 * round + 1));
        la_futex_wait(&nothing, 0, 100 + (apr_interval_time_t)(round * 7919 % 3000));
        kill_unreaped(children[0]);
        (void)reap(children[0]);
        assert_int_equal(reap(children[1]), 0);
        la_replay_read(replay, now + MINUTES(5), &all);
        assert_in_range(all.held, LA_SHARES_MOST(1024) - 1, LA_SHARES_MOST(1024) + 4);
        for (uint64_t owner = 2; owner < 102; owner++) {
            assert_int_equal(
                remember_of(owner, round << 48 | owner, now, now + SECONDS(301), now, &matter),
                LA_REPLAY_NEW);
        }
    }
}

/* ---- a clock that goes on while processes race and die ---- */

/* Digest i is issued at second i. */
static int follow_clock(void *seed)
{
    uint64_t random = (uintptr_t)seed;

    while (!atomic_load(&board->stop)) {
        int64_t second = atomic_load(&board->clock);
        uint64_t number = (uint64_t)second + next_random(&random) % 600;

        if (number >= 300 && number < DIGESTS + 300) {
            note(number - 300, remember(number - 300, BEGIN + SECONDS(number - 300 + 1),
                                        BEGIN + SECONDS(second)));
        }
    }
    return 0;
}

static void test_clock(void **state)
{
    pid_t children[PROCESSES];
    uint32_t new = 0;

    (void)state;
    for (uintptr_t i = 0; i < PROCESSES; i++) {
        children[i] = spawn(follow_clock, (void *)(i + 1));
    }
    for (int64_t second = 0; second < DIGESTS; second += 3) {
        event_t nothing = 0;
        uintptr_t i = (uintptr_t)second / 3 % PROCESSES;

        la_futex_wait(&nothing, 0, 500);
        /* The clock sometimes goes a minute back. */
        atomic_store(&board->clock, second % 90 == 0 && second > 60 ? second - 60 : second);
        if (second % 60 == 0) {
            kill_unreaped(children[i]);
            assert_int_equal(reap(children[i]), -SIGKILL);
            children[i] = spawn(follow_clock, (void *)(uintptr_t)(second + 100));
        }
    }
    atomic_store(&board->stop, 1);
    for (int i = 0; i < PROCESSES; i++) {
        assert_int_equal(reap(children[i]), 0);
    }
    for (int i = 0; i < DIGESTS; i++) {
        assert_in_range(atomic_load(&board->taken[i]), 0, 1);
        new += atomic_load(&board->taken[i]);
    }
    assert_true(new > DIGESTS / 2);
}

/* ---- stopped at any instruction ---- */

typedef struct stop_case_t {
    const char *name;
    int has_table;    /* the digest's minute has a table before */
    int is_killed;    /* and not only stopped */
    int is_forgotten; /* the tables go to other minutes while it is stopped */
} stop_case_t;

static stop_case_t stop_cases[] = {
    {"stopped", 1, 0, 0},
    {"stopped while its minute begins", 0, 0, 0},
    {"stopped while its minute is forgotten", 1, 0, 1},
    {"stopped while its minute begins and is forgotten", 0, 0, 1},
    {"killed", 1, 1, 0},
    {"killed while its minute begins", 0, 1, 0},
};

#define AT (BEGIN + MINUTES(2))

/* The header, which is written first where a minute begins, and the tables. */
#define HEADER 4096

/* The child's result, and 1; 0: it has none yet. */
static event_t *told;

/* The child comes to what the test is about: it is traced from here on. */
static void begin_trace(int signal_number)
{
    (void)signal_number;
    mprotect(memory, BYTES, PROT_READ | PROT_WRITE);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
        _exit(77);
    }
    raise(SIGSTOP);
}

/* Remembers digest 1, and is stopped before it first looks into a table, or else writes into the
 * header. */
static int remember_traced(void *argument)
{
    const stop_case_t *row = argument;

    la_holder_self(&life); /* system calls are done before */
    signal(SIGSEGV, begin_trace);
    if (row->has_table) {
        mprotect(memory + HEADER, BYTES - HEADER, PROT_NONE);
    } else {
        mprotect(memory, HEADER, PROT_READ);
    }
    atomic_store(told, 1u + remember(1, AT, AT));
    return 0;
}

/* Returns 0 when the child had its result before. */
static int step(pid_t child, unsigned steps)
{
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("no ptrace here\n");
        skip();
    }
    while (atomic_load(told) == 0 && steps-- > 0) {
        assert_true(WIFSTOPPED(status));
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
    }
    return atomic_load(told) == 0;
}

#define OTHERS 400

/* Digests of later minutes take all words of the digest's table; unless the lock is held. Returns
 * how many are remembered. */
static uint64_t forget_minute(void)
{
    apr_time_t now = AT + MINUTES(20);
    uint64_t count = 0;

    while (count < OTHERS && remember(1000 + count, now, now) == LA_REPLAY_NEW) {
        count++;
    }
    return count;
}

/* They are remembered still, whatever the child did to their words. */
static void check_others(uint64_t count)
{
    apr_time_t now = AT + MINUTES(20);

    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(remember(1000 + i, now, now), LA_REPLAY_SEEN);
    }
}

static void begin_again(int has_table)
{
    memset(memory, 0, BYTES);
    assert_int_equal(la_replay_format(memory, BYTES, BEGIN), APR_SUCCESS);
    if (has_table) {
        remember(2, AT, AT);
    }
}

/* Both results of digest 1: at most one is new; one must be, unless the digest was refused. */
static void check_results(const stop_case_t *row, const la_replay_e *results, int runs)
{
    int new = (results[0] == LA_REPLAY_NEW) + (results[1] == LA_REPLAY_NEW);

    assert_true(new <= 1);
    if (row->is_killed && runs) {
        assert_true(results[0] == LA_REPLAY_NEW || results[0] == LA_REPLAY_SEEN);
    } else if (!row->is_forgotten && results[0] != LA_REPLAY_REFUSED) {
        assert_int_equal(new, 1);
    }
    assert_int_not_equal(remember(1, AT, AT), LA_REPLAY_NEW);
}

/* Stops a child after so many steps, does what the case says, and lets it go on. Returns 0 when it
 * had its result before. */
static int stop_after(const stop_case_t *row, unsigned steps, unsigned new[2])
{
    la_replay_e results[2] = {LA_REPLAY_REFUSED, LA_REPLAY_REFUSED};
    uint64_t others = 0;
    pid_t child;
    int runs;

    begin_again(row->has_table);
    atomic_store(told, 0);
    child = spawn(remember_traced, (void *)(uintptr_t)row);
    runs = step(child, steps);
    if (row->is_killed) {
        kill_unreaped(child);
        assert_int_equal(reap(child), -SIGKILL);
    }
    if (row->is_forgotten) {
        others = forget_minute();
    }
    results[0] = remember(1, AT, AT);
    if (!row->is_killed) {
        assert_int_equal(ptrace(PTRACE_CONT, child, NULL, NULL), 0);
        assert_int_equal(reap(child), 0);
    }
    if (atomic_load(told) != 0) {
        results[1] = (la_replay_e)(atomic_load(told) - 1);
    }
    check_results(row, results, runs);
    check_others(others);
    new[0] += results[0] == LA_REPLAY_NEW;
    new[1] += results[1] == LA_REPLAY_NEW;
    return runs;
}

static void test_stops(void **state)
{
    const stop_case_t *row = *state;
    unsigned stride = row->has_table ? 9 : 389; /* giving a table has many steps */
    unsigned new[2] = {0, 0};
    unsigned steps = 0;

    told = shared_alloc(sizeof(*told));
    while (stop_after(row, steps, new)) {
        steps += stride;
    }
    shared_free(told, sizeof(*told));
    assert_true(steps > 50);
    assert_true(row->is_forgotten || new[0] > 0);
    assert_true(row->is_killed || new[1] > 0);
}

/* ---- the lock ---- */

static int hold_lock(void *unused)
{
    (void)unused;
    la_lock_take(&life, (la_lock_t *)(void *)(memory + LOCK_AT), 0);
    raise(SIGSTOP);
    return 0;
}

/* While a process that holds it is stopped, minutes that have begun go on and no other begins; when
 * it is killed, all do. */
static void test_stopped_holder(void **state)
{
    la_replay_matter_e matter;
    pid_t child;

    (void)state;
    assert_int_equal(remember(1, AT, AT), LA_REPLAY_NEW);
    child = spawn(hold_lock, NULL);
    wait_state(child, WSTOPPED);
    assert_int_equal(remember(1, AT, AT), LA_REPLAY_SEEN);
    assert_int_equal(remember(2, AT, AT), LA_REPLAY_NEW);
    assert_int_equal(remember_until(3, AT, AT + MINUTES(7), AT, &matter), LA_REPLAY_REFUSED);
    assert_int_equal(matter, LA_REPLAY_IS_BUSY);
    kill_unreaped(child);
    assert_int_equal(remember_until(3, AT, AT + MINUTES(7), AT, &matter), LA_REPLAY_NEW);
    assert_int_equal(remember_until(3, AT, AT + MINUTES(7), AT, &matter), LA_REPLAY_SEEN);
    assert_int_equal(reap(child), -SIGKILL);
}

static void add_here(const char *name, CMUnitTestFunction function, void *row)
{
    add(name, function, row);
    tests[test_count - 1].setup_func = set_up_board;
    tests[test_count - 1].teardown_func = tear_down_board;
}

int main(void)
{
    add_here("a race", test_race, NULL);
    add_here("kills", test_kills, NULL);
    add_here("shares", test_shares, NULL);
    add_here("a clock that goes on", test_clock, NULL);
    for (size_t i = 0; i < ROWS(stop_cases); i++) {
        add_in(stop_cases[i].name, test_stops, &stop_cases[i]);
    }
    add_in("the lock's holder is stopped", test_stopped_holder, NULL);
    return run_added("replay_crash");
}

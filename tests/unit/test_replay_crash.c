/* replay.c among processes that race, are killed and are stopped at any instruction: each digest is
 * new once, and nobody waits for long. */
#include "replays.h"

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
        if (second % 15 == 0) {
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

/* At so many places of the way it is stopped. */
#define STOPS 12

#define AT (BEGIN + MINUTES(2))

static int remember_traced(void *unused)
{
    (void)unused;
    la_holder_self(&life); /* system calls are done before */
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
        return 77;
    }
    raise(SIGSTOP);
    return (int)remember(1, AT, AT);
}

/* Returns 0 when the child came to its end before. */
static int step(pid_t child, unsigned steps, int *status)
{
    assert_int_equal(waitpid(child, status, 0), child);
    while (WIFSTOPPED(*status) && steps-- > 0) {
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
        assert_int_equal(waitpid(child, status, 0), child);
    }
    if (WIFEXITED(*status) && WEXITSTATUS(*status) == 77) {
        print_message("no ptrace here\n");
        skip();
    }
    return WIFSTOPPED(*status);
}

/* All tables go to other minutes, and their words to other digests; unless the lock is held. */
static void forget_all(void)
{
    la_replay_e result = LA_REPLAY_NEW;

    for (int minute = 20; minute < 60 && result != LA_REPLAY_REFUSED; minute++) {
        for (uint64_t number = 0; number < 30 && result != LA_REPLAY_REFUSED; number++) {
            result = remember(1000 + number, AT + MINUTES(minute), AT + MINUTES(minute));
        }
    }
}

/* Begins with an empty memory. */
static void begin_again(int has_table)
{
    memset(memory, 0, BYTES);
    assert_int_equal(la_replay_format(memory, BYTES, BEGIN), APR_SUCCESS);
    if (has_table) {
        remember(2, AT, AT);
    }
}

/* How many steps the whole way has. */
static unsigned count_steps(int has_table)
{
    unsigned steps = 0;
    pid_t child;
    int status;

    begin_again(has_table);
    child = spawn(remember_traced, NULL);
    while (step(child, 0, &status)) {
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
        steps++;
    }
    return steps;
}

static void test_stops(void **state)
{
    const stop_case_t *row = *state;
    unsigned stride = count_steps(row->has_table) / STOPS;
    unsigned steps = 0;
    unsigned new_here = 0;
    unsigned new_there = 0;
    int runs = 1;

    for (; runs; steps += stride) {
        la_replay_e here;
        la_replay_e there;
        int status;
        pid_t child;

        begin_again(row->has_table);
        child = spawn(remember_traced, NULL);
        runs = step(child, steps, &status);
        if (runs && row->is_killed) {
            kill_unreaped(child);
            assert_int_equal(reap(child), -SIGKILL);
        }
        if (row->is_forgotten) {
            forget_all();
        }
        here = remember(1, AT, AT);
        if (runs && !row->is_killed) {
            assert_int_equal(ptrace(PTRACE_CONT, child, NULL, NULL), 0);
            status = reap(child) << 8;
        }
        there = WIFEXITED(status) ? (la_replay_e)WEXITSTATUS(status) : LA_REPLAY_REFUSED;
        assert_true((here == LA_REPLAY_NEW) + (there == LA_REPLAY_NEW) <= 1);
        new_here += here == LA_REPLAY_NEW;
        new_there += there == LA_REPLAY_NEW;
        if (row->is_killed) {
            assert_true(here == LA_REPLAY_NEW || here == LA_REPLAY_SEEN);
        } else if (!row->is_forgotten && here != LA_REPLAY_REFUSED) {
            assert_int_equal((here == LA_REPLAY_NEW) + (there == LA_REPLAY_NEW), 1);
        }
        assert_int_not_equal(remember(1, AT, AT), LA_REPLAY_NEW);
        if (!row->is_forgotten) {
            assert_int_equal(remember(3, AT, AT), LA_REPLAY_NEW);
        }
    }
    assert_true(row->is_forgotten || new_here > 0);
    assert_true(row->is_killed || new_there > 0);
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
    add_here("a clock that goes on", test_clock, NULL);
    for (size_t i = 0; i < ROWS(stop_cases); i++) {
        add_in(stop_cases[i].name, test_stops, &stop_cases[i]);
    }
    add_in("the lock's holder is stopped", test_stopped_holder, NULL);
    return run_added("replay_crash");
}

/* meter.c: exact counts from many processes at once, windows and buckets over time, clocks that
 * jump, a full memory, and garbage.
 */
#include "meters.h"

#include "shm/meter_layout.h"

#include <signal.h>
#include <sys/wait.h>

/* ---- over time ---- */

typedef struct time_case_t {
    const char *name;
    uint64_t limit;
    uint64_t burst;
    int aligned;
    int first;                   /* of 10 tries now */
    apr_interval_time_t wait_us; /* then */
    int second;                  /* of 10 tries */
} time_case_t;

static time_case_t time_cases[] = {
    {"window: the limit", 3, 0, 0, 3, 0, 0},
    {"window: not over yet", 3, 0, 0, 3, SECONDS(60) - 1000, 0},
    {"window: over", 3, 0, 0, 3, SECONDS(60), 3},
    {"window: long over", 3, 0, 0, 3, SECONDS(100000), 3},
    {"window: the clock goes back an hour", 3, 0, 0, 3, -SECONDS(100), 0},
    {"aligned: ends with the minute", 3, 0, 1, 3, SECONDS(20), 3}, /* 1780000000 % 60 = 40 */
    {"aligned: not before", 3, 0, 1, 3, SECONDS(19), 0},
    {"aligned: the clock goes back 10 years", 3, 0, 1, 3, -SECONDS(315360000), 0},
    {"rate: the burst", 60, 5, 0, 5, 0, 0},
    {"rate: one comes back", 60, 5, 0, 5, SECONDS(1), 1},
    {"rate: four come back", 60, 5, 0, 5, SECONDS(4) + 999, 4},
    {"rate: never more than the burst", 60, 5, 0, 5, SECONDS(100000), 5},
    {"rate: the clock goes back", 60, 5, 0, 5, -SECONDS(900), 0},
    {"rate: the burst is the limit", 4, 4, 0, 4, SECONDS(15), 1},
};

static void test_time(void **state)
{
    const time_case_t *row = *state;
    la_meter_terms_t terms = window_terms(row->limit);
    la_meter_key_t key = key_of(1);

    terms.burst = row->burst;
    terms.aligned = row->aligned;
    assert_int_equal(charge_times(&key, &terms, begin, 10), row->first);
    assert_int_equal(charge_times(&key, &terms, later(row->wait_us), 10), row->second);
}

/* After a jump of the clock a counter ends within its own period. */
static void test_nothing_is_endless(void **state)
{
    la_meter_key_t keys[2] = {key_of(1), key_of(2)};
    la_meter_terms_t terms[2] = {window_terms(3), rate_terms(60, 5)};
    la_meter_now_t future = later(SECONDS(100000));

    (void)state;
    for (int i = 0; i < 2; i++) {
        terms[i].aligned = 1;
        charge_times(&keys[i], &terms[i], future, 10);
        assert_int_equal(charge_times(&keys[i], &terms[i], begin, 10), 0);
        assert_true(charge_times(&keys[i], &terms[i], later(SECONDS(60)), 10) > 0);
    }
}

/* Another limit keeps the counts. */
static void test_other_limit(void **state)
{
    la_meter_key_t key = key_of(1);
    la_meter_terms_t five = window_terms(5);
    la_meter_terms_t eight = window_terms(8);

    (void)state;
    assert_int_equal(charge_times(&key, &five, begin, 10), 5);
    assert_int_equal(charge_times(&key, &eight, begin, 10), 3);
    assert_int_equal(charge_times(&key, &five, begin, 10), 0);
}

/* ---- settling ---- */

typedef struct settle_case_t {
    const char *name;
    uint64_t cost;
    uint64_t amount;
    apr_interval_time_t wait_us; /* before the settlement, with a charge of 1 in between */
    uint64_t left;               /* of 100, afterwards */
} settle_case_t;

static settle_case_t settle_cases[] = {
    {"settle: more than reserved", 10, 30, 0, 69},
    {"settle: less", 10, 3, 0, 96},
    {"settle: given back", 10, 0, 0, 99},
    {"settle: nothing reserved", 0, 40, 0, 59},
    {"settle: beyond the limit", 10, 500, 0, 0},
    {"settle: a usage that lies", 10, UINT64_MAX, 0, 0},
    {"settle: the window has ended", 10, 30, SECONDS(60), 99},
};

static void test_settle(void **state)
{
    const settle_case_t *row = *state;
    la_meter_key_t key = key_of(1);
    la_meter_terms_t terms = window_terms(100);
    la_meter_now_t then = later(row->wait_us);
    la_meter_receipt_t receipt;
    la_meter_reading_t reading;

    terms.cost = row->cost;
    assert_int_equal(la_meter_charge(meters, &key, &terms, &begin, &receipt, &reading),
                     LA_METER_CHARGED);
    terms.cost = 1;
    assert_int_equal(charge_times(&key, &terms, then, 1), 1);
    la_meter_settle(meters, &receipt, row->amount);
    la_meter_settle(meters, &receipt, row->amount); /* once only */
    la_meter_read(meters, &key, &terms, &then, &reading);
    assert_int_equal(reading.left, row->left);
}

static void test_give_back_rate(void **state)
{
    la_meter_key_t key = key_of(1);
    la_meter_terms_t terms = rate_terms(60, 2);
    la_meter_receipt_t receipt;
    la_meter_reading_t reading;

    (void)state;
    assert_int_equal(charge_times(&key, &terms, begin, 1), 1);
    la_meter_charge(meters, &key, &terms, &begin, &receipt, &reading);
    assert_int_equal(reading.left, 0);
    assert_int_equal(reading.reset_us, SECONDS(1));
    la_meter_settle(meters, &receipt, 0);
    assert_int_equal(charge_times(&key, &terms, begin, 10), 1);
}

/* ---- many at once ---- */

#define PROCESSES 4
#define TRIES     400

/* Children charge as fast as they can; returns how many were charged in all. */
static int charge_in_processes(const la_meter_terms_t *terms, uint64_t keys)
{
    void *memory =
        mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    _Atomic int *sum = memory;
    int charged;

    assert_true(memory != MAP_FAILED);
    for (int i = 0; i < PROCESSES; i++) {
        if (fork() == 0) {
            for (int j = 0; j < TRIES; j++) {
                la_meter_key_t key = key_of((uint64_t)j % keys + 1);

                atomic_fetch_add(sum, charge_times(&key, terms, begin, 1));
            }
            _exit(0);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;

        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    charged = *sum;
    munmap(memory, sizeof(int));
    return charged;
}

static void test_exact_window(void **state)
{
    la_meter_terms_t terms = window_terms(50);

    (void)state;
    assert_int_equal(charge_in_processes(&terms, 1), 50);
}

static void test_exact_rate(void **state)
{
    la_meter_terms_t terms = rate_terms(50, 37);

    (void)state;
    assert_int_equal(charge_in_processes(&terms, 1), 37);
}

static void test_exact_many(void **state)
{
    la_meter_terms_t terms = window_terms(50);

    (void)state;
    assert_int_equal(charge_in_processes(&terms, 8), 8 * 50);
}

/* ---- a full memory, and the part for strangers ---- */

static void test_full(void **state)
{
    la_meter_terms_t terms = window_terms(5);
    la_meter_terms_t stranger = window_terms(5);
    la_meters_state_t seen;
    la_meter_entry_t entry;
    la_meter_key_t key = key_of(1);

    (void)state;
    stranger.apart = 1;
    assert_int_equal(charge_times(&key, &terms, begin, 9), 5);
    for (uint64_t i = 2; i < 20000; i++) {
        la_meter_key_t other = key_of(i);

        assert_int_equal(charge_times(&other, &stranger, begin, 1), 1);
    }
    la_meters_visit(meters, &begin, collect, &entry, &seen);
    assert_true(seen.evictions > 0);
    assert_true(seen.used <= seen.capacity);
    assert_int_equal(charge_times(&key, &terms, begin, 9), 0); /* a caller's is not given up */
}

/* What ends soonest goes first. */
static void test_eviction_order(void **state)
{
    la_meter_terms_t hour = window_terms(5);
    la_meter_terms_t minute = window_terms(5);
    la_meter_key_t first = {{UINT64_C(1) << 63 | 1, 0}};

    (void)state;
    hour.period_us = SECONDS(3600);
    charge_times(&first, &hour, begin, 9);
    for (uint64_t i = 2; i < 200; i++) {
        la_meter_key_t other = {{UINT64_C(1) << 63 | i, 0}}; /* all in one group */

        charge_times(&other, &minute, begin, 1);
    }
    assert_int_equal(charge_times(&first, &hour, begin, 9), 0);
}

/* Whatever the memory holds, calls return, and the next window counts right. */
static void test_garbage(void **state)
{
    la_meter_key_t key = key_of(1);
    la_meter_terms_t terms = window_terms(5);
    la_meters_state_t seen;
    la_meter_entry_t entry;
    unsigned seed = 1;

    (void)state;
    for (int round = 0; round < 200; round++) {
        charge_times(&key, &terms, begin, 2);
        for (apr_size_t i = 64; i < BYTES; i++) {
            ((unsigned char *)bytes)[i] = (unsigned char)(rand_r(&seed) >> 7);
        }
        charge_times(&key, &terms, begin, 2);
        la_meters_visit(meters, &begin, collect, &entry, &seen);
        la_meters_forget(meters, NULL, 0);
    }
    assert_int_equal(charge_times(&key, &terms, later(SECONDS(100000)), 10), 5);
}

/* A process that is killed while it makes a meter leaves a lock that others inherit. */
static void test_killed(void **state)
{
    la_meter_terms_t terms = window_terms(1000000);

    (void)state;
    for (int round = 0; round < 20; round++) {
        pid_t child = fork();

        if (child == 0) {
            for (uint64_t i = 1;; i++) {
                la_meter_key_t key = key_of(i % 5000 + 10);

                charge_times(&key, &terms, begin, 1);
            }
        }
        for (uint64_t i = 0; i < 3000; i++) {
            la_meter_key_t key = key_of(i % 5000 + 10);

            assert_int_equal(charge_times(&key, &terms, begin, 1), 1);
        }
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        for (uint64_t i = 0; i < 500; i++) {
            la_meter_key_t key = key_of(i + 10);

            assert_int_equal(charge_times(&key, &terms, begin, 1), 1);
        }
    }
}

/* A process that is stopped while it makes a meter: others go on. */
static void test_stopped(void **state)
{
    la_meter_terms_t terms = window_terms(5);
    la_meter_key_t key = key_of(1);
    la_meter_group_t *group = la_meter_group(meters, &key, 0);
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0) {
        la_lock_take(&life, &group->lock, 0);
        raise(SIGSTOP);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(charge_times(&key, &terms, begin, 10), 5);
    la_meters_forget(meters, &key, 0);
    assert_int_equal(charge_times(&key, &terms, begin, 1), 1);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

int main(void)
{
    start();
    ADD_ROWS(time_cases, test_time);
    ADD_ROWS(settle_cases, test_settle);
    add_in("after a jump nothing is endless", test_nothing_is_endless, NULL);
    add_in("another limit keeps the counts", test_other_limit, NULL);
    add_in("rate: given back", test_give_back_rate, NULL);
    add_in("window: exact in four processes", test_exact_window, NULL);
    add_in("rate: exact in four processes", test_exact_rate, NULL);
    add_in("many windows: exact in four processes", test_exact_many, NULL);
    add_in("full: strangers evict no caller", test_full, NULL);
    add_in("full: what ends soonest goes first", test_eviction_order, NULL);
    add_in("garbage", test_garbage, NULL);
    add_in("stopped while it makes one", test_stopped, NULL);
    add_in("killed anywhere", test_killed, NULL);
    return finish("meter");
}

/* futex.c: waiting on a word, and the clock. */
#include "base/clock.h"
#include "procs.h"

static void test_changed(void **state)
{
    event_t word = 7;

    (void)state;
    assert_int_equal(la_futex_wait(&word, 8, 60 * APR_USEC_PER_SEC), 1);
}

static void test_time_passes(void **state)
{
    event_t word = 7;
    apr_time_t start = la_clock_us();

    (void)state;
    while (la_futex_wait(&word, 7, 20000)) {}
    assert_true(la_clock_us() - start >= 20000);
}

static void test_no_time(void **state)
{
    event_t word = 7;

    (void)state;
    assert_int_equal(la_futex_wait(&word, 7, 0), 0);
    assert_int_equal(la_futex_wait(&word, 7, -5), 0);
}

static int wait_for_word(void *words)
{
    event_t *word = words;

    event_set(&word[1]);
    while (atomic_load(&word[0]) == 0)
        la_futex_wait(&word[0], 0, 10 * HANG_SECONDS * APR_USEC_PER_SEC);
    return 3;
}

/* Without the wake-up the children sleep past the alarm. */
static void test_wakes_processes(void **state)
{
    event_t *word = shared_alloc(2 * sizeof(*word));
    pid_t child[2];

    (void)state;
    child[0] = spawn(wait_for_word, word);
    child[1] = spawn(wait_for_word, word);
    event_wait(&word[1], 2);
    atomic_store(&word[0], 1);
    la_futex_wake(&word[0], 2);
    assert_int_equal(reap(child[0]), 3);
    assert_int_equal(reap(child[1]), 3);
    shared_free(word, 2 * sizeof(*word));
}

static void test_clock(void **state)
{
    apr_time_t last = la_clock_us();

    (void)state;
    assert_true(last > 0);
    for (int i = 0; i < 1000; i++) {
        apr_time_t now = la_clock_us();

        assert_true(now >= last);
        last = now;
    }
}

int main(void)
{
    add("another value: no wait", test_changed, NULL);
    add("the time passes", test_time_passes, NULL);
    add("no time: no wait", test_no_time, NULL);
    add("wakes other processes", test_wakes_processes, NULL);
    add("the clock never goes back", test_clock, NULL);
    return run_added("futex");
}

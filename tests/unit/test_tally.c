/* tally.c: sums over threads and processes, names that meet, a full table. */
#include "shm/tally.h"

#include "procs.h"

#define COUNTED 2000

static la_tally_t *tally;

static int make_tally(void **state)
{
    (void)state;
    tally = shared_alloc(sizeof(*tally));
    return 0;
}

static int drop_tally(void **state)
{
    (void)state;
    shared_free(tally, sizeof(*tally));
    return 0;
}

/* All names want the same place. */
static void *count_all(void *unused)
{
    for (int i = 0; i < COUNTED; i++) {
        for (uint64_t name = 1; name <= 5; name++) {
            la_tally_add(tally, name * LA_TALLY_NAMES);
        }
    }
    return unused;
}

static int count_in_process(void *unused)
{
    count_all(unused);
    return 0;
}

static void test_sums(void **state)
{
    pid_t child = spawn(count_in_process, NULL);

    (void)state;
    run_threads(4, count_all, NULL);
    assert_int_equal(reap(child), 0);
    for (uint64_t name = 1; name <= 5; name++) {
        assert_int_equal(la_tally_get(tally, name * LA_TALLY_NAMES), 5 * COUNTED);
    }
    assert_int_equal(la_tally_get(tally, 6 * LA_TALLY_NAMES), 0);
}

static void test_full(void **state)
{
    (void)state;
    for (uint64_t name = 1; name <= LA_TALLY_NAMES + 10; name++) {
        la_tally_add(tally, name);
    }
    assert_int_equal(la_tally_get(tally, LA_TALLY_NAMES), 1);
    assert_int_equal(la_tally_get(tally, LA_TALLY_NAMES + 1), 0);
}

static void add_here(const char *name, CMUnitTestFunction function)
{
    add(name, function, NULL);
    tests[test_count - 1].setup_func = make_tally;
    tests[test_count - 1].teardown_func = drop_tally;
}

int main(void)
{
    apr_initialize();
    add_here("sums over threads and processes", test_sums);
    add_here("a full table", test_full);
    return run_added("tally");
}

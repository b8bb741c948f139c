/* spans.c: what was noted stays in the set, what lies far from it does not come in while there is
 * room, and writers that are killed in the middle take nothing away. */
#include "procs.h"

#include "shm/spans.h"

static la_seqlock_word_t *spans;

static int set_up(void **state)
{
    (void)state;
    spans = shared_alloc(LA_SPANS_WORDS * sizeof(*spans));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shared_free(spans, LA_SPANS_WORDS * sizeof(*spans));
    return 0;
}

typedef struct span_case_t {
    const char *name;
    uint64_t noted[24];
    uint64_t in[12];
    uint64_t out[12];
} span_case_t;

#define FAR (UINT64_MAX - 3)

static span_case_t span_cases[] = {
    {"nothing", {0}, {0}, {1, 2, FAR, UINT64_MAX}},
    {"one", {7}, {7}, {6, 8, FAR}},
    {"neighbours", {7, 8, 9}, {7, 8, 9}, {6, 10}},
    {"downwards", {9, 8, 7}, {7, 8, 9}, {6, 10}},
    {"a small gap is closed", {100, 110}, {100, 105, 110}, {99, 111}},
    {"a large gap stays", {100, 111}, {100, 111}, {99, 101, 110, 112}},
    {"two spans meet", {100, 111, 106}, {100, 103, 106, 109, 111}, {99, 112}},
    {"three spans meet", {100, 115, 130, 108, 123}, {100, 108, 115, 123, 130}, {99, 131}},
    {"the same again", {5, 5, 5}, {5}, {4, 6}},
    {"from end to end", {1, FAR}, {1, FAR}, {2, 1000, FAR - 1, UINT64_MAX}},
    {"more than there is room for",
     {1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10000, 11000, 12000, 13000, 14000,
      15000, 15500, FAR},
     {1000, 2000, 3000, 13000, 14000, 15000, 15250, 15500, FAR},
     {999, 1001, 1500, 13500, 14999, 15501, 100000, FAR - 1}},
};

static void test_sets(void **state)
{
    const span_case_t *row = *state;

    for (size_t i = 0; i < ROWS(row->noted) && row->noted[i] != 0; i++) {
        la_spans_note(spans, row->noted[i], UINT64_MAX);
    }
    for (size_t i = 0; i < ROWS(row->in) && row->in[i] != 0; i++) {
        assert_int_equal(la_spans_has(spans, row->in[i], UINT64_MAX), 1);
    }
    for (size_t i = 0; i < ROWS(row->out) && row->out[i] != 0; i++) {
        assert_int_equal(la_spans_has(spans, row->out[i], UINT64_MAX), 0);
    }
}

/* Numbers at random: all that were noted are in the set, always. */
static void test_nothing_is_lost(void **state)
{
    uint64_t noted[500];
    uint64_t seed = 1;

    (void)state;
    for (size_t i = 0; i < ROWS(noted); i++) {
        noted[i] = 1 + (next_random(&seed) >> next_random(&seed) % 63);
        la_spans_note(spans, noted[i], UINT64_MAX);
        for (size_t j = 0; j <= i; j++) {
            assert_int_equal(la_spans_has(spans, noted[j], UINT64_MAX), 1);
        }
    }
}

/* Of the last writers so many died after the first word of their copy. */
static void kill_writers(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t number = atomic_fetch_add(&spans[0], 1) + 1;

        atomic_store(&spans[1 + number % LA_SEQLOCK_COPIES * (2 + 2 * LA_SPANS_MAX)], number);
    }
}

static void test_killed_writers(void **state)
{
    (void)state;
    la_spans_note(spans, 100, 300);
    for (unsigned killed = 0; killed < LA_SEQLOCK_COPIES; killed++) {
        kill_writers(killed);
        assert_int_equal(la_spans_has(spans, 100, 300), 1);
        assert_int_equal(la_spans_has(spans, 200, 300), 0);
        la_spans_note(spans, 100, 300);
    }
    kill_writers(LA_SEQLOCK_COPIES);
    assert_int_equal(la_spans_has(spans, 1, 300), 1);
    assert_int_equal(la_spans_has(spans, 200, 300), 1);
    assert_int_equal(la_spans_has(spans, 301, 300), 0);
    la_spans_note(spans, 400, 300);
    assert_int_equal(la_spans_has(spans, 200, 0), 1);
    assert_int_equal(la_spans_has(spans, 301, 0), 0);
    assert_int_equal(la_spans_has(spans, 400, 0), 1);
}

static void add_in(const char *name, CMUnitTestFunction function, void *row)
{
    add(name, function, row);
    tests[test_count - 1].setup_func = set_up;
    tests[test_count - 1].teardown_func = tear_down;
}

int main(void)
{
    for (size_t i = 0; i < ROWS(span_cases); i++) {
        add_in(span_cases[i].name, test_sets, &span_cases[i]);
    }
    add_in("nothing is lost", test_nothing_is_lost, NULL);
    add_in("killed writers", test_killed_writers, NULL);
    return run_added("spans");
}

/* seqlock.h: a record is read whole or not at all, whatever became of its writers. */
#include "shm/seqlock.h"

#include "procs.h"

#define WORDS 5u

typedef struct world_t {
    la_seqlock_word_t record[LA_SEQLOCK_WORDS(WORDS)];
    _Atomic uint32_t torn;
    _Atomic uint32_t read;
    _Atomic uint32_t over;
    event_t wrote;
} world_t;

static world_t *world;

static int make_world(void **state)
{
    (void)state;
    world = shared_alloc(sizeof(*world));
    return 0;
}

static int drop_world(void **state)
{
    (void)state;
    shared_free(world, sizeof(*world));
    return 0;
}

/* The record of that value: what is mixed from two is recognised. */
static void make_record(uint64_t value, uint64_t *words)
{
    for (unsigned i = 0; i < WORDS; i++) {
        words[i] = value * (i + 1);
    }
}

static void write_value(uint64_t value)
{
    uint64_t words[WORDS];

    make_record(value, words);
    la_seqlock_write(world->record, words, WORDS);
}

#define NOTHING UINT64_MAX
#define TORN    (UINT64_MAX - 1)

static uint64_t read_value(void)
{
    uint64_t words[WORDS];
    uint64_t expected[WORDS];

    if (!la_seqlock_read(world->record, words, WORDS)) {
        return NOTHING;
    }
    make_record(words[0], expected);
    return memcmp(words, expected, sizeof(words)) == 0 ? words[0] : TORN;
}

static void test_newest(void **state)
{
    (void)state;
    assert_true(read_value() == NOTHING);
    for (uint64_t i = 0; i < 100; i++) {
        write_value(i * 7 % 10);
        assert_int_equal(read_value(), i * 7 % 10);
    }
}

/* A writer of `value` that is killed after so many stores. */
static void write_and_die(uint64_t value, unsigned stores)
{
    la_seqlock_word_t before[LA_SEQLOCK_WORDS(WORDS)];
    la_seqlock_word_t *copy;

    memcpy(before, world->record, sizeof(before));
    write_value(value);
    copy = world->record + 1 + atomic_load(world->record) % LA_SEQLOCK_COPIES * (2 + WORDS);
    for (unsigned i = stores; i < 2 + WORDS; i++) {
        atomic_store(copy + i, atomic_load(&before[copy - world->record + i]));
    }
}

static void test_killed_at_each_store(void **state)
{
    (void)state;
    write_value(1);
    for (unsigned stores = 0; stores < 2 + WORDS; stores++) {
        for (unsigned deaths = 1; deaths < LA_SEQLOCK_COPIES; deaths++) {
            write_and_die(1000 + stores, stores);
            assert_int_equal(read_value(), 1 + stores);
        }
        write_value(2 + stores);
        assert_int_equal(read_value(), 2 + stores);
    }
}

/* It wakes up after its copy had its turn again: that copy is torn, the one before stays. */
static void test_stopped_writer_goes_on(void **state)
{
    la_seqlock_word_t *copy;

    (void)state;
    write_value(1);
    copy = world->record + 1 + 1 % LA_SEQLOCK_COPIES * (2 + WORDS);
    for (uint64_t i = 2; i <= 1 + LA_SEQLOCK_COPIES; i++) {
        write_value(i);
    }
    atomic_store(copy + 2 + WORDS - 1, WORDS);
    assert_int_equal(read_value(), LA_SEQLOCK_COPIES);
    write_value(9);
    assert_int_equal(read_value(), 9);
}

static void test_garbage(void **state)
{
    uint64_t seed = 5;

    (void)state;
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < ROWS(world->record); i++) {
            atomic_store(&world->record[i], round == 0 ? UINT64_MAX - 1 : next_random(&seed));
        }
        assert_true(read_value() == NOTHING);
        write_value(3);
        assert_int_equal(read_value(), 3);
    }
}

static void test_each_bit(void **state)
{
    (void)state;
    write_value(1);
    for (unsigned bit = 0; bit < 64 * (2 + WORDS); bit++) {
        la_seqlock_word_t *word = world->record + 1 + (2 + WORDS) + bit / 64;

        atomic_fetch_xor(word, (uint64_t)1 << bit % 64);
        assert_true(read_value() == NOTHING);
        atomic_fetch_xor(word, (uint64_t)1 << bit % 64);
        assert_int_equal(read_value(), 1);
    }
}

static void *write_many(void *first)
{
    for (uint64_t i = 0; i < 20000; i++) {
        write_value((uint64_t)(uintptr_t)first + i);
    }
    return NULL;
}

static void *read_many(void *unused)
{
    while (!atomic_load(&world->over)) {
        uint64_t value = read_value();

        atomic_fetch_add(value == TORN ? &world->torn : &world->read, value != NOTHING);
    }
    return unused;
}

static void test_threads(void **state)
{
    pthread_t reader;

    (void)state;
    assert_int_equal(pthread_create(&reader, NULL, read_many, NULL), 0);
    run_threads(3, write_many, NULL);
    wait_until(atomic_load(&world->read) > 0);
    atomic_store(&world->over, 1);
    pthread_join(reader, NULL);
    assert_int_equal(atomic_load(&world->torn), 0);
    assert_true(read_value() < TORN);
}

static int write_for_ever(void *unused)
{
    (void)unused;
    for (uint64_t i = 0;; i++) {
        write_value(i);
        if (i == 0) {
            event_set(&world->wrote);
        }
    }
    return 0;
}

/* The last whole record is there after each, and the next one is taken. */
static void test_processes_killed_anywhere(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= 200; i++) {
        pid_t child = spawn(write_for_ever, NULL);

        event_wait(&world->wrote, i);
        kill(child, SIGKILL);
        reap(child);
        assert_true(read_value() < TORN);
        write_value(i);
        assert_int_equal(read_value(), i);
    }
}

static void add_here(const char *name, CMUnitTestFunction function)
{
    add(name, function, NULL);
    tests[test_count - 1].setup_func = make_world;
    tests[test_count - 1].teardown_func = drop_world;
}

int main(void)
{
    add_here("the newest is read", test_newest);
    add_here("a writer killed at each store", test_killed_at_each_store);
    add_here("a stopped writer goes on", test_stopped_writer_goes_on);
    add_here("garbage", test_garbage);
    add_here("each bit", test_each_bit);
    add_here("threads", test_threads);
    add_here("processes killed anywhere", test_processes_killed_anywhere);
    return run_added("seqlock");
}

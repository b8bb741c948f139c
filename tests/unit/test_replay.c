/* replay.c by one process: what is new, seen, old and refused, by whatever clock.
 * test_replay_crash.c has many processes. */
#include "replays.h"

static void test_once(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        for (uint64_t number = 0; number < 100; number++) {
            assert_int_equal(remember(number, BEGIN + SECONDS(2), BEGIN + SECONDS(3)),
                             round ? LA_REPLAY_SEEN : LA_REPLAY_NEW);
        }
    }
}

/* ---- threads ---- */

#define THREADS 8
#define RACED   2000

static _Atomic uint32_t taken[RACED];

static void *race(void *unused)
{
    (void)unused;
    for (uint64_t i = 0; i < RACED; i++) {
        apr_time_t issued = BEGIN + SECONDS(i / 5 + 1);

        atomic_fetch_add(&taken[i], remember(i, issued, issued + SECONDS(1)) == LA_REPLAY_NEW);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    run_threads(THREADS, race, NULL);
    for (int i = 0; i < RACED; i++) {
        assert_int_equal(atomic_load(&taken[i]), 1);
    }
}

/* ---- the same digest, another end ---- */

static void test_another_end(void **state)
{
    apr_time_t now = BEGIN + MINUTES(20);

    (void)state;
    for (uint64_t number = 0; number < 100; number++) {
        assert_int_equal(remember(number, now, now), LA_REPLAY_NEW);
    }
    for (uint64_t number = 0; number < 100; number++) {
        for (int seconds = -299; seconds <= 299; seconds += 13) {
            assert_int_equal(remember(number, now + SECONDS(seconds), now), LA_REPLAY_SEEN);
        }
    }
}

static _Atomic int arrived;

/* Each of two threads comes with an end of its own, at the same time; they may refuse each other.
 */
static void *race_by_ends(void *unused)
{
    apr_time_t now = BEGIN + MINUTES(1);
    apr_time_t ahead = MINUTES(atomic_fetch_add(&arrived, 1));

    (void)unused;
    for (int i = 0; i < RACED; i++) {
        while (atomic_load(&arrived) < 2 * i + 2) {}
        atomic_fetch_add(&taken[i], remember((uint64_t)i, now + ahead, now) == LA_REPLAY_NEW);
        atomic_fetch_add(&arrived, 1);
    }
    return NULL;
}

static void test_ends_race(void **state)
{
    (void)state;
    memset(taken, 0, sizeof(taken));
    run_threads(2, race_by_ends, NULL);
    for (int i = 0; i < RACED; i++) {
        assert_true(atomic_load(&taken[i]) <= 1);
    }
}

/* ---- times ---- */

typedef struct time_case_t {
    const char *name;
    apr_time_t issued;
    apr_time_t until;
    apr_time_t now;
    la_replay_e result;
    la_replay_matter_e matter;
} time_case_t;

#define NOW (BEGIN + MINUTES(20))

static time_case_t time_cases[] = {
    {"issued now", NOW, NOW + SECONDS(300), NOW, LA_REPLAY_NEW, 0},
    {"issued 300 s ago", NOW - SECONDS(300), NOW + SECONDS(1), NOW, LA_REPLAY_NEW, 0},
    {"issued 300 s ahead", NOW + SECONDS(300), NOW + SECONDS(601), NOW, LA_REPLAY_NEW, 0},
    {"its life is over", NOW - SECONDS(300), NOW, NOW, LA_REPLAY_OLD, 0},
    {"its life was over long ago", 0, SECONDS(300), NOW, LA_REPLAY_OLD, 0},
    {"a negative end", -SECONDS(900), -SECONDS(600), NOW, LA_REPLAY_OLD, 0},
    {"it would live too long", NOW, NOW + LA_REPLAY_AHEAD_US + 1, NOW, LA_REPLAY_REFUSED, 0},
    {"it would live for ever", NOW, INT64_MAX, NOW, LA_REPLAY_REFUSED, 0},
    {"by a clock that begins", 0, SECONDS(30), 0, LA_REPLAY_REFUSED, 0},
    {"by a clock before 1970", -SECONDS(600), -SECONDS(300), -SECONDS(600), LA_REPLAY_REFUSED, 0},
    {"by a clock at its end", INT64_MAX, INT64_MAX, INT64_MAX - 1, LA_REPLAY_REFUSED, 0},
    {"in the second of the beginning", BEGIN - APR_USEC_PER_SEC / 2, BEGIN + SECONDS(300), BEGIN,
     LA_REPLAY_OLD, 0},
    {"in the second after the beginning", BEGIN + APR_USEC_PER_SEC / 2, BEGIN + SECONDS(300), BEGIN,
     LA_REPLAY_NEW, 0},
    {"at the beginning", BEGIN, BEGIN + SECONDS(300), BEGIN, LA_REPLAY_NEW, 0},
    {"before the beginning", BEGIN - 1, BEGIN + SECONDS(300), BEGIN + SECONDS(1), LA_REPLAY_OLD, 0},
    {"by a clock 1 s before the beginning", BEGIN - SECONDS(1), BEGIN + SECONDS(300),
     BEGIN - SECONDS(1), LA_REPLAY_OLD, LA_REPLAY_IS_LATE},
    {"by a clock 1 h before the beginning", BEGIN - HOURS(1), BEGIN - HOURS(1) + SECONDS(300),
     BEGIN - HOURS(1), LA_REPLAY_OLD, LA_REPLAY_IS_LATE},
    {"by a clock 10 years before", BEGIN - YEARS(10), BEGIN - YEARS(10) + SECONDS(300),
     BEGIN - YEARS(10), LA_REPLAY_NEW, 0},
};

static void test_times(void **state)
{
    const time_case_t *row = *state;
    la_replay_matter_e matter;

    assert_int_equal(remember_until(1, row->issued, row->until, row->now, &matter), row->result);
    assert_int_equal(matter, row->matter);
}

/* ---- jumps of the clock ---- */

/* The clock is put forth and back, step by step. At each step a hundred proofs are remembered, and
 * all that were remembered before are tried again, with the clock at any time at which they would
 * still be accepted. */
typedef struct jump_case_t {
    const char *name;
    apr_interval_time_t steps[6]; /* up to a 0 */
    int minutes;                  /* for which all is refused after a step, at most */
} jump_case_t;

static jump_case_t jump_cases[] = {
    {"time goes by", {SECONDS(40), MINUTES(3), MINUTES(11), MINUTES(11), HOURS(30)}, 0},
    {"1 h ahead, and back", {HOURS(1), -HOURS(1)}, 2},
    {"1 h ahead for an hour, and back", {HOURS(1), MINUTES(20), MINUTES(40), -HOURS(1)}, 62},
    {"10 years ahead, and back", {YEARS(10), -YEARS(10)}, 2},
    {"10 years ahead, for an hour, and back",
     {YEARS(10), MINUTES(20), MINUTES(20), MINUTES(20), -YEARS(10)},
     0},
    {"10 years ahead, and a minute, and back", {YEARS(10), -YEARS(10) + MINUTES(1)}, 2},
    {"10 years back, and ahead", {MINUTES(20), -YEARS(10), MINUTES(1), YEARS(10)}, 2},
    {"10 years back, twice", {HOURS(1), -YEARS(10), HOURS(1), -YEARS(10)}, 1},
};

#define EACH 100

static la_replay_e remember_each(uint64_t first, apr_time_t issued, apr_time_t now)
{
    la_replay_e result = remember(first, issued, now);

    for (uint64_t i = 1; i < EACH; i++) {
        assert_int_equal(remember(first + i, issued, now), result);
    }
    return result;
}

static void try_again(const apr_time_t *issued, uint64_t count)
{
    static const apr_interval_time_t ages[] = {-SECONDS(299), 0, SECONDS(1), SECONDS(200),
                                               SECONDS(300)};

    for (uint64_t i = 0; i < count; i++) {
        for (size_t age = 0; age < ROWS(ages); age++) {
            assert_int_not_equal(remember_each(i * EACH, issued[i], issued[i] + ages[age]),
                                 LA_REPLAY_NEW);
        }
    }
}

static void test_jumps(void **state)
{
    const jump_case_t *row = *state;
    apr_time_t now = BEGIN + MINUTES(1);
    apr_time_t issued[8];
    uint64_t count = 0;

    for (int i = 0; i < 6 && (i == 0 || row->steps[i - 1] != 0); i++) {
        int minutes = 0;

        while (remember(count * EACH, now, now + SECONDS(1)) == LA_REPLAY_OLD) {
            now += MINUTES(1);
            assert_in_range(++minutes, 0, row->minutes);
        }
        for (uint64_t number = 1; number < EACH; number++) {
            assert_int_equal(remember(count * EACH + number, now, now + SECONDS(1)), LA_REPLAY_NEW);
        }
        issued[count++] = now;
        now += row->steps[i];
    }
    /* By the clock as it is now, wherever that is, and then at each proof's own time. */
    for (uint64_t i = 0; i < count; i++) {
        assert_int_not_equal(remember_each(i * EACH, issued[i], now), LA_REPLAY_NEW);
    }
    try_again(issued, count);
}

/* Whatever the clock did, new proofs are taken again in the end, and room does not run out. */
static void test_nothing_is_endless(void **state)
{
    const jump_case_t *row = *state;
    apr_time_t now = BEGIN + MINUTES(1);
    uint64_t number = 0;

    for (int i = 0; i < 6 && row->steps[i] != 0; i++) {
        for (int minute = 0; minute < 40; minute++) {
            remember(number++, now + MINUTES(minute % 5), now);
        }
        now += row->steps[i];
    }
    now += HOURS(1) + MINUTES(12); /* the clock passed here once more */
    remember(number++, now, now);
    now += MINUTES(1);
    for (int minute = 0; minute < 100; minute++) {
        assert_int_equal(remember_each(number, now, now + SECONDS(1)), LA_REPLAY_NEW);
        number += EACH;
        now += MINUTES(1);
    }
}

/* Just after the start the clock goes far back, so that the memory begins anew, and ahead again:
 * what another memory may have known stays refused. */
static void test_back_and_ahead_after_the_start(void **state)
{
    apr_time_t now = BEGIN + SECONDS(5);

    (void)state;
    assert_int_equal(remember(1, BEGIN - SECONDS(10), now), LA_REPLAY_OLD);
    remember(2, now - YEARS(10), now - YEARS(10));
    assert_int_equal(remember(2, now - YEARS(10), now - YEARS(10)), LA_REPLAY_SEEN);
    assert_int_equal(remember(1, BEGIN - SECONDS(10), now), LA_REPLAY_OLD);
    assert_int_equal(remember(3, BEGIN - SECONDS(299), now), LA_REPLAY_OLD);
    assert_int_equal(remember(4, now, now), LA_REPLAY_NEW);
    assert_int_not_equal(remember(2, now - YEARS(10), now - YEARS(10)), LA_REPLAY_NEW);
}

/* The clock was 2 h ahead when the memory was made: what waits for the time to come again says so.
 */
static void test_ahead_at_the_start(void **state)
{
    uint64_t number = 0;
    int waits = 0;

    (void)state;
    for (apr_time_t now = BEGIN - HOURS(2); now < BEGIN + MINUTES(20); now += SECONDS(20)) {
        unsigned char digest[LA_DIGEST_BYTES] = {0};
        la_replay_item_t item = {.digest = digest, .issued = now, .until = now + SECONDS(300)};
        la_replay_matter_e matter;

        memcpy(digest, &number, sizeof(number));
        number++;
        if (la_replay_remember(replay, &item, now, &matter) != LA_REPLAY_NEW) {
            assert_in_range(BEGIN - now, 1, MINUTES(16));
            assert_int_equal(matter, LA_REPLAY_IS_LATE);
            assert_int_equal(la_replay_ready(replay, now), BEGIN);
            waits++;
        }
    }
    assert_in_range(waits, 1, 48);
}

/* A busy server's clock jumps ahead for a moment: what is taken now is taken afterwards too. */
static void test_busy_jump(void **state)
{
    apr_time_t now = BEGIN + MINUTES(1);
    uint64_t number = 0;

    (void)state;
    for (int minute = 0; minute < 30; minute++) {
        assert_int_equal(remember(number++, now, now), LA_REPLAY_NEW);
        now += MINUTES(1);
    }
    assert_int_equal(remember(number++, now, now), LA_REPLAY_NEW);
    assert_int_equal(remember(number++, now + HOURS(1), now + HOURS(1)), LA_REPLAY_NEW);
    assert_int_equal(remember(number++, now, now), LA_REPLAY_NEW);
    assert_int_equal(remember(number - 3, now, now), LA_REPLAY_SEEN);
    assert_int_equal(remember(number - 4, now - MINUTES(1), now), LA_REPLAY_SEEN);
}

/* ---- room ---- */

static void test_full(void **state)
{
    apr_time_t now = BEGIN + MINUTES(1);
    la_replay_state_t all;
    la_replay_matter_e matter;
    uint64_t number = 0;

    (void)state;
    while (remember_until(number, now, now + SECONDS(300), now, &matter) == LA_REPLAY_NEW) {
        number++;
    }
    assert_int_equal(remember_until(number, now, now + SECONDS(300), now, &matter), LA_REPLAY_FULL);
    assert_int_equal(matter, LA_REPLAY_IS_FULL);
    la_replay_read(replay, now, &all);
    assert_int_equal(all.held, number);
    assert_true(number > all.capacity * 8 / 10);

    /* What is remembered stays, other minutes have room, and so has this one's table later. */
    for (uint64_t i = 0; i < number; i++) {
        assert_int_equal(remember_until(i, now, now + SECONDS(300), now, &matter), LA_REPLAY_SEEN);
    }
    assert_int_equal(remember_until(number, now, now + SECONDS(360), now, &matter), LA_REPLAY_NEW);
    for (int minute = 0; minute < 40; minute++) {
        now += MINUTES(1);
        la_replay_read(replay, now, &all);
        assert_true(all.held <= 2 * number);
        for (uint64_t i = 0; i < number / 20; i++) {
            assert_int_equal(remember(number * (uint64_t)(minute + 2) + i, now, now),
                             LA_REPLAY_NEW);
        }
    }
}

/* A memory as httpd has it: the proofs of a minute at 4,000 a second find room. */
static void test_whole_size(void **state)
{
    unsigned char *bytes = attach_whole();
    apr_time_t now = BEGIN + MINUTES(1);
    la_replay_state_t all;

    (void)state;
    for (uint64_t number = 0; number < 240000; number++) {
        assert_int_equal(remember(number, now, now), LA_REPLAY_NEW);
    }
    la_replay_read(replay, now, &all);
    assert_int_equal(all.held, 240000);
    assert_true(all.capacity > 340000);
    shared_free(bytes, LA_REPLAY_BYTES);
}

/* Pages of the memory that were written to. */
static unsigned count_touched(const unsigned char *bytes, size_t len)
{
    unsigned touched = 0;

    for (size_t at = 0; at < len; at += 4096) {
        static const unsigned char zeroes[4096];

        touched += memcmp(bytes + at, zeroes, 4096) != 0;
    }
    return touched;
}

static void test_touches_little(void **state)
{
    unsigned char *bytes = attach_whole();
    apr_time_t now = BEGIN + MINUTES(1);

    (void)state;
    for (uint64_t number = 0; number < 30 * 1000; number++) {
        assert_int_equal(remember(number, now, now), LA_REPLAY_NEW);
        now += SECONDS(2);
    }
    assert_in_range(count_touched(bytes, LA_REPLAY_BYTES), 10, 65);
    shared_free(bytes, LA_REPLAY_BYTES);
}

/* ---- bytes ---- */

static void test_sizes(void **state)
{
    static const apr_size_t sizes[] = {0, 64, 4096, BYTES - 1, BYTES + 1, BYTES + 4096};
    la_replay_t *made;

    (void)state;
    for (size_t i = 0; i < ROWS(sizes); i++) {
        assert_int_equal(la_replay_format(memory, sizes[i], BEGIN), APR_EINVAL);
        assert_int_equal(la_replay_attach(memory, sizes[i], points, &life, pool, &made),
                         APR_EGENERAL);
        assert_null(made);
    }
    assert_int_equal(la_replay_attach(memory, LA_REPLAY_BYTES_OF(2), points, &life, pool, &made),
                     APR_EGENERAL);
    memory[0] ^= 1;
    assert_int_equal(la_replay_attach(memory, BYTES, points, &life, pool, &made), APR_EGENERAL);
}

/* Any bytes are sound: calls return, and stay within them. */
static void test_garbage(void **state)
{
    uint64_t seed = 7;
    la_replay_state_t all;

    (void)state;
    for (int round = 0; round < 50; round++) {
        for (size_t at = round % 2 ? LOCK_AT + 16 : 4096; at + 8 <= BYTES; at += 8) {
            uint64_t word = next_random(&seed);

            if (next_random(&seed) % 4 < 3) {
                memcpy(memory + at, &word, 8);
            }
        }
        for (uint64_t number = 0; number < 200; number++) {
            remember(number, BEGIN + MINUTES((int)(number % 20)), BEGIN + MINUTES(10));
        }
        la_replay_read(replay, BEGIN, &all);
        (void)la_replay_tell(replay, LA_REPLAY_IS_FULL, round);
    }
}

/* ---- what is told ---- */

static void test_state(void **state)
{
    la_replay_state_t all;

    (void)state;
    for (la_replay_e result = LA_REPLAY_REFUSED; result <= LA_REPLAY_NEW; result++) {
        for (unsigned i = 0; i <= result; i++) {
            la_replay_count(replay, result, result == LA_REPLAY_NEW && i > 1);
        }
    }
    remember(1, BEGIN + SECONDS(1), BEGIN + SECONDS(1));
    remember(1, BEGIN + SECONDS(1), BEGIN + SECONDS(1));
    remember(2, BEGIN + SECONDS(1), BEGIN + SECONDS(1));
    la_replay_read(replay, BEGIN + SECONDS(1), &all);
    for (la_replay_e result = LA_REPLAY_REFUSED; result <= LA_REPLAY_NEW; result++) {
        assert_int_equal(all.results[result], result + 1u);
    }
    assert_int_equal(all.alone, LA_REPLAY_NEW - 1);
    assert_int_equal(all.held, 2);
    la_replay_read(replay, BEGIN + HOURS(1), &all);
    assert_int_equal(all.held, 0);
}

static void test_tell(void **state)
{
    (void)state;
    assert_int_equal(la_replay_tell(replay, LA_REPLAY_IS_FULL, SECONDS(10)), 1);
    assert_int_equal(la_replay_tell(replay, LA_REPLAY_IS_FULL, SECONDS(69)), 0);
    assert_int_equal(la_replay_tell(replay, LA_REPLAY_IS_BUSY, SECONDS(69)), 1);
    assert_int_equal(la_replay_tell(replay, LA_REPLAY_IS_FULL, SECONDS(70)), 1);
    assert_int_equal(la_replay_tell(replay, LA_REPLAY_NO_MATTER, SECONDS(1000)), 0);
}

int main(void)
{
    add_in("a digest is new once", test_once, NULL);
    add_in("threads", test_threads, NULL);
    add_in("the same digest with another end", test_another_end, NULL);
    add_in("threads with ends of their own", test_ends_race, NULL);
    for (size_t i = 0; i < ROWS(time_cases); i++) {
        add_in(time_cases[i].name, test_times, &time_cases[i]);
    }
    for (size_t i = 0; i < ROWS(jump_cases); i++) {
        add_in(jump_cases[i].name, test_jumps, &jump_cases[i]);
        add_in(jump_cases[i].name, test_nothing_is_endless, &jump_cases[i]);
    }
    add_in("a busy server's clock jumps", test_busy_jump, NULL);
    add_in("back and ahead after the start", test_back_and_ahead_after_the_start, NULL);
    add_in("ahead at the start", test_ahead_at_the_start, NULL);
    add_in("full", test_full, NULL);
    add_in("as large as in httpd", test_whole_size, NULL);
    add_in("what is not needed is not touched", test_touches_little, NULL);
    add_in("sizes and layouts", test_sizes, NULL);
    add_in("garbage", test_garbage, NULL);
    add_in("state", test_state, NULL);
    add_in("telling once a minute", test_tell, NULL);
    return run_added("replay");
}

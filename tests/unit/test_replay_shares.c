/* Shares of the memory of proofs: however much some send, there is room for the others.
 * test_replay_crash.c kills those who count. */
#include "replays.h"

#include "shm/shares.h"

/* Numbers that no other call was given. */
static uint64_t next_number;

/* An owner takes as much of a minute as he gets. Returns how much; result: of the next one. */
static uint64_t take_all(uint64_t owner, apr_time_t now, la_replay_e *result)
{
    la_replay_matter_e matter;
    uint64_t count = 0;

    while ((*result = remember_of(owner, next_number++, now, now + SECONDS(301), now, &matter)) ==
           LA_REPLAY_NEW) {
        count++;
    }
    assert_int_equal(matter, *result == LA_REPLAY_OVER ? LA_REPLAY_IS_OVER : LA_REPLAY_IS_FULL);
    return count;
}

/* However much one owner sends, others find room for as much as they do in a memory without him. */
static void test_one_owner(void **state)
{
    unsigned char *bytes = attach_whole();
    apr_time_t now = BEGIN + MINUTES(1);
    la_replay_matter_e matter;
    la_replay_state_t all;
    la_replay_e result;
    uint64_t most = take_all(1, now, &result);

    (void)state;
    assert_int_equal(result, LA_REPLAY_OVER);
    la_replay_read(replay, now, &all);
    assert_in_range(most, LA_SHARES_MOST(all.capacity), LA_SHARES_MOST(all.capacity) + 1);
    assert_int_equal(all.held, most);
    assert_true(most > 1450 * 60);

    /* What he has sent is remembered, and told from what is new. */
    assert_int_equal(remember_of(1, next_number - 2, now, now + SECONDS(301), now, &matter),
                     LA_REPLAY_SEEN);
    assert_int_equal(take_all(1, now, &result), 0);

    for (uint64_t owner = 2; owner < 100000; owner++) {
        assert_int_equal(remember_of(owner, next_number++, now, now + SECONDS(301), now, &matter),
                         LA_REPLAY_NEW);
    }
    assert_int_equal(take_all(1, now, &result), 0);
    assert_true(take_all(2, now, &result) > 20000);

    /* The next minute is another one. */
    assert_int_equal(take_all(1, now + MINUTES(1), &result), most);
    shared_free(bytes, LA_REPLAY_BYTES);
}

/* When fifteen do so, one after the other, others have room for a proof or two a second each. */
static void test_many_owners(void **state)
{
    unsigned char *bytes = attach_whole();
    apr_time_t now = BEGIN + MINUTES(1);
    la_replay_matter_e matter;
    la_replay_state_t all;
    la_replay_e result;

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (uint64_t owner = 0; owner < 15; owner++) {
            take_all(owner, now, &result);
            assert_int_equal(result, LA_REPLAY_OVER);
        }
    }
    la_replay_read(replay, now, &all);
    assert_true(all.held > all.capacity / 4 * 3 && all.held < all.capacity / 5 * 4);
    for (uint64_t i = 0; i < (uint64_t)150 * 100; i++) {
        assert_int_equal(
            remember_of(1000 + i % 150, next_number++, now, now + SECONDS(301), now, &matter),
            LA_REPLAY_NEW);
    }
    shared_free(bytes, LA_REPLAY_BYTES);
}

/* A share is of one minute, and ends with it: its table goes to others. */
static void test_shares_end(void **state)
{
    apr_time_t now = BEGIN + MINUTES(1);
    la_replay_e result;

    (void)state;
    for (int minute = 0; minute < 40; minute++) {
        assert_in_range(take_all(1, now, &result), LA_SHARES_MOST(1024), LA_SHARES_MOST(1024) + 1);
        assert_int_equal(result, LA_REPLAY_OVER);
        now += MINUTES(1);
    }
}

/* The same name elsewhere is another's. */
static void test_names(void **state)
{
    apr_time_t now = BEGIN + MINUTES(1);
    unsigned char digest[LA_DIGEST_BYTES] = {0};
    la_replay_item_t items[] = {
        {digest, {LA_SLICE("corp"), LA_SLICE("alice")}, now, now + SECONDS(301)},
        {digest, {LA_SLICE("corp"), LA_SLICE("bob")}, now, now + SECONDS(301)},
        {digest, {LA_SLICE("other"), LA_SLICE("alice")}, now, now + SECONDS(301)},
        {digest, {LA_SLICE("corpa"), LA_SLICE("lice")}, now, now + SECONDS(301)},
        {digest, {LA_SLICE(""), LA_SLICE("")}, now, now + SECONDS(301)},
    };
    la_replay_matter_e matter;
    uint32_t before = 0;
    uint32_t number = 0;

    (void)state;
    for (size_t i = 0; i < ROWS(items); i++) {
        la_replay_e result;

        do {
            memcpy(digest, &number, sizeof(number));
            number++;
        } while ((result = la_replay_remember(replay, &items[i], now, &matter)) == LA_REPLAY_NEW);
        assert_int_equal(result, LA_REPLAY_OVER);
        assert_true(number > before + 40);
        before = number;
    }
}

/* ---- counts ---- */

#define ALL 1024

/* What an owner may take of nothing that anybody else has. */
static uint64_t count_allowed(la_shares_t *shares, uint32_t turn, uint64_t owner)
{
    uint64_t count = 0;

    while (la_shares_allow(shares, turn, owner, count, ALL)) {
        la_shares_add(shares, turn, owner);
        count++;
    }
    return count;
}

static void test_turns(void **state)
{
    static const uint32_t turns[] = {0, 1, 2, 4094, 4095, 4097, 8192, UINT32_MAX - 1, UINT32_MAX};
    la_shares_t *shares = (la_shares_t *)(void *)memory;
    uint64_t most = 0;

    (void)state;
    memset(shares, 0, sizeof(*shares));
    for (size_t i = 0; i < ROWS(turns); i++) {
        most = count_allowed(shares, turns[i], 7);
        assert_in_range(most, LA_SHARES_MOST(ALL), LA_SHARES_MOST(ALL) + 1);
        assert_false(la_shares_allow(shares, turns[i], 7, most, ALL));
    }
}

/* A count stays the highest when it cannot grow, and is nothing in another turn. */
static void test_highest(void **state)
{
    la_shares_t *shares = (la_shares_t *)(void *)memory;

    (void)state;
    memset(shares, 0xff, sizeof(*shares));
    for (int i = 0; i < 3; i++) {
        assert_false(la_shares_allow(shares, 4095, 7, 0, LA_SHARES_ALL_MAX - 1));
        la_shares_add(shares, 4095, 7);
    }
    assert_true(la_shares_allow(shares, 0, 7, 0, LA_SHARES_ALL_MAX - 1));
    assert_true(la_shares_allow(shares, 0, 7, UINT64_MAX, LA_SHARES_ALL_MAX - 1));
}

int main(void)
{
    add_in("one owner takes what he gets", test_one_owner, NULL);
    add_in("many owners do", test_many_owners, NULL);
    add_in("shares end with their minute", test_shares_end, NULL);
    add_in("names of owners", test_names, NULL);
    add_in("turns", test_turns, NULL);
    add_in("the highest count", test_highest, NULL);
    return run_added("replay_shares");
}

/* A table whose bytes are damaged: every call gives a miss or an entry that was stored, and stays
 * within the bytes, at whose ends AddressSanitizer watches. */
#include "shm/table.h"

#include "shm/table_layout.h"

#include <apr_general.h>

#include "table_fixture.h"
#include "table_validate.h"

#define KEYS 40

static uint64_t seed;

static uint64_t draw(void)
{
    return mix(seed++);
}

/* What is stored now must be found, whatever the bytes were: the lock of nobody who lives is
 * free. */
static void use_everything(unsigned round)
{
    la_table_stats_t counted;
    apr_uint32_t number = round % KEYS;

    for (unsigned i = 0; i < KEYS; i++) {
        assert_int_not_equal(hit(i, NOW_US), -1);
    }
    (void)la_table_validate(f.table);
    la_table_stats(f.table, &counted);
    assert_true(counted.entries <= counted.chunks && counted.chunks_used <= counted.chunks);
    (void)remove_number(round % KEYS);
    assert_int_not_equal(hit(round % KEYS, NOW_US), 1);
    put(round % KEYS, round, NOW_US);
    assert_int_equal(hit(round % KEYS, NOW_US), 1);
    (void)la_table_sweep(f.table, is_number, &number);
}

static unsigned char *group_bytes(void)
{
    return (unsigned char *)f.table->links;
}

static apr_size_t group_len(void)
{
    return f.size - (apr_size_t)(group_bytes() - (unsigned char *)f.bytes);
}

/* ---- garbage all over ------------------------------------------------------------ */

static void test_random_bytes(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 60; round++) {
        for (apr_size_t i = 0; i < f.size; i += 8) {
            uint64_t word = draw();

            memcpy((unsigned char *)f.bytes + i, &word, 8);
        }
        use_everything(round);
    }
}

static void test_equal_bytes(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        memset(f.bytes, byte, f.size);
        use_everything((unsigned)byte);
    }
}

/* With sound locks, so that writers go to work. */
static void test_random_bytes_under_sound_locks(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        for (apr_size_t i = 0; i < group_len(); i += 8) {
            uint64_t word = draw();

            memcpy(group_bytes() + i, &word, 8);
        }
        assert_non_null(la_table_validate(f.table));
        use_everything(round);
        for (unsigned i = 0; i < KEYS; i++) {
            put(i, i, NOW_US);
            assert_int_equal(hit(i, NOW_US), 1);
        }
    }
}

/* The tags and keys of what is looked for are there, all else is random: chains that loop, lengths
 * without end. */
static void test_right_keys_random_rest(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < KEYS; i++) {
            put(i, 2 * i + round, NOW_US);
        }
        for (unsigned way = 0; way < WAYS; way++) {
            la_table_chunk_t *chunk = la_table_chunk(f.table, 0, way);

            la_table_store(&chunk->u.head.size, draw() % (round % 2 ? VALUE_MAX + 1 : UINT64_MAX));
            la_table_store(&chunk->u.head.sum, draw());
            f.table->links[0].next[way] = (unsigned char)draw();
        }
        use_everything(round);
    }
}

/* ---- a little damage ------------------------------------------------------------- */

/* Flips bits all over a sound table, then in the part behind the locks only. */
static void flip_bits(unsigned rounds, unsigned char *from, apr_size_t len)
{
    unsigned char *sound = malloc(f.size);

    assert_non_null(sound);
    for (unsigned i = 0; i < KEYS; i++) {
        put(i, i % 12, NOW_US);
    }
    memcpy(sound, f.bytes, f.size);
    for (unsigned round = 0; round < rounds; round++) {
        for (uint64_t flips = 1 + draw() % 16; flips > 0; flips--) {
            uint64_t bit = draw() % (8 * len);

            from[bit / 8] ^= (unsigned char)(1 << bit % 8);
        }
        use_everything(round);
        memcpy(f.bytes, sound, f.size);
    }
    free(sound);
}

static void test_bits_anywhere(void **state)
{
    (void)state;
    flip_bits(4000, f.bytes, f.size);
}

static void test_bits_behind_the_locks(void **state)
{
    (void)state;
    flip_bits(4000, group_bytes(), group_len());
}

static void test_bits_in_the_index(void **state)
{
    (void)state;
    flip_bits(4000, group_bytes(), sizeof(la_table_links_t) + sizeof(la_table_tags_t));
}

static void test_bits_in_the_locks(void **state)
{
    (void)state;
    flip_bits(300, (unsigned char *)f.table->locks, sizeof(la_table_lock_t));
}

/* Every single bit of an entry: its metadata, its value, and what describes them. */
static void test_every_bit_of_an_entry(void **state)
{
    la_table_chunk_t *chunk = NULL;

    (void)state;
    put(1, 1, NOW_US); /* 200 bytes: one chunk */
    for (unsigned way = 0; way < WAYS; way++) {
        if (la_table_tag(f.table, 0, way) != 0) {
            chunk = la_table_chunk(f.table, 0, way);
        }
    }
    assert_non_null(chunk);
    for (unsigned bit = 0; bit < 8 * (104 + 200); bit++) {
        la_table_word_t *word = &chunk->u.head.key[0] + bit / 64;

        la_table_store(word, la_table_load(word) ^ (uint64_t)1 << bit % 64);
        assert_int_equal(hit(1, NOW_US), 0);
        assert_non_null(la_table_validate(f.table));
        la_table_store(word, la_table_load(word) ^ (uint64_t)1 << bit % 64);
        assert_int_equal(hit(1, NOW_US), 1);
    }
}

/* ---- what validate() sees ---------------------------------------------------------- */

typedef struct damage_row_t {
    const char *name;
    const char *reason;
    void (*damage)(la_table_chunk_t *chunk, unsigned way);
} damage_row_t;

static void clear_tag(la_table_chunk_t *chunk, unsigned way)
{
    (void)chunk;
    (void)way;
    memset(f.table->tags, 0, sizeof(*f.table->tags));
}

static void change_tag(la_table_chunk_t *chunk, unsigned way)
{
    (void)chunk;
    f.table->tags[0].word[way / 4] ^= (uint64_t)1 << 16 * (way % 4);
}

static void leave_writing(la_table_chunk_t *chunk, unsigned way)
{
    (void)way;
    la_table_store(&chunk->state, 5 << 2 | LA_TABLE_WRITING);
}

static void invent_state(la_table_chunk_t *chunk, unsigned way)
{
    (void)way;
    la_table_store(&chunk->state, 5 << 2 | 3);
}

static void lengthen(la_table_chunk_t *chunk, unsigned way)
{
    (void)way;
    la_table_store(&chunk->u.head.size, VALUE_MAX + 1);
}

static void link_out(la_table_chunk_t *chunk, unsigned way)
{
    (void)chunk;
    f.table->links[0].next[way] = WAYS;
}

static void link_to_self(la_table_chunk_t *chunk, unsigned way)
{
    (void)chunk;
    f.table->links[0].next[way] = (unsigned char)way;
}

static void change_value(la_table_chunk_t *chunk, unsigned way)
{
    (void)way;
    la_table_store(&chunk->u.head.value[7], 0);
}

static void copy_entry_over(la_table_chunk_t *chunk, unsigned way)
{
    unsigned other = (way + WAYS / 2) % WAYS;

    memcpy(la_table_chunk(f.table, 0, other), chunk, sizeof(*chunk));
    la_table_store(&f.table->tags[0].word[other / 4], la_table_tag(f.table, 0, way)
                                                          << 16 * (other % 4));
}

static const damage_row_t damage_rows[] = {
    {"a head without a tag", "a head has no tag", clear_tag},
    {"a tag of another key", "an entry's tag is not its key's", change_tag},
    {"a chunk left in writing", "a chunk is being written though nobody holds the lock",
     leave_writing},
    {"a state that does not exist", "a chunk is being written though nobody holds the lock",
     invent_state},
    {"a length over the limit", "a value is too long", lengthen},
    {"a link that leads out", "a link leads out of its group", link_out},
    {"a link to itself", "a chunk belongs to two entries", link_to_self},
    {"a changed value", "an entry's checksum is wrong", change_value},
    {"a key stored twice", "a key is stored twice", copy_entry_over},
};

static void test_damage(void **state)
{
    const damage_row_t *row = *state;
    unsigned way = 0;

    assert_int_equal(format(f.bytes, f.size), APR_SUCCESS);
    put(1, row->damage == copy_entry_over ? 1 : 3, NOW_US); /* 265 bytes: two chunks */
    while (la_table_tag(f.table, 0, way) == 0) {
        way++;
    }
    assert_null(la_table_validate(f.table));
    row->damage(la_table_chunk(f.table, 0, way), way);
    assert_string_equal(la_table_validate(f.table), row->reason);
    put(1, 4, NOW_US); /* writers mend what they meet */
    assert_int_equal(hit(1, NOW_US), 1);
}

/* Of two chains that meet one is dropped by the next writer, and the other stays whole. */
static void test_chains_that_meet(void **state)
{
    unsigned heads[2];
    unsigned count = 0;

    (void)state;
    put(1, 3, NOW_US);
    put(2, 3, NOW_US);
    for (unsigned way = 0; way < WAYS; way++) {
        if (la_table_tag(f.table, 0, way) != 0) {
            assert_in_range(count, 0, 1);
            heads[count++] = way;
        }
    }
    f.table->links[0].next[heads[1]] = f.table->links[0].next[heads[0]];
    assert_string_equal(la_table_validate(f.table), "a chunk belongs to two entries");
    put(3, 0, NOW_US);
    assert_null(la_table_validate(f.table));
    assert_int_equal(stats().entries, 2);
    assert_int_equal(hit(1, NOW_US) + hit(2, NOW_US), 1);
}

static void test_entry_in_the_wrong_group(void **state)
{
    table_fixture_t two = table_fixture_make(2, 0);
    const char *reason = NULL;

    (void)state;
    assert_int_equal(put_version(two.table, 1, 1, NOW_US), APR_SUCCESS);
    for (unsigned way = 0; way < WAYS; way++) {
        for (unsigned group = 0; group < 2; group++) {
            if (la_table_tag(two.table, group, way) != 0) {
                memcpy(la_table_chunk(two.table, 1 - group, way),
                       la_table_chunk(two.table, group, way), sizeof(la_table_chunk_t));
                memcpy(&two.table->tags[1 - group], &two.table->tags[group],
                       sizeof(la_table_tags_t));
                reason = la_table_validate(two.table);
                way = WAYS - 1;
                break;
            }
        }
    }
    assert_string_equal(reason, "an entry is in a group that is not its key's");
    table_fixture_drop(&two, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAIN(test_random_bytes),
        PLAIN(test_equal_bytes),
        PLAIN(test_random_bytes_under_sound_locks),
        PLAIN(test_right_keys_random_rest),
        PLAIN(test_bits_anywhere),
        PLAIN(test_bits_behind_the_locks),
        PLAIN(test_bits_in_the_index),
        PLAIN(test_bits_in_the_locks),
        PLAIN(test_every_bit_of_an_entry),
        PLAIN(test_entry_in_the_wrong_group),
        PLAIN(test_chains_that_meet),
    };
    struct CMUnitTest rows[16];
    size_t count = 0;
    int failed;

    for (size_t i = 0; i < sizeof(damage_rows) / sizeof(damage_rows[0]); i++) {
        rows[count++] = (struct CMUnitTest){damage_rows[i].name, test_damage, NULL, NULL,
                                            (void *)(uintptr_t)&damage_rows[i]};
    }
    apr_initialize();
    failed = cmocka_run_group_tests(tests, NULL, NULL) +
             _cmocka_run_group_tests("damage", rows, count, set_up, tear_down);
    apr_terminate();
    return failed;
}

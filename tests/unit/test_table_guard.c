/* The table's stores that meet a sweep or a removal, while their process goes on, is stopped or
 * killed: what the sweep met is never found after it. The guard of a store is where a test puts
 * what happens meanwhile.
 */
#include "shm/table.h"

#include "table_fixture.h"
#include "table_validate.h"

#include "procs.h"

#define NUMBER 7
#define OTHER  8

typedef struct guard_case_t {
    const char *name;
    void (*meanwhile)(void);
    int answer; /* of the guard */
    int stored;
} guard_case_t;

typedef struct world_t {
    event_t inside;
    event_t go;
} world_t;

static table_fixture_t f;
static world_t *world;

static int is_none(void *context, const la_table_meta_t *meta)
{
    (void)context;
    (void)meta;
    return 0;
}

static void drop_number(uint64_t number)
{
    unsigned char key[LA_TABLE_KEY_BYTES];

    key_of(number, key);
    la_table_remove(f.table, key);
}

static void nothing(void)
{
}

static void sweep(void)
{
    la_table_sweep(f.table, is_none, NULL);
}

static void remove_it(void)
{
    drop_number(NUMBER);
}

static void remove_other(void)
{
    drop_number(OTHER);
}

static void look_for_it(void)
{
    assert_int_equal(get_whole(f.table, NUMBER, NOW_US), 0);
}

static const guard_case_t guard_cases[] = {
    {"nothing happens", nothing, 1, 1},
    {"the guard says no", nothing, 0, 0},
    {"somebody looks for it", look_for_it, 1, 1},
    {"a sweep that wants nothing", sweep, 1, 0},
    {"a sweep, and the guard says no", sweep, 0, 0},
    {"it is removed", remove_it, 1, 0},
    {"another one is removed", remove_other, 1, 1},
};

static int guard(const void *context)
{
    const guard_case_t *row = context;

    row->meanwhile();
    return row->answer;
}

static apr_status_t put_guarded(uint64_t number, uint64_t version, la_table_keep_fn *keep,
                                const void *context)
{
    static unsigned char value[VALUE_MAX];
    la_table_guard_t guarded = {keep, context};
    unsigned char key[LA_TABLE_KEY_BYTES];
    la_table_meta_t meta;
    apr_size_t len = describe(number, version, value, &meta);

    meta.stored_us = NOW_US;
    meta.expires_us = NOW_US + SECONDS(3600);
    meta.stale_until_us = meta.expires_us;
    key_of(number, key);
    return la_table_put(f.table, key, &meta, (la_slice_t){(const char *)value, len}, &guarded);
}

/* Of a new key and one that is replaced, in one chunk and in a chain. */
static void test_guard(void **state)
{
    const guard_case_t *row = *state;

    for (uint64_t version = 0; version < 16; version++) {
        int is_new = version % 2 == 0;

        f = table_fixture_make(1, 1);
        assert_int_equal(put_version(f.table, OTHER, 0, NOW_US), APR_SUCCESS);
        if (!is_new) {
            assert_int_equal(put_version(f.table, NUMBER, version + 3, NOW_US), APR_SUCCESS);
        }
        assert_int_equal(put_guarded(NUMBER, version, guard, row),
                         row->stored ? APR_SUCCESS : APR_EGENERAL);
        assert_int_equal(get_whole(f.table, NUMBER, NOW_US), row->stored);
        assert_null(la_table_validate(f.table));
        assert_int_equal(put_version(f.table, NUMBER, version, NOW_US), APR_SUCCESS);
        assert_int_equal(get_whole(f.table, NUMBER, NOW_US), 1);
        table_fixture_drop(&f, 1);
    }
}

static int wait_inside(const void *unused)
{
    (void)unused;
    event_set(&world->inside);
    event_wait(&world->go, 1);
    return 1;
}

static int put_in_child(void *unused)
{
    (void)unused;
    return put_guarded(NUMBER, 3, wait_inside, NULL) == APR_EGENERAL;
}

/* end: what becomes of the process once the sweep is over. */
static void test_process(void **state)
{
    int end = *(const int *)*state;
    pid_t child;

    f = table_fixture_make(1, 1);
    world = shared_alloc(sizeof(*world));
    child = spawn(put_in_child, NULL);
    event_wait(&world->inside, 1);
    kill(child, SIGSTOP);
    wait_state(child, WSTOPPED);
    sweep();
    event_set(&world->go);
    kill(child, end);
    assert_int_equal(reap(child), end == SIGCONT ? 1 : -end);
    assert_int_equal(get_whole(f.table, NUMBER, NOW_US), 0);
    assert_int_equal(put_version(f.table, NUMBER, 3, NOW_US), APR_SUCCESS);
    assert_null(la_table_validate(f.table));
    shared_free(world, sizeof(*world));
    table_fixture_drop(&f, 1);
}

int main(void)
{
    static const int ends[] = {SIGCONT, SIGKILL};

    for (size_t i = 0; i < ROWS(guard_cases); i++) {
        add(guard_cases[i].name, test_guard, (void *)(uintptr_t)&guard_cases[i]);
    }
    add("processes: stopped in a store, and swept", test_process, (void *)(uintptr_t)&ends[0]);
    add("processes: killed in a store, and swept", test_process, (void *)(uintptr_t)&ends[1]);
    return run_added("table_guard");
}

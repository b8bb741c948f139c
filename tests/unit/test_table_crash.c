/* The table among processes that die or stop while they write: nothing mixed is ever read, nobody
 * waits for long, and every part of it stays writable. */
#include "shm/table.h"

#include "shm/table_layout.h"

#include <apr_general.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "table_fixture.h"
#include "table_validate.h"

#define KEYS    48
#define GROUPS  2
#define WRITERS 3
#define READERS 2
#define KILLS   300

/* A program that is not done by then hangs. */
#define HANG_SECONDS 240

typedef struct shared_t {
    _Atomic unsigned mixed, hits, misses, stop;
} shared_t;

static table_fixture_t t;
static shared_t *shared;

static int set_up_shared(void **state)
{
    (void)state;
    t = table_fixture_make(GROUPS, 1);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED;
}

static int set_up_one_group(void **state)
{
    (void)state;
    t = table_fixture_make(1, 1);
    return 0;
}

static int tear_down_one_group(void **state)
{
    (void)state;
    table_fixture_drop(&t, 1);
    return 0;
}

static int tear_down_shared(void **state)
{
    (void)state;
    table_fixture_drop(&t, 1);
    munmap(shared, sizeof(*shared));
    return 0;
}

static void end(pid_t pid)
{
    int status;

    kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
}

static void assert_all_writable(const la_table_t *table)
{
    assert_null(la_table_validate(table));
    for (uint64_t i = 0; i < 2 * KEYS; i++) {
        assert_int_equal(put_version(table, 1000 + i, i, NOW_US), APR_SUCCESS);
        assert_int_equal(get_whole(table, 1000 + i, NOW_US), 1);
    }
    assert_null(la_table_validate(table));
}

static uint64_t lock_holder(const la_table_t *table, unsigned group)
{
    return atomic_load(&table->locks[group].lock.holder);
}

/* ---- killed at random ------------------------------------------------------------ */

static void *write_for_ever(void *seed)
{
    unsigned char key[LA_TABLE_KEY_BYTES];

    for (uint64_t i = (uint64_t)(uintptr_t)seed << 32;; i++) {
        uint64_t random = mix(i);
        apr_uint32_t number = (apr_uint32_t)(random >> 8) % KEYS;
        apr_time_t now_us = NOW_US + SECONDS(random % 64 == 1 ? 3600 : random >> 40 & 3);

        if (random % 64 == 0) {
            key_of(number, key);
            la_table_remove(t.table, key);
        } else if (random % 256 == 2) {
            la_table_sweep(t.table, is_number, &number);
        } else {
            put_version(t.table, number, (apr_uint32_t)(random >> 16), now_us);
        }
    }
    return NULL;
}

static void *read_until_stop(void *seed)
{
    for (uint64_t i = (uint64_t)(uintptr_t)seed << 32; !shared->stop; i++) {
        int result = get_whole(t.table, mix(i) % KEYS, NOW_US + SECONDS(i & 3));

        atomic_fetch_add(result < 0 ? &shared->mixed : result ? &shared->hits : &shared->misses, 1);
    }
    return NULL;
}

/* A process of two threads that do the same. */
static pid_t start(void *(*work)(void *), unsigned seed)
{
    pthread_t thread;
    pid_t pid = fork();

    if (pid != 0) {
        assert_true(pid > 0);
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (pthread_create(&thread, NULL, work, (void *)(uintptr_t)(2 * seed)) != 0) {
        _exit(2);
    }
    work((void *)(uintptr_t)(2 * seed + 1));
    pthread_join(thread, NULL);
    _exit(0);
}

static int someone_died_with_a_lock(void)
{
    int died = 0;

    for (unsigned i = 0; i < GROUPS; i++) {
        uint64_t holder = lock_holder(t.table, i);

        died |= holder != 0 && !la_holder_alive(test_holder(), (uint32_t)(holder >> 32));
    }
    return died;
}

static void test_killed_writers(void **state)
{
    pid_t writers[WRITERS], readers[READERS];
    unsigned seed = 1, with_lock = 0;
    int status;

    (void)state;
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = start(write_for_ever, seed++);
    }
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = start(read_until_stop, seed++);
    }
    for (unsigned i = 0; i < KILLS; i++) {
        pid_t *victim = &writers[mix(i) % WRITERS];

        usleep((useconds_t)(mix(i) >> 40) % 4000);
        end(*victim);
        with_lock += (unsigned)someone_died_with_a_lock();
        *victim = start(write_for_ever, seed++);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        end(writers[i]);
    }
    shared->stop = 1;
    for (unsigned i = 0; i < READERS; i++) {
        assert_int_equal(waitpid(readers[i], &status, 0), readers[i]);
        assert_int_equal(status, 0);
    }
    print_message("%u kills, in %u of them a lock was seen to lose its owner; %u hits, %u misses\n",
                  KILLS, with_lock, (unsigned)shared->hits, (unsigned)shared->misses);
    assert_int_equal(shared->mixed, 0);
    assert_true(shared->hits > 1000);
    assert_true(with_lock > 0);
    assert_all_writable(t.table);
}

/* ---- stopped ---------------------------------------------------------------------- */

static apr_time_t monotonic_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return SECONDS(now.tv_sec) + now.tv_nsec / 1000;
}

static int is_locked(unsigned group)
{
    return lock_holder(t.table, group) != 0;
}

/* Stops a writer, all its threads, again and again until it has the lock of a group. */
static void stop_with_a_lock(pid_t pid)
{
    int status;

    for (;;) {
        usleep(300);
        kill(pid, SIGSTOP);
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        if (is_locked(0) || is_locked(1)) {
            return;
        }
        kill(pid, SIGCONT);
    }
}

static unsigned group_of(uint64_t number)
{
    unsigned char key[LA_TABLE_KEY_BYTES];

    key_of(number, key);
    return la_table_place(t.table, key).group;
}

static void test_stopped_writer(void **state)
{
    unsigned found = 0;
    apr_time_t start_us;
    pid_t pid;

    (void)state;
    for (uint64_t i = 0; i < KEYS; i++) {
        assert_int_equal(put_version(t.table, i, 0, NOW_US), APR_SUCCESS);
    }
    pid = start(write_for_ever, 1);
    stop_with_a_lock(pid);
    start_us = monotonic_us();
    for (uint64_t i = 0; i < KEYS; i++) {
        int result = get_whole(t.table, i, NOW_US + SECONDS(1));

        assert_int_not_equal(result, -1);
        found += (unsigned)result;
    }
    assert_true(found > 0);
    /* Microseconds, and a lot for what else the machine does. */
    assert_true(monotonic_us() - start_us < SECONDS(1));
    for (uint64_t i = 0; i < KEYS; i++) {
        int locked = is_locked(group_of(i));

        assert_int_equal(put_version(t.table, i, 0, NOW_US), locked ? APR_TIMEUP : APR_SUCCESS);
        assert_int_equal(get_whole(t.table, i, NOW_US), !locked);
    }
    assert_true(monotonic_us() - start_us < SECONDS(5)); /* at 5 ms each */
    end(pid);
    assert_all_writable(t.table);
}

/* ---- at every change of the bytes
 * -------------------------------------------------------------- */

typedef struct step_row_t {
    const char *name;
    uint64_t number, before, version;
    int full; /* the group has no free chunk */
} step_row_t;

#define NONE    UINT64_MAX
#define FILLERS 32 /* of four chunks each */

static const step_row_t step_rows[] = {
    {"a new entry of several chunks", 500, NONE, 7, 0},
    {"in place, longer", 500, 1, 7, 0},
    {"in place, shorter", 500, 7, 1, 0},
    {"one is evicted", 500, NONE, 3, 1},
    {"in place, longer, one is evicted", 500, 1, 11, 1},
};

/* A writer is stepped through, instruction by instruction, and looked at after each that changes
 * the table. What a look may find: the entry before, then perhaps nothing for a while, then the
 * entry after. */
typedef struct progress_t {
    const step_row_t *row;
    table_fixture_t copy;
    int new_seen;
    unsigned char present[FILLERS];
} progress_t;

/* Returns the version that is found, NONE on a miss. */
static uint64_t version_of(const la_table_t *table, uint64_t number)
{
    static unsigned char value[VALUE_MAX];
    unsigned char key[LA_TABLE_KEY_BYTES];
    la_table_entry_t entry;

    key_of(number, key);
    if (la_table_get(table, key, NOW_US + SECONDS(300), room_of, value, &entry) == LA_TABLE_MISS) {
        return NONE;
    }
    assert_true(is_whole(number, &entry));
    return version_in(&entry.meta);
}

static void look_as_a_reader(progress_t *p)
{
    uint64_t version = version_of(t.table, p->row->number);

    assert_true(version == NONE || version == p->row->version || version == p->row->before);
    assert_true(version == p->row->version || !p->new_seen);
    p->new_seen |= version == p->row->version;
    for (uint64_t i = 0; p->row->full && i < FILLERS; i++) {
        int found = get_whole(t.table, i, NOW_US + SECONDS(300));

        assert_int_not_equal(found, -1);
        assert_true(found <= p->present[i]); /* what is gone stays away */
        p->present[i] = (unsigned char)found;
    }
}

/* In a copy the writer died after this instruction, and its locks are held by an id that nobody
 * has. */
static void look_after_its_death(progress_t *p)
{
    const la_table_t *table = p->copy.table;
    uint64_t version;

    memcpy(p->copy.bytes, t.bytes, t.size);
    for (unsigned i = 0; i < table->group_count; i++) {
        if (lock_holder(table, i) != 0) {
            atomic_store(&table->locks[i].lock.holder, ((uint64_t)1 << 32) | 1);
        }
    }
    assert_null(la_table_validate(table));
    version = version_of(table, p->row->number);
    assert_true(version == NONE || version == p->row->version || version == p->row->before);
    assert_int_equal(put_version(table, p->row->number, 9, NOW_US + SECONDS(300)), APR_SUCCESS);
    assert_int_equal(version_of(table, p->row->number), 9);
    assert_null(la_table_validate(table));
}

static pid_t start_traced(const step_row_t *row)
{
    static unsigned char value[VALUE_MAX];
    unsigned char key[LA_TABLE_KEY_BYTES];
    la_table_meta_t meta;
    apr_size_t len = describe(row->number, row->version, value, &meta);
    pid_t pid = fork();

    if (pid != 0) {
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    key_of(row->number, key);
    meta.stored_us = NOW_US + SECONDS(250);
    meta.expires_us = NOW_US + SECONDS(3600);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
        _exit(77);
    }
    la_holder_self(test_holder());
    raise(SIGSTOP);
    _exit(la_table_put(t.table, key, &meta, (la_slice_t){(const char *)value, len}, NULL) ==
                  APR_SUCCESS
              ? 0
              : 1);
}

static void prepare(const step_row_t *row, progress_t *p)
{
    for (uint64_t i = 0; row->full && i < FILLERS; i++) {
        assert_int_equal(put_version(t.table, i, 7, NOW_US + (apr_time_t)i), APR_SUCCESS);
    }
    if (row->before != NONE) {
        assert_int_equal(put_version(t.table, row->number, row->before, NOW_US + SECONDS(200)),
                         APR_SUCCESS);
    }
    memset(p->present, 1, sizeof(p->present));
}

static void test_every_change(void **state)
{
    progress_t p = {*state, table_fixture_make(1, 1), 0, {0}};
    unsigned steps = 0, changes = 0;
    int status;
    pid_t pid;

    prepare(p.row, &p);
    pid = start_traced(p.row);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("no ptrace here\n");
        skip();
    }
    while (WIFSTOPPED(status)) {
        steps++;
        if (memcmp(p.copy.bytes, t.bytes, t.size) != 0) {
            changes++;
            look_as_a_reader(&p);
            look_after_its_death(&p);
            memcpy(p.copy.bytes, t.bytes, t.size);
        }
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(p.new_seen);
    assert_null(la_table_validate(t.table));
    print_message("%u instructions, %u changes\n", steps, changes);
    assert_true(changes > 20);
    table_fixture_drop(&p.copy, 1);
}

int main(void)
{
    struct CMUnitTest tests[16] = {
        cmocka_unit_test_setup_teardown(test_killed_writers, set_up_shared, tear_down_shared),
        cmocka_unit_test_setup_teardown(test_stopped_writer, set_up_shared, tear_down_shared),
    };
    size_t count = 2;
    int failed;

    for (size_t i = 0; i < sizeof(step_rows) / sizeof(step_rows[0]); i++) {
        tests[count++] = (struct CMUnitTest){step_rows[i].name, test_every_change, set_up_one_group,
                                             tear_down_one_group, (void *)(uintptr_t)&step_rows[i]};
    }
    alarm(HANG_SECONDS);
    apr_initialize();
    failed = _cmocka_run_group_tests("crash", tests, count, NULL, NULL);
    apr_terminate();
    return failed;
}

/* reload.c: when a file is read again, which version a thread gets, and how long it stays. */
#include "support.h"

#include "io/reload.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define START (APR_TIME_C(1800000000) * APR_USEC_PER_SEC)
#define TICK  LA_RELOAD_INTERVAL_US

typedef struct world_t {
    apr_pool_t *pool;
    la_reload_t *reload;
    _Atomic int parsed;
    _Atomic int freed; /* versions */
    int hangs;         /* parse() waits for `go` */
    int is_ending;     /* nothing may be freed */
    sem_t entered;
    sem_t go;
} world_t;

static apr_status_t note_freed(void *data)
{
    world_t *w = data;

    if (w->is_ending) {
        _exit(1);
    }
    atomic_fetch_add(&w->freed, 1);
    return APR_SUCCESS;
}

/* A value is a copy of the text; one that begins with `!` is broken. */
static const char *parse(void *context, la_slice_t text, apr_pool_t *pool, apr_pool_t *scratch,
                         const void **value)
{
    world_t *w = context;

    atomic_fetch_add(&w->parsed, 1);
    if (w->hangs) {
        sem_post(&w->entered);
        sem_wait(&w->go);
    }
    if (text.len > 0 && text.data[0] == '!')
        return apr_pstrcat(scratch, "broken", NULL);
    apr_pool_cleanup_register(pool, w, note_freed, apr_pool_cleanup_null);
    *value = apr_pstrmemdup(pool, text.data, text.len);
    return NULL;
}

static world_t *make(const char *text)
{
    apr_pool_t *pool = new_pool();
    world_t *w = apr_pcalloc(pool, sizeof(*w));
    const char *path = text ? write_text(pool, "followed", text) : NULL;

    forget_log();
    w->pool = pool;
    sem_init(&w->entered, 0, 0);
    sem_init(&w->go, 0, 0);
    w->reload = la_reload_make(pool, path, 100, parse, w);
    if (path)
        assert_null(la_reload_read(w->reload, pool));
    return w;
}

static void drop(world_t *w)
{
    apr_pool_destroy(w->pool);
}

static void assert_value(world_t *w, const char *expected)
{
    unsigned held;
    const char *value = la_reload_hold(w->reload, &held);

    if (expected)
        assert_string_equal(value, expected);
    else
        assert_null(value);
    la_reload_release(w->reload, held);
}

static void assert_look(world_t *w, apr_time_t now, const char *expected)
{
    la_reload_look(w->reload, now);
    assert_value(w, expected);
}

/* ---- when ---- */

static void test_interval(void **state)
{
    world_t *w = make("one");

    (void)state;
    write_text(w->pool, "followed", "two");
    assert_look(w, START, "two"); /* the first look is at once */
    write_text(w->pool, "followed", "three");
    assert_look(w, START + TICK - 1, "two");
    assert_look(w, START + TICK, "three");
    assert_int_equal(log_lines, 2);
    assert_int_equal(log_level, LA_LOG_INFO);
    drop(w);
}

static void test_clock_set_back(void **state)
{
    world_t *w = make("one");

    (void)state;
    assert_look(w, START, "one");
    write_text(w->pool, "followed", "three");
    assert_look(w, START - 1, "one");
    assert_look(w, START - APR_TIME_C(3600) * APR_USEC_PER_SEC, "three");
    drop(w);
}

static void test_broken(void **state)
{
    world_t *w = make("one");

    (void)state;
    write_text(w->pool, "followed", "!");
    for (int i = 0; i < 4; i++)
        assert_look(w, START + i * TICK, "one");
    assert_int_equal(log_lines, 1);
    assert_non_null(strstr(logged, "followed: broken; its last good version is still used"));
    write_text(w->pool, "followed", "two");
    assert_look(w, START + 4 * TICK, "two");
    drop(w);
}

/* Unlike write_text(), with the file system's own times. */
static void write_now(world_t *w, const char *text)
{
    FILE *out = fopen(file_path(w->pool, "followed"), "wb");

    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

/* Written again within the same tick of the file system's clock, with the same size. */
static void test_same_tick(void **state)
{
    world_t *w = make("a000");
    apr_time_t now = START;

    (void)state;
    for (int i = 0; i < 200; i++) {
        write_now(w, apr_psprintf(w->pool, "a%03d", i));
        la_reload_look(w->reload, now += TICK);
        write_now(w, apr_psprintf(w->pool, "b%03d", i));
        assert_look(w, now += TICK, apr_psprintf(w->pool, "b%03d", i));
    }
    drop(w);
}

/* The same text again makes no new version. */
static void test_same_text(void **state)
{
    world_t *w = make("one");

    (void)state;
    for (int i = 0; i < 3; i++) {
        write_text(w->pool, "followed", "one");
        assert_look(w, START + i * TICK, "one");
    }
    assert_int_equal(atomic_load(&w->parsed), 1);
    assert_int_equal(log_lines, 0);
    drop(w);
}

static void test_texts(void **state)
{
    world_t *w = make(NULL);

    (void)state;
    assert_value(w, NULL);
    assert_null(la_reload_text(w->reload, slice_of_text("one"), w->pool));
    assert_value(w, "one");
    assert_string_equal(la_reload_text(w->reload, slice_of_text("!"), w->pool), "broken");
    assert_null(la_reload_text(w->reload, slice_of_text("!"), w->pool));
    assert_value(w, "one");
    assert_int_equal(atomic_load(&w->parsed), 2);
    drop(w);
}

/* ---- for how long ---- */

static void test_freed(void **state)
{
    world_t *w = make("one");
    const char *value;
    unsigned held;

    (void)state;
    value = la_reload_hold(w->reload, &held);
    write_text(w->pool, "followed", "two");
    assert_look(w, START, "two");
    assert_string_equal(value, "one");
    assert_int_equal(atomic_load(&w->freed), 0);
    la_reload_release(w->reload, held);
    assert_look(w, START + TICK, "two");
    assert_int_equal(atomic_load(&w->freed), 1); /* by the next look */
    write_text(w->pool, "followed", "three");
    assert_look(w, START + 2 * TICK, "three");
    assert_int_equal(atomic_load(&w->freed), 2); /* at once */
    drop(w);
}

/* ---- threads ---- */

static void *look_once(void *data)
{
    world_t *w = data;

    la_reload_look(w->reload, START + TICK);
    return NULL;
}

static void *look_late(void *data)
{
    assert_look(data, START + 2 * TICK, "two");
    return NULL;
}

/* While one thread reads, others go on with what was right a moment ago, and wait if it is older.
 */
static void test_reader_hangs(void **state)
{
    world_t *w = make("one");
    pthread_t threads[2];

    (void)state;
    assert_look(w, START, "one");
    write_text(w->pool, "followed", "two");
    w->hangs = 1;
    assert_int_equal(pthread_create(&threads[0], NULL, look_once, w), 0);
    sem_wait(&w->entered);
    assert_look(w, START + TICK, "one");
    assert_look(w, START + 2 * TICK - 1, "one");
    assert_int_equal(pthread_create(&threads[1], NULL, look_late, w), 0);
    sem_post(&w->go);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    assert_value(w, "two");
    drop(w);
}

#define ROUNDS 2000

static void *hold_on(void *data)
{
    world_t *w = data;

    for (int i = 0; i < ROUNDS; i++) {
        unsigned held;
        const char *value = la_reload_hold(w->reload, &held);

        assert_true(strlen(value) == 8 && value[0] == value[7]);
        la_reload_release(w->reload, held);
    }
    return NULL;
}

static void test_threads(void **state)
{
    world_t *w = make(NULL);
    pthread_t threads[4];

    (void)state;
    assert_null(la_reload_text(w->reload, slice_of_text("xxxxxxxx"), w->pool));
    for (size_t i = 0; i < ROWS(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hold_on, w), 0);
    for (int i = 0; i < ROUNDS; i++) {
        char text[] = "--------";

        memset(text, 'a' + i % 26, 8);
        assert_null(la_reload_text(w->reload, slice_of_text(text), w->pool));
    }
    for (size_t i = 0; i < ROWS(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&w->parsed), ROUNDS + 1);
    assert_true(atomic_load(&w->freed) >= ROUNDS - 1);
    drop(w);
}

static void test_inherited(void **state)
{
    world_t *w = make("one");
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0) {
        assert_value(w, "one");
        write_text(w->pool, "followed", "two");
        assert_look(w, START, "two");
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_value(w, "one");
    assert_look(w, START, "two");
    drop(w);
}

/* As apr_terminate() does in a child, after libcrypto's own end. */
static void test_child_ends(void **state)
{
    world_t *w = make("one");
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0) {
        w->is_ending = 1;
        drop(w);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    drop(w);
}

int main(void)
{
    start();
    add("once in an interval, the first time at once", test_interval, NULL);
    add("the clock is set back", test_clock_set_back, NULL);
    add("a broken version is said once and changes nothing", test_broken, NULL);
    add("written twice within a tick", test_same_tick, NULL);
    add("the same text again", test_same_text, NULL);
    add("texts that the caller brings", test_texts, NULL);
    add("a version stays while it is held", test_freed, NULL);
    add("threads: while one reads", test_reader_hangs, NULL);
    add("threads: hold while it changes", test_threads, NULL);
    add("processes: a child goes on with the parent's version", test_inherited, NULL);
    add("processes: a child that ends frees no version", test_child_ends, NULL);
    return finish("reload");
}

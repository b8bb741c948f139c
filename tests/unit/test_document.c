/* document.c: when a shared document is fetched, by whom, and what becomes of it when writers die or memory holds garbage.
 * Clock and fetch are the test's, in memory that processes share; gates and processes are real. */
#include "procs.h"
#include <apr_strings.h>

static apr_time_t fake_clock(void);

#define la_clock_us fake_clock
#include "provider/document.c"
#undef la_clock_us
#define S       APR_USEC_PER_SEC
#define PERMITS 16u
#define REFRESH (1000 * S)

typedef struct world_t {
    _Atomic apr_int64_t now;
    _Atomic int fails;
    _Atomic uint32_t calls;
    _Atomic uint32_t hold; /* a fetch waits for `go` */
    event_t entered;
    event_t go;
    char text[64];
} world_t;

static world_t *world;
static void *memory;
static void *gate_bytes;
static la_life_t life;
static apr_pool_t *pool;
static la_provider_t *provider;
static la_document_t *document;
static int log_lines;
static char logged[512];

static apr_time_t fake_clock(void)
{
    return atomic_load(&world->now);
}

static const char *fake_fetch(const la_provider_t *p, apr_pool_t *in, la_slice_t *bytes)
{
    (void)p;
    atomic_fetch_add(&world->calls, 1);
    event_set(&world->entered);
    if (atomic_load(&world->hold)) {
        event_wait(&world->go, 1);
    }
    if (atomic_load(&world->fails)) {
        return "the server is out of order";
    }
    *bytes = (la_slice_t){apr_pstrdup(in, world->text), strlen(world->text)};
    return NULL;
}

static const la_document_source_t source = {fake_fetch, REFRESH, "the test's document"};

static void host_log(la_log_e level, const char *line)
{
    (void)level;
    log_lines++;
    apr_cpystrn(logged, line, sizeof(logged));
}

static int host_workers(void)
{
    return 64;
}

static int make_world(void **state)
{
    static const la_host_t host = {.log = host_log, .workers = host_workers};
    la_gates_t *gates;

    (void)state;
    la_host_set(&host);
    log_lines = 0;
    logged[0] = '\0';
    world = shared_alloc(sizeof(*world));
    memory = shared_alloc(la_document_bytes());
    gate_bytes = shared_alloc(la_gates_bytes(2, PERMITS));
    atomic_store(&world->now, 1000000 * S);
    apr_cpystrn(world->text, "one", sizeof(world->text));
    if (apr_pool_create(&pool, NULL) != APR_SUCCESS ||
        la_gates_format(gate_bytes, 2, PERMITS) != APR_SUCCESS ||
        la_gates_attach(gate_bytes, 2, PERMITS, &life, pool, &gates) != APR_SUCCESS) {
        return 1;
    }
    provider = apr_pcalloc(pool, sizeof(*provider));
    provider->name = "idp";
    provider->segment = memory;
    provider->gates = gates;
    provider->document_gate = 1;
    provider->common.http.connect_timeout_us = 3600 * S;
    return la_document_attach(provider, &source, pool, &document) != APR_SUCCESS;
}

static int drop_world(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    shared_free(world, sizeof(*world));
    shared_free(memory, la_document_bytes());
    shared_free(gate_bytes, la_gates_bytes(2, PERMITS));
    return 0;
}

static void pass(apr_interval_time_t us)
{
    atomic_fetch_add(&world->now, us);
}

static uint32_t calls(void)
{
    return atomic_load(&world->calls);
}

static void say(const char *text)
{
    apr_cpystrn(world->text, text, sizeof(world->text));
}

static void assert_document(const char *text)
{
    apr_uint64_t version;
    la_slice_t bytes;

    assert_int_equal(la_document_read(document, pool, &bytes, &version), 1);
    assert_string_equal(bytes.data, text);
    assert_int_equal(bytes.len, strlen(text));
    assert_true(version != 0 && version == la_document_version(document));
}

static void assert_none(void)
{
    apr_uint64_t version = 1;
    la_slice_t bytes;

    assert_int_equal(la_document_read(document, pool, &bytes, &version), 0);
    assert_true(version == 0);
    assert_true(la_document_version(document) == 0);
}

/* ---- when ---- */

static void test_tick(void **state)
{
    apr_uint64_t first;

    (void)state;
    assert_none();
    la_document_tick(document, pool);
    assert_document("one");
    first = la_document_version(document);
    pass(REFRESH / 10 * 9 - 1);
    la_document_tick(document, pool);
    assert_int_equal(calls(), 1);
    pass(1);
    say("two");
    la_document_tick(document, pool);
    assert_int_equal(calls(), 2);
    assert_document("two");
    assert_true(la_document_version(document) != first);
    say("one");
    pass(REFRESH);
    la_document_tick(document, pool);
    assert_true(la_document_version(document) == first); /* the same bytes, the same version */
}

static void test_pauses(void **state)
{
    static const int pauses[] = {1, 2, 4, 8, 10, 10, 10};

    (void)state;
    atomic_store(&world->fails, 1);
    la_document_tick(document, pool);
    for (uint32_t i = 0; i < ROWS(pauses); i++) {
        pass(pauses[i] * S - 1);
        la_document_tick(document, pool);
        assert_int_equal(la_document_ensure(document, pool), LA_DOCUMENT_FAILED);
        assert_int_equal(calls(), i + 1);
        pass(1);
        la_document_tick(document, pool);
        assert_int_equal(calls(), i + 2);
    }
    assert_none();
    atomic_store(&world->fails, 0);
    pass(10 * S);
    la_document_tick(document, pool);
    assert_document("one");
    atomic_store(&world->fails, 1);
    pass(REFRESH);
    la_document_tick(document, pool);
    pass(S); /* the first pause again */
    la_document_tick(document, pool);
    assert_int_equal(calls(), ROWS(pauses) + 4);
    assert_document("one");
}

static void test_ensure(void **state)
{
    (void)state;
    assert_int_equal(la_document_ensure(document, pool), LA_DOCUMENT_CURRENT);
    assert_document("one");
    pass(REFRESH / 10 * 9 + 2 * S - 1);
    assert_int_equal(la_document_ensure(document, pool), LA_DOCUMENT_CURRENT);
    assert_int_equal(calls(), 1); /* that would be the tick's */
    pass(1);
    assert_int_equal(la_document_ensure(document, pool), LA_DOCUMENT_CURRENT);
    assert_int_equal(calls(), 2);
}

static void test_ensure_fails(void **state)
{
    (void)state;
    atomic_store(&world->fails, 1);
    assert_int_equal(la_document_ensure(document, pool), LA_DOCUMENT_FAILED);
    assert_int_equal(la_document_ensure(document, pool), LA_DOCUMENT_FAILED);
    assert_int_equal(calls(), 1);
    atomic_store(&world->fails, 0);
    pass(S);
    assert_int_equal(la_document_ensure(document, pool), LA_DOCUMENT_CURRENT);
    assert_document("one");
}

static void test_renew(void **state)
{
    apr_uint64_t first;

    (void)state;
    la_document_tick(document, pool);
    first = la_document_version(document);
    say("two");
    assert_int_equal(la_document_renew(document, first, pool), LA_DOCUMENT_CURRENT);
    assert_document("two");
    assert_int_equal(la_document_renew(document, first, pool), LA_DOCUMENT_CURRENT);
    assert_int_equal(calls(), 2); /* it is newer than what was used */
    say("three");
    assert_int_equal(la_document_renew(document, la_document_version(document), pool),
                     LA_DOCUMENT_CURRENT);
    assert_int_equal(calls(), 2); /* cooling down */
    pass(LA_DOCUMENT_COOL_DOWN_US);
    assert_int_equal(la_document_renew(document, la_document_version(document), pool),
                     LA_DOCUMENT_CURRENT);
    assert_document("three");
}

static void test_renew_fails(void **state)
{
    (void)state;
    la_document_tick(document, pool);
    atomic_store(&world->fails, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(la_document_renew(document, la_document_version(document), pool),
                         LA_DOCUMENT_FAILED);
    }
    assert_int_equal(calls(), 2);
    assert_document("one");
}

static void test_log(void **state)
{
    (void)state;
    la_document_tick(document, pool);
    assert_int_equal(log_lines, 1);
    atomic_store(&world->fails, 1);
    pass(REFRESH);
    for (int i = 0; i < 5; i++) {
        la_document_tick(document, pool);
        pass(10 * S);
    }
    assert_int_equal(log_lines, 2); /* of five failures in 40 seconds */
    assert_non_null(strstr(logged, "LA0060: provider idp: cannot fetch the test's document: the "
                                   "server is out of order; what"));
    pass(20 * S);
    la_document_tick(document, pool);
    assert_int_equal(log_lines, 3);
    atomic_store(&world->fails, 0);
    pass(10 * S);
    la_document_tick(document, pool);
    assert_int_equal(log_lines, 4);
    assert_non_null(strstr(logged, "again"));
}

static const char *fetch_much(const la_provider_t *p, apr_pool_t *in, la_slice_t *bytes)
{
    apr_size_t len = LA_DOCUMENT_MAX_BYTES + (apr_size_t)atomic_load(&world->fails);

    (void)p;
    *bytes = (la_slice_t){apr_pcalloc(in, len), len};
    return NULL;
}

static void test_size(void **state)
{
    static const la_document_source_t much = {fetch_much, REFRESH, "much"};
    apr_uint64_t version;
    la_slice_t bytes;

    (void)state;
    la_document_attach(provider, &much, pool, &document);
    atomic_store(&world->fails, 1); /* a byte too many */
    la_document_tick(document, pool);
    assert_none();
    assert_non_null(strstr(logged, "larger than"));
    atomic_store(&world->fails, 0);
    pass(S);
    la_document_tick(document, pool);
    assert_int_equal(la_document_read(document, pool, &bytes, &version), 1);
    assert_int_equal(bytes.len, LA_DOCUMENT_MAX_BYTES);
}

/* ---- memory ---- */

static void assert_recovers(void)
{
    apr_uint64_t version;
    la_slice_t bytes;

    if (la_document_version(document)) {
        assert_int_equal(la_document_read(document, pool, &bytes, &version), 0);
    }
    assert_none();
    assert_int_equal(la_document_ensure(document, pool), LA_DOCUMENT_CURRENT);
    assert_document("one");
    la_document_renew(document, la_document_version(document), pool);
    assert_document("one");
}

static void test_garbage(void **state)
{
    uint64_t seed = 7;

    (void)state;
    memset(memory, 0xff, la_document_bytes());
    assert_recovers();
    for (int round = 0; round < 20; round++) {
        unsigned char *bytes = memory;

        for (size_t i = 0; i < 64 || i < la_document_bytes(); i += i < 64 ? 1 : 4096) {
            bytes[i] = (unsigned char)next_random(&seed);
        }
        assert_recovers();
    }
}

static void test_torn(void **state)
{
    segment_t *segment = memory;

    (void)state;
    la_document_tick(document, pool);
    segment->slots[atomic_load(&segment->current) & 1].bytes[1] ^= 1;
    assert_recovers();
    segment->slots[atomic_load(&segment->current) & 1].len = UINT32_MAX;
    assert_recovers();
    atomic_store(&segment->current,
                 atomic_load(&segment->current) ^ 1); /* died between the two stores */
    segment->slots[atomic_load(&segment->current) & 1].bytes[0] = 'x';
    assert_recovers();
}

/* ---- processes and threads ---- */

static int child_ensures(void *unused)
{
    apr_uint64_t version;
    la_slice_t bytes;

    (void)unused;
    return la_document_ensure(document, pool) == LA_DOCUMENT_CURRENT &&
                   la_document_read(document, pool, &bytes, &version)
               ? 0
               : 1;
}

static void test_one_fetch(void **state)
{
    pid_t children[6];

    (void)state;
    atomic_store(&world->hold, 1);
    for (size_t i = 0; i < ROWS(children); i++) {
        children[i] = spawn(child_ensures, NULL);
    }
    event_wait(&world->entered, 1);
    event_set(&world->go);
    for (size_t i = 0; i < ROWS(children); i++) {
        assert_int_equal(reap(children[i]), 0);
    }
    assert_int_equal(calls(), 1);
}

/* Who fetches is killed in the middle: what there was stays, and the next one fetches. */
static void test_killed(void **state)
{
    pid_t child;

    (void)state;
    la_document_tick(document, pool);
    pass(REFRESH);
    say("two");
    atomic_store(&world->hold, 1);
    child = spawn(child_ensures, NULL);
    event_wait(&world->entered, 2);
    assert_document("one");
    assert_int_equal(la_document_ensure(document, pool), LA_DOCUMENT_CURRENT); /* goes on with it */
    assert_int_equal(calls(), 2);
    kill_unreaped(child);
    atomic_store(&world->hold, 0);
    la_document_tick(document, pool);
    assert_int_equal(calls(), 3);
    assert_document("two");
    reap(child);
}

static void *run_renew(void *used)
{
    apr_pool_t *scratch;
    la_document_e ended;

    apr_pool_create_unmanaged_ex(&scratch, NULL, NULL);
    ended = la_document_renew(document, *(apr_uint64_t *)used, scratch);
    apr_pool_destroy(scratch);
    return ended == LA_DOCUMENT_CURRENT ? NULL : (void *)document;
}

/* Who comes while an early fetch is under way waits for it, and is not told that it has just been tried. */
static void test_waiters(void **state)
{
    pthread_t threads[5];
    apr_uint64_t used;
    void *wrong;

    (void)state;
    la_document_tick(document, pool);
    used = la_document_version(document);
    say("two");
    atomic_store(&world->hold, 1);
    for (size_t i = 0; i < ROWS(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run_renew, &used), 0);
    }
    event_wait(&world->entered, 2);
    event_set(&world->go);
    for (size_t i = 0; i < ROWS(threads); i++) {
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    assert_int_equal(calls(), 2);
    assert_document("two");
}

static void test_busy(void **state)
{
    pthread_t thread;
    apr_uint64_t used;

    (void)state;
    la_document_tick(document, pool);
    used = la_document_version(document);
    atomic_store(&world->hold, 1);
    assert_int_equal(pthread_create(&thread, NULL, run_renew, &used), 0);
    event_wait(&world->entered, 2);
    provider->common.http.connect_timeout_us = 1;
    assert_int_equal(la_document_renew(document, used, pool), LA_DOCUMENT_BUSY);
    event_set(&world->go);
    pthread_join(thread, NULL);
    assert_int_equal(calls(), 2);
}

static void add_in(const char *name, CMUnitTestFunction function)
{
    add(name, function, NULL);
    tests[test_count - 1].setup_func = make_world;
    tests[test_count - 1].teardown_func = drop_world;
}

int main(void)
{
    int fd;

    if (la_life_open(&fd) != APR_SUCCESS) {
        return 1;
    }
    la_life_init(&life, fd);
    add_in("tick: first, refresh, versions", test_tick);
    add_in("tick: pauses after failures", test_pauses);
    add_in("ensure: none yet, and when the tick is late", test_ensure);
    add_in("ensure: fails, and not again at once", test_ensure_fails);
    add_in("renew: early, once in ten seconds", test_renew);
    add_in("renew: fails", test_renew_fails);
    add_in("log: once a minute, and when it is over", test_log);
    add_in("size: the largest, and a byte more", test_size);
    add_in("memory: garbage", test_garbage);
    add_in("memory: torn", test_torn);
    add_in("processes: one fetch for all", test_one_fetch);
    add_in("processes: killed in a fetch", test_killed);
    add_in("threads: who comes meanwhile waits", test_waiters);
    add_in("threads: no longer than ConnectTimeout", test_busy);
    return run_added("document");
}

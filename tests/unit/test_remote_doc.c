/* remote_doc.c: when a shared document is fetched, by whom, and what becomes of it when writers die
 * or memory holds garbage. Clock and fetch are the test's, in memory that processes share; gates
 * and processes are real. */
#include "remote_docs.h"

/* ---- when ---- */

static void test_tick(void **state)
{
    apr_uint64_t first;

    (void)state;
    assert_none();
    la_remote_doc_tick(document, pool);
    assert_document("one");
    first = la_remote_doc_version(document);
    pass(REFRESH / 10 * 9 - 1);
    la_remote_doc_tick(document, pool);
    assert_int_equal(calls(), 1);
    pass(1);
    say("two");
    la_remote_doc_tick(document, pool);
    assert_int_equal(calls(), 2);
    assert_document("two");
    assert_true(la_remote_doc_version(document) != first);
    say("one");
    pass(REFRESH);
    la_remote_doc_tick(document, pool);
    assert_true(la_remote_doc_version(document) == first); /* the same bytes, the same version */
}

static void test_pauses(void **state)
{
    static const int pauses[] = {1, 2, 4, 8, 10, 10, 10};

    (void)state;
    atomic_store(&world->fails, 1);
    la_remote_doc_tick(document, pool);
    for (uint32_t i = 0; i < ROWS(pauses); i++) {
        pass(pauses[i] * S - 1);
        la_remote_doc_tick(document, pool);
        assert_int_equal(la_remote_doc_ensure(document, pool), LA_REMOTE_DOC_FAILED);
        assert_int_equal(calls(), i + 1);
        pass(1);
        la_remote_doc_tick(document, pool);
        assert_int_equal(calls(), i + 2);
    }
    assert_none();
    atomic_store(&world->fails, 0);
    pass(10 * S);
    la_remote_doc_tick(document, pool);
    assert_document("one");
    atomic_store(&world->fails, 1);
    pass(REFRESH);
    la_remote_doc_tick(document, pool);
    pass(S); /* the first pause again */
    la_remote_doc_tick(document, pool);
    assert_int_equal(calls(), ROWS(pauses) + 4);
    assert_document("one");
}

static void test_ensure(void **state)
{
    (void)state;
    assert_int_equal(la_remote_doc_ensure(document, pool), LA_REMOTE_DOC_CURRENT);
    assert_document("one");
    pass(REFRESH / 10 * 9 + 2 * S - 1);
    assert_int_equal(la_remote_doc_ensure(document, pool), LA_REMOTE_DOC_CURRENT);
    assert_int_equal(calls(), 1); /* that would be the tick's */
    pass(1);
    assert_int_equal(la_remote_doc_ensure(document, pool), LA_REMOTE_DOC_CURRENT);
    assert_int_equal(calls(), 2);
}

static void test_ensure_fails(void **state)
{
    (void)state;
    atomic_store(&world->fails, 1);
    assert_int_equal(la_remote_doc_ensure(document, pool), LA_REMOTE_DOC_FAILED);
    assert_int_equal(la_remote_doc_ensure(document, pool), LA_REMOTE_DOC_FAILED);
    assert_int_equal(calls(), 1);
    atomic_store(&world->fails, 0);
    pass(S);
    assert_int_equal(la_remote_doc_ensure(document, pool), LA_REMOTE_DOC_CURRENT);
    assert_document("one");
}

static void test_log(void **state)
{
    (void)state;
    la_remote_doc_tick(document, pool);
    assert_int_equal(log_lines, 1);
    atomic_store(&world->fails, 1);
    pass(REFRESH);
    for (int i = 0; i < 5; i++) {
        la_remote_doc_tick(document, pool);
        pass(10 * S);
    }
    assert_int_equal(log_lines, 2); /* of five failures in 40 seconds */
    assert_non_null(strstr(logged, "LA0060: provider idp: cannot fetch the test's document: the "
                                   "server is out of order; the one fetched before is still used"));
    pass(20 * S);
    la_remote_doc_tick(document, pool);
    assert_int_equal(log_lines, 3);
    atomic_store(&world->fails, 0);
    pass(10 * S);
    la_remote_doc_tick(document, pool);
    assert_int_equal(log_lines, 4);
    assert_non_null(strstr(logged, "again"));
}

static const char *fetch_much(const la_provider_t *p, apr_pool_t *in, la_slice_t *bytes)
{
    apr_size_t len = LA_REMOTE_DOC_MAX_BYTES + (apr_size_t)atomic_load(&world->fails);

    (void)p;
    *bytes = (la_slice_t){apr_pcalloc(in, len), len};
    return NULL;
}

static void test_size(void **state)
{
    static const la_remote_doc_source_t much = {fetch_much, REFRESH, "much", NULL};
    apr_uint64_t version;
    la_slice_t bytes;

    (void)state;
    document = la_remote_doc_attach(provider, &much, pool);
    atomic_store(&world->fails, 1); /* a byte too many */
    la_remote_doc_tick(document, pool);
    assert_none();
    assert_non_null(strstr(logged, "larger than"));
    atomic_store(&world->fails, 0);
    pass(S);
    la_remote_doc_tick(document, pool);
    assert_int_equal(la_remote_doc_read(document, pool, &bytes, &version), 1);
    assert_int_equal(bytes.len, LA_REMOTE_DOC_MAX_BYTES);
}

/* ---- memory ---- */

static void assert_recovers(void)
{
    apr_uint64_t version;
    la_slice_t bytes;

    if (la_remote_doc_version(document)) {
        assert_int_equal(la_remote_doc_read(document, pool, &bytes, &version), 0);
    }
    assert_none();
    assert_int_equal(la_remote_doc_ensure(document, pool), LA_REMOTE_DOC_CURRENT);
    assert_document("one");
    renew(la_remote_doc_version(document), pool);
    assert_document("one");
}

static void test_garbage(void **state)
{
    uint64_t seed = 7;

    (void)state;
    memset(memory, 0xff, la_remote_doc_bytes());
    assert_recovers();
    for (int round = 0; round < 20; round++) {
        unsigned char *bytes = memory;

        for (size_t i = 0; i < 64 || i < la_remote_doc_bytes(); i += i < 64 ? 1 : 4096) {
            bytes[i] = (unsigned char)next_random(&seed);
        }
        assert_recovers();
    }
}

static void test_torn(void **state)
{
    segment_t *segment = memory;

    (void)state;
    la_remote_doc_tick(document, pool);
    segment->slots[atomic_load(&segment->current) & SLOT_BITS].bytes[1] ^= 1;
    assert_recovers();
    segment->slots[atomic_load(&segment->current) & SLOT_BITS].len = UINT32_MAX;
    assert_recovers();
    atomic_fetch_xor(&segment->current, 1);
    segment->slots[atomic_load(&segment->current) & SLOT_BITS].bytes[0] = 'x';
    assert_recovers();
}

/* ---- processes and threads ---- */

static int child_ensures(void *unused)
{
    apr_uint64_t version;
    la_slice_t bytes;

    (void)unused;
    return la_remote_doc_ensure(document, pool) == LA_REMOTE_DOC_CURRENT &&
                   la_remote_doc_read(document, pool, &bytes, &version)
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
    la_remote_doc_tick(document, pool);
    pass(REFRESH);
    say("two");
    atomic_store(&world->hold, 1);
    child = spawn(child_ensures, NULL);
    event_wait(&world->entered, 2);
    assert_document("one");
    assert_int_equal(la_remote_doc_ensure(document, pool),
                     LA_REMOTE_DOC_CURRENT); /* goes on with it */
    assert_int_equal(calls(), 2);
    kill_unreaped(child);
    atomic_store(&world->hold, 0);
    la_remote_doc_tick(document, pool);
    assert_int_equal(calls(), 3);
    assert_document("two");
    reap(child);
}

int main(void)
{
    int fd;

    if (la_holder_open(&fd) != APR_SUCCESS) {
        return 1;
    }
    la_holder_init(&life, fd);
    add_in("tick: first, refresh, versions", test_tick);
    add_in("tick: pauses after failures", test_pauses);
    add_in("ensure: none yet, and when the tick is late", test_ensure);
    add_in("ensure: fails, and not again at once", test_ensure_fails);
    add_in("log: once a minute, and when it is over", test_log);
    add_in("size: the largest, and a byte more", test_size);
    add_in("memory: garbage", test_garbage);
    add_in("memory: torn", test_torn);
    add_in("processes: one fetch for all", test_one_fetch);
    add_in("processes: killed in a fetch", test_killed);
    return run_added("document");
}

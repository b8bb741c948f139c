/* remote_doc.c: early fetches, what they show to be missing, and who waits for them. */
#include "remote_docs.h"

static void test_renew(void **state)
{
    apr_uint64_t first;

    (void)state;
    la_remote_doc_tick(document, pool);
    first = la_remote_doc_version(document);
    say("two");
    assert_int_equal(renew(first, pool), LA_REMOTE_DOC_CURRENT);
    assert_document("two");
    assert_int_equal(renew(first, pool), LA_REMOTE_DOC_CURRENT);
    assert_int_equal(calls(), 2); /* it is newer than what was used */
    say("three");
    pass(1);
    assert_int_equal(renew(la_remote_doc_version(document), pool), LA_REMOTE_DOC_RECENT);
    assert_int_equal(renew(first, pool), LA_REMOTE_DOC_RECENT); /* newer, and fetched before */
    assert_int_equal(calls(), 2);                               /* cooling down */
    assert_int_equal(la_remote_doc_retry_s(document), 10);
    pass(LA_REMOTE_DOC_COOL_DOWN_US);
    assert_int_equal(renew(la_remote_doc_version(document), pool), LA_REMOTE_DOC_CURRENT);
    assert_document("three");
}

static la_remote_doc_e renew_for(apr_uint64_t what)
{
    return la_remote_doc_renew(document, la_remote_doc_version(document), what, pool);
}

/* What was looked for before a fetch, and is not there, does not exist; of the rest nobody knows.
 */
static void test_wanted(void **state)
{
    const apr_uint64_t one = (apr_uint64_t)1 << 44;

    (void)state;
    la_remote_doc_tick(document, pool);
    pass(S);
    assert_int_equal(renew_for(7 * one), LA_REMOTE_DOC_CURRENT); /* fetched for it */
    pass(S);
    assert_int_equal(renew_for(7 * one), LA_REMOTE_DOC_CURRENT);
    assert_int_equal(renew_for(8 * one + 1), LA_REMOTE_DOC_RECENT);
    assert_int_equal(renew_for(8 * one + 1), LA_REMOTE_DOC_RECENT);
    assert_int_equal(calls(), 2);
    pass(S);
    atomic_store(&document->segment->due_us, 0);
    la_remote_doc_tick(document, pool);
    assert_int_equal(calls(), 3);
    assert_int_equal(renew_for(8 * one + 1), LA_REMOTE_DOC_CURRENT); /* any fetch shows it */
    assert_int_equal(renew_for(7 * one), LA_REMOTE_DOC_CURRENT);
    pass(LA_REMOTE_DOC_COOL_DOWN_US);
    assert_int_equal(renew_for(9 * one), LA_REMOTE_DOC_CURRENT); /* the cool-down is over */
    assert_int_equal(calls(), 4);
    pass(1);
    assert_int_equal(renew_for(7 * one), LA_REMOTE_DOC_RECENT); /* its place was taken */
    atomic_store(&world->fails, 1);
    pass(LA_REMOTE_DOC_COOL_DOWN_US);
    assert_int_equal(renew_for(7 * one), LA_REMOTE_DOC_FAILED);
}

static void test_renew_fails(void **state)
{
    (void)state;
    la_remote_doc_tick(document, pool);
    atomic_store(&world->fails, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(renew(la_remote_doc_version(document), pool), LA_REMOTE_DOC_FAILED);
    }
    assert_int_equal(calls(), 2);
    assert_document("one");
}

static void *run_renew(void *used)
{
    apr_pool_t *scratch;
    la_remote_doc_e ended;

    apr_pool_create_unmanaged_ex(&scratch, NULL, NULL);
    ended = renew(*(apr_uint64_t *)used, scratch);
    apr_pool_destroy(scratch);
    return ended == LA_REMOTE_DOC_CURRENT ? NULL : (void *)document;
}

/* Who comes while an early fetch is under way waits for it, and is not told that it has just been
 * tried. */
static void test_waiters(void **state)
{
    pthread_t threads[5];
    apr_uint64_t used;
    void *wrong;

    (void)state;
    la_remote_doc_tick(document, pool);
    used = la_remote_doc_version(document);
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
    la_remote_doc_tick(document, pool);
    used = la_remote_doc_version(document);
    atomic_store(&world->hold, 1);
    assert_int_equal(pthread_create(&thread, NULL, run_renew, &used), 0);
    event_wait(&world->entered, 2);
    provider->common.http.connect_timeout_us = 1;
    assert_int_equal(renew(used, pool), LA_REMOTE_DOC_BUSY);
    event_set(&world->go);
    pthread_join(thread, NULL);
    assert_int_equal(calls(), 2);
}

int main(void)
{
    int fd;

    if (la_holder_open(&fd) != APR_SUCCESS) {
        return 1;
    }
    la_holder_init(&life, fd);
    add_in("renew: early, once in ten seconds", test_renew);
    add_in("renew: what a fetch shows not to be there", test_wanted);
    add_in("renew: fails", test_renew_fails);
    add_in("threads: who comes meanwhile waits", test_waiters);
    add_in("threads: no longer than ConnectTimeout", test_busy);
    return run_added("document_renew");
}

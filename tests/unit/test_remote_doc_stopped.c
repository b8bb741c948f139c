/* remote_doc.c: a process that is stopped in the middle of a fetch. The clock is the real one. */
#include "provider/remote_doc.h"

#include "shm/gate.h"
#include "io/server.h"

#include "procs.h"

#include <apr_strings.h>

#define PERMITS 4u

typedef struct world_t {
    _Atomic uint32_t fetches;
    event_t entered;
    event_t go;
} world_t;

static world_t *world;
static la_holder_t life;
static apr_pool_t *pool;
static la_remote_doc_t *document;

/* The first fetch waits, and brings what was to be had when it began. */
static const char *fake_fetch(const la_provider_t *provider, apr_pool_t *in, la_slice_t *bytes)
{
    uint32_t number = atomic_fetch_add(&world->fetches, 1) + 1;

    (void)provider;
    event_set(&world->entered);
    if (number == 1) {
        event_wait(&world->go, 1);
    }
    *bytes = (la_slice_t){apr_psprintf(in, "fetch %u", number), 0};
    bytes->len = strlen(bytes->data);
    return NULL;
}

static const la_remote_doc_source_t source = {fake_fetch, 3600 * APR_USEC_PER_SEC, "the document",
                                              NULL};

static void host_log(la_log_e level, const char *line)
{
    (void)level;
    (void)line;
}

static int host_workers(void)
{
    return 16;
}

static int fetch_in_child(void *unused)
{
    (void)unused;
    la_remote_doc_tick(document, pool);
    return 0;
}

static void assert_document(const char *text)
{
    apr_uint64_t version;
    la_slice_t bytes;

    assert_int_equal(la_remote_doc_read(document, pool, &bytes, &version), 1);
    assert_string_equal(bytes.data, text);
}

/* Others fetch after the deadline that the fetch had; what it brings when it goes on is dropped. */
static void test_stopped(void **state)
{
    pid_t child = spawn(fetch_in_child, NULL);

    (void)state;
    event_wait(&world->entered, 1);
    kill(child, SIGSTOP);
    wait_state(child, WSTOPPED);
    la_remote_doc_tick(document, pool);
    assert_int_equal(atomic_load(&world->fetches), 1);
    wait_until((la_remote_doc_tick(document, pool), atomic_load(&world->fetches) > 1));
    assert_document("fetch 2");
    event_set(&world->go);
    kill(child, SIGCONT);
    assert_int_equal(reap(child), 0);
    assert_document("fetch 2");
    assert_int_equal(atomic_load(&world->fetches), 2);
}

static int make_world(void **state)
{
    static const la_server_t host = {.log = host_log, .workers = host_workers};
    static la_provider_child_t child;
    la_provider_t *provider;
    void *bytes = shared_alloc(la_gates_bytes(2, PERMITS));

    (void)state;
    la_server_set(&host);
    world = shared_alloc(sizeof(*world));
    assert_int_equal(apr_pool_create(&pool, NULL), APR_SUCCESS);
    provider = apr_pcalloc(pool, sizeof(*provider));
    provider->name = "idp";
    provider->segment = shared_alloc(la_remote_doc_bytes());
    provider->document_gate = 1;
    provider->child = &child;
    provider->common.http.timeout_us = 100000;
    document = la_remote_doc_attach(provider, &source, pool);
    return la_gates_format(bytes, 2, PERMITS) != APR_SUCCESS ||
           la_gates_attach(bytes, 2, PERMITS, &life, pool, &child.gates) != APR_SUCCESS;
}

int main(void)
{
    int fd;

    if (la_holder_open(&fd) != APR_SUCCESS) {
        return 1;
    }
    la_holder_init(&life, fd);
    add("processes: stopped in a fetch", test_stopped, NULL);
    tests[test_count - 1].setup_func = make_world;
    return run_added("document_stopped");
}

/* What the tests of remote_doc.c share: clock and fetch are the test's, in memory that processes
 * share; gates and processes are real. */
#ifndef LA_TEST_DOCUMENTS_H
#define LA_TEST_DOCUMENTS_H

#include "procs.h"
#include <apr_strings.h>

static inline apr_time_t fake_clock(void);

#define la_clock_us fake_clock
#include "provider/remote_doc.c"
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
static la_holder_t life;
static apr_pool_t *pool;
static la_provider_t *provider;
static la_provider_child_t at_work;
static la_remote_doc_t *document;
static int log_lines;
static char logged[512];

static inline apr_time_t fake_clock(void)
{
    return atomic_load(&world->now);
}

static inline const char *fake_fetch(const la_provider_t *p, apr_pool_t *in, la_slice_t *bytes)
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

static const la_remote_doc_source_t source = {fake_fetch, REFRESH, "the test's document", NULL};

static inline void host_log(la_log_e level, const char *line)
{
    (void)level;
    log_lines++;
    apr_cpystrn(logged, line, sizeof(logged));
}

static inline int host_workers(void)
{
    return 64;
}

static inline int make_world(void **state)
{
    static const la_server_t host = {.log = host_log, .workers = host_workers};
    la_gates_t *gates;

    (void)state;
    la_server_set(&host);
    log_lines = 0;
    logged[0] = '\0';
    world = shared_alloc(sizeof(*world));
    memory = shared_alloc(la_remote_doc_bytes());
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
    at_work = (la_provider_child_t){.gates = gates};
    provider->child = &at_work;
    provider->document_gate = 1;
    provider->common.http.connect_timeout_us = 3600 * S;
    document = la_remote_doc_attach(provider, &source, pool);
    return 0;
}

static inline int drop_world(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    shared_free(world, sizeof(*world));
    shared_free(memory, la_remote_doc_bytes());
    shared_free(gate_bytes, la_gates_bytes(2, PERMITS));
    return 0;
}

static inline void pass(apr_interval_time_t us)
{
    atomic_fetch_add(&world->now, us);
}

static inline uint32_t calls(void)
{
    return atomic_load(&world->calls);
}

static inline void say(const char *text)
{
    apr_cpystrn(world->text, text, sizeof(world->text));
}

static inline void assert_document(const char *text)
{
    apr_uint64_t version;
    la_slice_t bytes;

    assert_int_equal(la_remote_doc_read(document, pool, &bytes, &version), 1);
    assert_string_equal(bytes.data, text);
    assert_int_equal(bytes.len, strlen(text));
    assert_true(version != 0 && version == la_remote_doc_version(document));
}

static inline void assert_none(void)
{
    apr_uint64_t version = 1;
    la_slice_t bytes;

    assert_int_equal(la_remote_doc_read(document, pool, &bytes, &version), 0);
    assert_true(version == 0);
    assert_true(la_remote_doc_version(document) == 0);
}

static inline la_remote_doc_e renew(apr_uint64_t used, apr_pool_t *scratch)
{
    static _Atomic apr_uint64_t number;

    return la_remote_doc_renew(document, used, atomic_fetch_add(&number, 1) << 44, scratch);
}

static inline void add_in(const char *name, CMUnitTestFunction function)
{
    add(name, function, NULL);
    tests[test_count - 1].setup_func = make_world;
    tests[test_count - 1].teardown_func = drop_world;
}

#endif

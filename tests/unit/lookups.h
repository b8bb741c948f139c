/* What the tests of lookup.c share: a provider that says what a test wants, over a real cache, real
 * flights and real gates, and look-ups that run in threads of their own.
 */
#ifndef LA_TEST_LOOKUPS_H
#define LA_TEST_LOOKUPS_H

#include "io/server.h"
#include "lookup/lookup.h"

#include "procs.h"

#include <apr_strings.h>

#define S    APR_USEC_PER_SEC
#define MS   APR_TIME_C(1000)
#define HOUR (3600 * S)

#define SLOTS   32u
#define PERMITS 16u

/* The workers' gate and one for each of two providers, for more requests than may call. */
#define GATES       3u
#define GATE_PLACES 64u

/* What the provider says. */
typedef struct answer_t {
    la_verdict_e verdict;
    const char *message;
    const char *reason;
    apr_size_t padding; /* more bytes in the identity */
    la_cause_e cause;
    int timed_out;
    int retry_after_s;
    int max_age_known;
    apr_interval_time_t max_age_us;
    apr_interval_time_t expires_after_us; /* 0: never */
} answer_t;

/* What the provider sees, in memory that children share. */
typedef struct world_t {
    _Atomic uint32_t calls;
    _Atomic uint32_t inside;
    _Atomic uint32_t most; /* inside at once */
    _Atomic uint32_t hold; /* so many calls wait for `go`, the first ones */
    event_t entered;
    event_t go;
    event_t done; /* look-ups in threads and children that came to an end */
} world_t;

static world_t *world;
static answer_t answer;
static const char *principal;
static int workers;
static int threads;       /* of them, in this process */
static char logged[1024]; /* all lines */

static la_holder_t life;
static apr_pool_t *pool;
static la_shared_t shared;
static la_provider_t *provider;
static la_provider_type_t type;

static void *cache_bytes;
static void *flight_bytes;
static void *gate_bytes;
static void *stats_bytes;

/* ---- the host -------------------------------------------------------------------------------- */

static inline void host_log(la_log_e level, const char *line)
{
    apr_size_t len = strlen(logged);

    (void)level;
    apr_snprintf(logged + len, sizeof(logged) - len, "%s\n", line);
}

/* A pattern is a prefix here. */
static inline int host_matches(const void *regex, la_slice_t text)
{
    const char *prefix = regex;

    return text.len >= strlen(prefix) && memcmp(text.data, prefix, strlen(prefix)) == 0;
}

static inline int host_workers(void)
{
    return workers;
}

static inline int host_threads(void)
{
    return threads;
}

/* ---- the provider ------------------------------------------------------------------------------
 */

static inline const la_identity_t *caller(apr_pool_t *p, const char *name, apr_size_t padding)
{
    la_identity_builder_t *builder = la_identity_builder_make(p);
    const la_identity_t *identity;
    char *value = apr_pcalloc(p, padding + 1);

    memset(value, 'x', padding);
    la_identity_set_principal(builder, la_slice_of(name));
    la_identity_add(builder, LA_SLICE("roles"), (la_slice_t){value, padding});
    la_identity_build(builder, p, &identity);
    return identity;
}

static inline void fake_verify(const la_provider_t *p, const la_call_t *call, apr_pool_t *in,
                               la_result_t *result)
{
    uint32_t number = atomic_fetch_add(&world->calls, 1);
    uint32_t inside = atomic_fetch_add(&world->inside, 1) + 1;
    uint32_t most = atomic_load(&world->most);

    (void)p;
    (void)call;
    while (inside > most && !atomic_compare_exchange_weak(&world->most, &most, inside)) {}
    event_set(&world->entered);
    if (number < atomic_load(&world->hold)) {
        event_wait(&world->go, 1);
    }
    result->verdict = answer.verdict;
    result->message = answer.message;
    result->reason = answer.reason;
    result->cause = answer.cause;
    result->timed_out = answer.timed_out;
    result->retry_after_s = answer.retry_after_s;
    result->max_age_known = answer.max_age_known;
    result->max_age_us = answer.max_age_us;
    if (answer.verdict == LA_VERDICT_ACCEPTED) {
        result->identity = caller(in, principal, answer.padding);
        result->expires = answer.expires_after_us ? apr_time_now() + answer.expires_after_us : 0;
    }
    atomic_fetch_sub(&world->inside, 1);
}

static inline const char *fake_finish(la_provider_t *p, apr_pool_t *in)
{
    (void)p;
    (void)in;
    return NULL;
}

static const la_option_t no_options[] = {LA_OPTION_END};

static inline la_provider_t *make_provider(const char *name, int index)
{
    la_provider_t *made = la_provider_make(pool, name, &type);
    la_provider_child_t *child = apr_pcalloc(pool, sizeof(*child));

    assert_null(la_provider_finish(made, pool));
    made->index = index;
    made->gate = index + 1;
    child->gates = shared.gates;
    made->child = child;
    made->common.cache_ttl_us = HOUR;
    made->common.cache_negative_ttl_us = HOUR;
    made->common.max_concurrent = PERMITS;
    made->common.breaker = (la_breaker_t){0};
    made->common.http.timeout_us = HOUR;
    made->common.http.connect_timeout_us = HOUR;
    made->common.vary = (la_vary_t){0};
    return made;
}

/* ---- the world
 * ----------------------------------------------------------------------------------- */

static inline void forget(void)
{
    atomic_store(&world->calls, 0);
    atomic_store(&world->most, 0);
}

static inline int make_world(void **state)
{
    static const la_server_t host = {.log = host_log,
                                     .regex_match = host_matches,
                                     .workers = host_workers,
                                     .threads = host_threads};
    static const unsigned char secret[LA_CACHE_SECRET_BYTES] = "secret";
    apr_size_t size = la_cache_bytes_min();

    (void)state;
    la_server_set(&host);
    workers = 64;
    threads = 64;
    logged[0] = '\0';
    answer = (answer_t){.verdict = LA_VERDICT_ACCEPTED};
    principal = "alice";
    type = (la_provider_type_t){.name = "fake",
                                .options = no_options,
                                .conf_bytes = 1,
                                .calls_out = 1,
                                .cache_vary = &la_vary_nothing,
                                .finish = fake_finish,
                                .verify = fake_verify};
    world = shared_alloc(sizeof(*world));
    cache_bytes = shared_alloc(size);
    flight_bytes = shared_alloc(la_flight_bytes(SLOTS));
    la_flight_format(flight_bytes, SLOTS);
    gate_bytes = shared_alloc(la_gates_bytes(GATES, GATE_PLACES));
    if (apr_pool_create(&pool, NULL) != APR_SUCCESS ||
        la_cache_format(cache_bytes, size) != APR_SUCCESS ||
        la_cache_attach(cache_bytes, size, secret, &life, pool, &shared.cache) != APR_SUCCESS ||
        la_flight_attach(flight_bytes, SLOTS, &life, pool, &shared.flight) != APR_SUCCESS ||
        la_gates_format(gate_bytes, GATES, GATE_PLACES) != APR_SUCCESS ||
        la_gates_attach(gate_bytes, GATES, GATE_PLACES, &life, pool, &shared.gates) !=
            APR_SUCCESS) {
        return 1;
    }
    stats_bytes = shared_alloc(la_counters_bytes(2));
    shared.stats = la_counters_attach(stats_bytes, 2, pool);
    shared.remote = NULL;
    shared.workers = la_workers_make(shared.gates, pool);
    provider = make_provider("corp", 0);
    return 0;
}

static inline int drop_world(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    shared_free(world, sizeof(*world));
    shared_free(cache_bytes, la_cache_bytes_min());
    shared_free(flight_bytes, la_flight_bytes(SLOTS));
    shared_free(gate_bytes, la_gates_bytes(GATES, GATE_PLACES));
    shared_free(stats_bytes, la_counters_bytes(2));
    return 0;
}

static inline void add_in_world(const char *name, CMUnitTestFunction function, void *row)
{
    add(name, function, row);
    tests[test_count - 1].setup_func = make_world;
    tests[test_count - 1].teardown_func = drop_world;
}

#define ADD_ROWS(table, function)                                                                  \
    for (size_t row = 0; row < ROWS(table); row++)                                                 \
    add_in_world((table)[row].name, function, &(table)[row])

static inline int run_lookups(const char *group)
{
    int fd;

    if (la_holder_open(&fd) != APR_SUCCESS) {
        return 1;
    }
    la_holder_init(&life, fd);
    return run_added(group);
}

/* ---- look-ups
 * -------------------------------------------------------------------------------------- */

typedef struct visit_t {
    const la_provider_t *provider;
    la_call_t call;
    unsigned char digest[LA_DIGEST_BYTES];
    apr_pool_t *pool;
    la_result_t result;
    pthread_t thread;
} visit_t;

static inline visit_t *make_visit(const char *token)
{
    visit_t *visit = apr_pcalloc(pool, sizeof(*visit));

    visit->provider = provider;
    visit->call = (la_call_t){.token = {token, strlen(token)},
                              .digest = visit->digest,
                              .now = apr_time_now(),
                              .path = "/v1",
                              .client_ip = "127.0.0.1",
                              .headers = apr_table_make(pool, 4)};
    assert_int_equal(la_digest_sha256(visit->call.token, visit->digest), APR_SUCCESS);
    assert_int_equal(apr_pool_create(&visit->pool, pool), APR_SUCCESS);
    return visit;
}

static inline void *run_visit(void *argument)
{
    visit_t *visit = argument;

    la_lookup(&shared, visit->provider, &visit->call, visit->pool, &visit->result);
    event_set(&world->done);
    return NULL;
}

static inline la_result_t look(const char *token)
{
    visit_t *visit = make_visit(token);

    run_visit(visit);
    return visit->result;
}

static inline visit_t *look_in_thread(const char *token)
{
    visit_t *visit = make_visit(token);

    assert_int_equal(pthread_create(&visit->thread, NULL, run_visit, visit), 0);
    return visit;
}

static inline la_result_t *join(visit_t *visit)
{
    pthread_join(visit->thread, NULL);
    return &visit->result;
}

static inline void await_waiting(uint32_t count)
{
    _Atomic uint32_t *sleepers = (_Atomic uint32_t *)flight_bytes + 2; /* see flight.c */

    wait_until(atomic_load(sleepers) == count);
}

static inline uint32_t calls(void)
{
    return atomic_load(&world->calls);
}

/* Look-ups of `provider` whose verdict came from there. */
static inline apr_uint64_t counted(la_source_e source)
{
    la_counters_provider_t stats;
    apr_uint64_t sum = 0;

    la_counters_read(shared.stats, (apr_uint32_t)provider->index, &stats);
    for (int verdict = 0; verdict < LA_COUNTERS_VERDICTS; verdict++) {
        sum += stats.lookups[verdict][source];
    }
    return sum;
}

static inline void assert_caller(const la_result_t *result, const char *name)
{
    assert_int_equal(result->verdict, LA_VERDICT_ACCEPTED);
    assert_non_null(result->identity);
    assert_string_equal(la_identity_principal(result->identity).data, name);
    assert_null(result->message);
}

#define assert_source(result, expected)                                                            \
    assert_string_equal(la_source_name((result)->source), la_source_name(expected))

#endif

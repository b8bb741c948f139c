/* lookup.c and the gates: half of the workers at most call or wait, calls in flight up to
 * MaxConcurrent, and none while the breaker is open. */
#include "base/clock.h"
#include "lookups.h"

#define MESSAGE_TIMEOUT "Authentication service timeout"
#define MESSAGE_ERROR   "Authentication service error"

/* ---- the limit
 * -------------------------------------------------------------------------------------------- */

static la_gate_state_t gate(void)
{
    const la_provider_common_t *common = &provider->common;
    la_gate_terms_t terms = {.limit = PERMITS,
                             .max_waiting = PERMITS,
                             .failures = common->breaker.failures,
                             .open_us = common->breaker.open_us,
                             .call_us = HOUR};
    la_gate_state_t seen;

    la_gate_read(shared.gates, (apr_uint32_t)provider->gate, &terms, la_clock_us(), &seen);
    return seen;
}

static void test_limit(void **state)
{
    visit_t *visits[12];

    (void)state;
    provider->common.max_concurrent = 3;
    atomic_store(&world->hold, 3);
    for (size_t i = 0; i < ROWS(visits); i++) {
        visits[i] = look_in_thread(apr_psprintf(pool, "token-%d", (int)i));
    }
    event_wait(&world->entered, 3);
    wait_until(gate().waiting == ROWS(visits) - 3);
    assert_int_equal(atomic_load(&world->inside), 3);
    event_set(&world->go);
    for (size_t i = 0; i < ROWS(visits); i++) {
        assert_caller(join(visits[i]), "alice");
    }
    assert_in_range(atomic_load(&world->most), 1, 3);
    assert_int_equal(calls(), ROWS(visits));
    assert_int_equal(gate().in_flight, 0);
}

static void assert_exhausted(const la_result_t *result)
{
    assert_int_equal(result->verdict, LA_VERDICT_UNAVAILABLE);
    assert_string_equal(result->message, MESSAGE_ERROR);
    assert_string_equal(result->reason, "MaxConcurrent calls are in flight");
    assert_int_equal(result->timed_out, 0);
    assert_null(result->identity);
}

/* Waits for ConnectTimeout and gives up; that is no outage of the provider's, whatever the breaker.
 */
static void test_exhausted(void **state)
{
    la_result_t result;
    apr_time_t start;
    visit_t *holder;

    (void)state;
    provider->common.max_concurrent = 1;
    provider->common.http.connect_timeout_us = 50 * MS;
    provider->common.breaker = (la_breaker_t){1, HOUR};
    atomic_store(&world->hold, 1);
    holder = look_in_thread("holder");
    event_wait(&world->entered, 1);
    for (int i = 0; i < 2; i++) {
        start = la_clock_us();
        result = look("token");
        assert_exhausted(&result);
        assert_true(la_clock_us() - start >= 50 * MS);
    }
    event_set(&world->go);
    assert_caller(join(holder), "alice");
    result = look("token");
    assert_caller(&result, "alice");
    assert_int_equal(calls(), 2);
}

/* ---- the workers
 * ------------------------------------------------------------------------------------------- */

static void assert_busy(const la_result_t *result)
{
    assert_int_equal(result->verdict, LA_VERDICT_UNAVAILABLE);
    assert_string_equal(result->message, MESSAGE_ERROR);
    assert_string_equal(result->reason, "too many workers wait already");
    assert_source(result, LA_SOURCE_MISS);
}

/* Of four workers one calls and one waits for a permit: the next is refused at once, so that there
 * is somebody left for hits. */
static void test_queue_is_bounded(void **state)
{
    la_result_t result;
    visit_t *holder;
    visit_t *waiter;

    (void)state;
    workers = 4;
    provider->common.max_concurrent = 1;
    look("known");
    atomic_store(&world->hold, 2);
    holder = look_in_thread("holder");
    event_wait(&world->entered, 2);
    waiter = look_in_thread("waiter");
    wait_until(gate().waiting == 1);
    result = look("token");
    assert_busy(&result);
    assert_int_equal(look("known").source, LA_SOURCE_HIT);
    event_set(&world->go);
    assert_caller(join(holder), "alice");
    assert_caller(join(waiter), "alice");
}

/* The same with waiters for one token, whose call hangs. */
static void test_flight_is_bounded(void **state)
{
    visit_t *visits[3];
    la_result_t result;

    (void)state;
    workers = 6;
    look("known");
    atomic_store(&world->hold, UINT32_MAX);
    visits[0] = look_in_thread("token");
    event_wait(&world->entered, 2);
    visits[1] = look_in_thread("token");
    visits[2] = look_in_thread("token");
    await_waiting(2);
    result = look("token");
    assert_busy(&result);
    result = look("another");
    assert_busy(&result);
    assert_int_equal(look("known").source, LA_SOURCE_HIT);
    event_set(&world->go);
    for (size_t i = 0; i < ROWS(visits); i++) {
        assert_caller(join(visits[i]), "alice");
    }
}

typedef struct workers_case_t {
    const char *name;
    int workers;
    uint32_t may; /* call or wait at once */
    int without_cache;
} workers_case_t;

static workers_case_t workers_cases[] = {
    {"workers: one", 1, 1, 0},  {"workers: two", 2, 1, 0},  {"workers: three", 3, 1, 0},
    {"workers: four", 4, 2, 0}, {"workers: nine", 9, 4, 0}, {"workers: without a cache", 8, 4, 1},
};

/* Two providers hang. All who wait for either hold half of the workers together. */
static void test_two_hang(void **state)
{
    const workers_case_t *row = *state;
    la_provider_t *other = make_provider("other", 1);
    visit_t *visits[4];
    la_result_t result;

    workers = row->workers;
    if (row->without_cache) {
        provider->common.cache_ttl_us = provider->common.cache_negative_ttl_us = 0;
        other->common.cache_ttl_us = other->common.cache_negative_ttl_us = 0;
    }
    atomic_store(&world->hold, UINT32_MAX);
    for (uint32_t i = 0; i < row->may; i++) {
        visits[i] = make_visit(apr_psprintf(pool, "token-%u", i));
        visits[i]->provider = i % 2 ? other : provider;
        assert_int_equal(pthread_create(&visits[i]->thread, NULL, run_visit, visits[i]), 0);
    }
    event_wait(&world->entered, row->may);
    for (int i = 0; i < 2; i++) {
        result = look("token");
        assert_int_equal(result.verdict, LA_VERDICT_UNAVAILABLE);
        assert_string_equal(result.reason, "too many workers wait already");
        provider = other;
    }
    assert_int_equal(calls(), row->may);
    event_set(&world->go);
    for (uint32_t i = 0; i < row->may; i++) {
        assert_caller(join(visits[i]), "alice");
    }
    result = look("token");
    assert_caller(&result, "alice");
}

typedef struct threads_case_t {
    const char *name;
    int threads; /* of this process */
    uint32_t may;
} threads_case_t;

static threads_case_t threads_cases[] = {
    {"threads: few", 15, 15},
    {"threads: many keep one", 16, 15},
    {"threads: 20 keep one", 20, 19},
};

/* Half of the workers may be all threads of a process: of many it keeps one for known callers. */
static void test_last_thread(void **state)
{
    const threads_case_t *row = *state;
    visit_t *visits[20];
    la_result_t result;

    workers = row->threads < 16 ? 2 * row->threads : 64;
    threads = row->threads;
    provider->common.max_concurrent = 64;
    look("known");
    atomic_store(&world->hold, UINT32_MAX);
    for (uint32_t i = 0; i < row->may; i++) {
        visits[i] = look_in_thread(apr_psprintf(pool, "token-%u", i));
    }
    event_wait(&world->entered, 1 + row->may);
    result = look("token");
    assert_busy(&result);
    assert_int_equal(look("known").source, LA_SOURCE_HIT);
    event_set(&world->go);
    for (uint32_t i = 0; i < row->may; i++) {
        assert_caller(join(visits[i]), "alice");
    }
    result = look("token");
    assert_caller(&result, "alice");
}

static int look_in_process(void *unused)
{
    (void)unused;
    look("token");
    return 0;
}

/* What a killed process held is free at once. */
static void test_place_of_the_killed(void **state)
{
    la_result_t result;
    pid_t child;

    (void)state;
    workers = 2;
    atomic_store(&world->hold, 1);
    child = spawn(look_in_process, NULL);
    event_wait(&world->entered, 1);
    result = look("another");
    assert_busy(&result);
    kill_unreaped(child);
    result = look("another");
    assert_caller(&result, "alice");
    reap(child);
}

/* Who is refused for want of a worker gets what is stale, and the breaker hears nothing of it. */
static void test_busy_is_no_outage(void **state)
{
    la_result_t result;
    visit_t *holder;

    (void)state;
    workers = 2;
    provider->common.breaker = (la_breaker_t){1, HOUR};
    provider->common.cache_ttl_us = 1;
    provider->common.cache_stale_us = HOUR;
    look("known");
    atomic_store(&world->hold, UINT32_MAX);
    holder = look_in_thread("holder");
    event_wait(&world->entered, 2);
    result = look("another");
    assert_busy(&result);
    result = look("known");
    assert_caller(&result, "alice");
    assert_source(&result, LA_SOURCE_STALE);
    assert_int_equal(gate().phase, LA_GATE_PHASE_CLOSED);
    event_set(&world->go);
    assert_caller(join(holder), "alice");
}

/* ---- the breaker
 * ------------------------------------------------------------------------------------------- */

typedef struct breaker_case_t {
    const char *name;
    const char *answers; /* o: outage, t: timeout, u: an answer that is no verdict, q: not asked,
                            a: accepted, r: rejected, n: not mine */
    apr_uint32_t failures;
    int refused; /* the one that follows */
} breaker_case_t;

static breaker_case_t breaker_cases[] = {
    {"breaker: closed at first", "", 1, 0},
    {"breaker: fewer outages", "oo", 3, 0},
    {"breaker: as many outages", "ooo", 3, 1},
    {"breaker: timeouts are outages", "tot", 3, 1},
    {"breaker: one is enough", "o", 1, 1},
    {"breaker: an acceptance between", "ooaoo", 3, 0},
    {"breaker: a rejection between", "ooroo", 3, 0},
    {"breaker: not mine counts as nothing", "oon", 3, 0},
    {"breaker: not mine between", "oono", 3, 1},
    {"breaker: consecutive again", "ooaooo", 3, 1},
    {"breaker: answers that are no verdict", "uuuuu", 1, 0},
    {"breaker: such an answer between", "oouoo", 3, 0},
    {"breaker: a request that cannot be asked about", "qqqqq", 1, 0},
    {"breaker: such a request between", "ooqo", 3, 1},
    {"breaker: off", "oooooooooo", 0, 0},
};

static answer_t answer_of(char letter)
{
    switch (letter) {
    case 'a':
        return (answer_t){.verdict = LA_VERDICT_ACCEPTED};
    case 'r':
        return (answer_t){.verdict = LA_VERDICT_REJECTED, .message = "m"};
    case 'n':
        return (answer_t){.verdict = LA_VERDICT_NOT_MINE, .message = "m"};
    case 'u':
        return (answer_t){.message = "m", .cause = LA_CAUSE_ANSWER};
    case 'q':
        return (answer_t){.message = "m", .cause = LA_CAUSE_REQUEST};
    case 't':
        return (answer_t){.timed_out = 1, .message = MESSAGE_TIMEOUT};
    default:
        return (answer_t){.message = "m"};
    }
}

static void test_breaker(void **state)
{
    const breaker_case_t *row = *state;
    la_result_t result;
    uint32_t made;

    provider->common.breaker = (la_breaker_t){row->failures, HOUR};
    for (const char *p = row->answers; *p; p++) {
        answer = answer_of(*p);
        look(apr_psprintf(pool, "token-%d", (int)(p - row->answers)));
    }
    made = (uint32_t)strlen(row->answers);
    assert_int_equal(calls(), made);
    answer = answer_of('a');
    result = look("token");
    assert_int_equal(calls(), made + !row->refused);
    assert_true(!!strstr(logged, "provider corp: no calls for a while") == row->refused);
    if (row->refused) {
        assert_int_equal(result.verdict, LA_VERDICT_UNAVAILABLE);
        assert_string_equal(result.message, MESSAGE_ERROR);
        assert_string_equal(result.reason, "its breaker is open");
        assert_int_equal(result.retry_after_s, 30);
    } else {
        assert_caller(&result, "alice");
    }
}

typedef struct retry_case_t {
    const char *name;
    apr_interval_time_t open_us;
    int least;
    int most;
} retry_case_t;

static retry_case_t retry_cases[] = {
    {"retry: a day", 24 * HOUR, 30, 30},
    {"retry: 30 s", 30 * S, 20, 30},
    {"retry: 20 s", 20 * S, 10, 20},
    {"retry: half a minute", 29 * S + 1, 20, 30},
};

static void test_retry(void **state)
{
    const retry_case_t *row = *state;
    la_result_t result;

    provider->common.breaker = (la_breaker_t){1, row->open_us};
    answer = answer_of('o');
    result = look("token"); /* it opens the breaker: before that closes nobody is asked */
    assert_in_range(result.retry_after_s, row->least, row->most);
    result = look("token");
    assert_int_equal(calls(), 1);
    assert_in_range(result.retry_after_s, row->least, row->most);
}

static void open_breaker(apr_interval_time_t open_us)
{
    provider->common.breaker = (la_breaker_t){1, open_us};
    answer = answer_of('o');
    look("token");
    assert_int_equal(gate().phase, LA_GATE_PHASE_OPEN);
    wait_until(gate().retry_us == 0);
}

/* One request goes as the probe, those that come meanwhile are refused; its success closes the
 * breaker. */
static void test_probe(void **state)
{
    la_result_t meanwhile;
    visit_t *probe;

    (void)state;
    open_breaker(50 * MS);
    answer = answer_of('a');
    atomic_store(&world->hold, UINT32_MAX);
    probe = look_in_thread("probe");
    event_wait(&world->entered, 2);
    for (int i = 0; i < 4; i++) {
        /* Who has the probe's own token does not wait for it. */
        meanwhile = look(i % 2 ? "probe" : "meanwhile");
        assert_int_equal(meanwhile.verdict, LA_VERDICT_UNAVAILABLE);
        assert_in_range(meanwhile.retry_after_s, 1, 30);
    }
    assert_int_equal(calls(), 2);
    event_set(&world->go);
    assert_caller(join(probe), "alice");
    assert_int_equal(gate().phase, LA_GATE_PHASE_CLOSED);
    assert_non_null(strstr(logged, "provider corp: its breaker closed"));
    assert_int_equal(look("meanwhile").verdict, LA_VERDICT_ACCEPTED);
}

static void test_failed_probe(void **state)
{
    (void)state;
    open_breaker(50 * MS);
    assert_int_equal(look("probe").verdict, LA_VERDICT_UNAVAILABLE);
    assert_int_equal(calls(), 2);
    assert_int_equal(gate().phase, LA_GATE_PHASE_OPEN);
    assert_null(strstr(logged, "closed"));
}

/* A probe that finds no permit is none: the next request is. */
static void test_probe_without_permit(void **state)
{
    la_result_t result;
    visit_t *holder;

    (void)state;
    provider->common.max_concurrent = 1;
    provider->common.http.connect_timeout_us = MS;
    atomic_store(&world->hold, 1);
    holder = look_in_thread("holder");
    event_wait(&world->entered, 1);
    provider->common.max_concurrent = 2;
    open_breaker(50 * MS);
    provider->common.max_concurrent = 1;
    answer = answer_of('a');
    result = look("probe");
    assert_string_equal(result.reason, "MaxConcurrent calls are in flight");
    event_set(&world->go);
    join(holder);
    assert_int_equal(look("probe").verdict, LA_VERDICT_ACCEPTED);
    assert_int_equal(gate().phase, LA_GATE_PHASE_CLOSED);
}

int main(void)
{
    add_in_world("limit: not exceeded, nobody lost", test_limit, NULL);
    add_in_world("limit: exhausted", test_exhausted, NULL);
    add_in_world("limit: bounded queue", test_queue_is_bounded, NULL);
    add_in_world("workers: one token", test_flight_is_bounded, NULL);
    ADD_ROWS(workers_cases, test_two_hang);
    ADD_ROWS(threads_cases, test_last_thread);
    add_in_world("workers: killed", test_place_of_the_killed, NULL);
    add_in_world("workers: busy is no outage", test_busy_is_no_outage, NULL);
    ADD_ROWS(breaker_cases, test_breaker);
    ADD_ROWS(retry_cases, test_retry);
    add_in_world("breaker: probe", test_probe, NULL);
    add_in_world("breaker: failed probe", test_failed_probe, NULL);
    add_in_world("breaker: probe without a permit", test_probe_without_permit, NULL);
    return run_lookups("lookup, limit and breaker");
}

/* lookup.c, one look-up after another: where a verdict comes from, what is kept of it and for how
 * long, and what an outage leaves. What it depends on stands in test_lookup_vary.c, look-ups at the
 * same time in test_lookup_flight.c.
 */
#include "lookups.h"

/* ---- sources ------------------------------------------------------------------------------------
 */

typedef struct name_case_t {
    const char *name;
    la_source_e source;
} name_case_t;

static name_case_t name_cases[] = {
    {"off", LA_SOURCE_OFF},     {"hit", LA_SOURCE_HIT},
    {"miss", LA_SOURCE_MISS},   {"negative", LA_SOURCE_NEGATIVE},
    {"stale", LA_SOURCE_STALE}, {"coalesced", LA_SOURCE_COALESCED},
};

static void test_name(void **state)
{
    const name_case_t *row = *state;

    assert_string_equal(la_source_name(row->source), row->name);
}

static void test_hit(void **state)
{
    la_result_t first = look("token");
    la_result_t second = look("token");
    la_result_t other = look("another");

    (void)state;
    assert_caller(&first, "alice");
    assert_caller(&second, "alice");
    assert_source(&first, LA_SOURCE_MISS);
    assert_source(&second, LA_SOURCE_HIT);
    assert_source(&other, LA_SOURCE_MISS);
    assert_int_equal(calls(), 2);
    assert_int_equal(la_identity_size(first.identity), la_identity_size(second.identity));
    assert_memory_equal(first.identity, second.identity, la_identity_size(first.identity));
    assert_int_equal(counted(LA_SOURCE_MISS), 2);
    assert_int_equal(counted(LA_SOURCE_HIT), 1);
}

/* What is remembered of a long reason shows that there is more. */
static void test_long_reason(void **state)
{
    char reason[1000] = {0};
    la_result_t second;

    (void)state;
    memset(reason, 'x', sizeof(reason) - 1);
    answer = (answer_t){.verdict = LA_VERDICT_REJECTED, .message = "m", .reason = reason};
    assert_string_equal(look("token").reason, reason);
    second = look("token");
    assert_int_equal(strspn(second.reason, "x"), LA_FLIGHT_TEXT_BYTES - strlen("m\n..."));
    assert_string_equal(second.reason + strspn(second.reason, "x"), "...");
}

static void test_negative(void **state)
{
    la_result_t first;
    la_result_t second;

    (void)state;
    answer = (answer_t){.verdict = LA_VERDICT_REJECTED,
                        .message = "Authentication failed: 401",
                        .reason = "aud is \"a\", expected one of: b"};
    first = look("token");
    second = look("token");
    assert_int_equal(second.verdict, LA_VERDICT_REJECTED);
    assert_string_equal(second.message, "Authentication failed: 401");
    assert_string_equal(second.reason, answer.reason);
    assert_null(second.identity);
    assert_source(&first, LA_SOURCE_MISS);
    assert_source(&second, LA_SOURCE_NEGATIVE);
    assert_int_equal(calls(), 1);
    assert_int_equal(counted(LA_SOURCE_NEGATIVE), 1);
}

/* ---- without a cache
 * ------------------------------------------------------------------------------ */

static void no_segment(void)
{
    shared.cache = NULL;
    shared.flight = NULL;
}

static void not_cached_type(void)
{
    type.cache_vary = NULL;
}

static void no_ttls(void)
{
    provider->common.cache_ttl_us = 0;
    provider->common.cache_negative_ttl_us = 0;
}

static void no_calls_out(void)
{
    type.cache_vary = NULL;
    type.calls_out = 0;
    shared = (la_shared_t){.stats = shared.stats}; /* nothing else may be touched */
}

typedef struct off_case_t {
    const char *name;
    void (*prepare)(void);
} off_case_t;

static off_case_t off_cases[] = {
    {"off: LlamaAuthCacheSize off", no_segment},
    {"off: type without cache", not_cached_type},
    {"off: CacheTTL 0 and CacheNegativeTTL 0", no_ttls},
    {"off: type that calls nobody", no_calls_out},
};

static void test_off(void **state)
{
    const off_case_t *row = *state;

    row->prepare();
    for (uint32_t i = 1; i <= 3; i++) {
        la_result_t result = look("token");

        assert_caller(&result, "alice");
        assert_source(&result, LA_SOURCE_OFF);
        assert_int_equal(calls(), i);
    }
}

/* Without a cache the limits still hold. */
static void test_breaker_without_cache(void **state)
{
    la_result_t result;

    (void)state;
    no_segment();
    provider->common.breaker = (la_breaker_t){1, HOUR};
    answer = (answer_t){.verdict = LA_VERDICT_UNAVAILABLE, .message = "m"};
    look("token");
    result = look("token");
    assert_int_equal(result.verdict, LA_VERDICT_UNAVAILABLE);
    assert_int_equal(calls(), 1);
    assert_source(&result, LA_SOURCE_OFF);
}

/* ---- what is kept
 * ------------------------------------------------------------------------------------ */

typedef struct keep_case_t {
    const char *name;
    answer_t answer;
    apr_interval_time_t ttl_us;
    apr_interval_time_t negative_ttl_us;
    la_source_e second; /* where the second look-up's verdict comes from */
} keep_case_t;

#define ACCEPTED .verdict = LA_VERDICT_ACCEPTED
#define REJECTED .verdict = LA_VERDICT_REJECTED, .message = "m"

static keep_case_t keep_cases[] = {
    {"kept: acceptance", {ACCEPTED}, HOUR, 0, LA_SOURCE_HIT},
    {"kept: acceptance, CacheTTL 0", {ACCEPTED}, 0, HOUR, LA_SOURCE_MISS},
    {"kept: rejection", {REJECTED}, 0, HOUR, LA_SOURCE_NEGATIVE},
    {"kept: rejection, CacheNegativeTTL 0", {REJECTED}, HOUR, 0, LA_SOURCE_MISS},
    {"kept: outage", {.message = "m"}, HOUR, HOUR, LA_SOURCE_MISS},
    {"kept: not mine", {.verdict = LA_VERDICT_NOT_MINE}, HOUR, HOUR, LA_SOURCE_MISS},
    {"kept: no-store", {ACCEPTED, .max_age_known = 1}, HOUR, HOUR, LA_SOURCE_MISS},
    {"kept: max-age below 0",
     {ACCEPTED, .max_age_known = 1, .max_age_us = -5},
     HOUR,
     0,
     LA_SOURCE_MISS},
    {"kept: max-age within CacheTTL",
     {ACCEPTED, .max_age_known = 1, .max_age_us = 60 * S},
     HOUR,
     0,
     LA_SOURCE_HIT},
    {"kept: max-age does not lengthen CacheTTL 0",
     {ACCEPTED, .max_age_known = 1, .max_age_us = HOUR},
     0,
     HOUR,
     LA_SOURCE_MISS},
    {"kept: max-age not known", {ACCEPTED, .max_age_us = 0}, HOUR, 0, LA_SOURCE_HIT},
    {"kept: ended already", {ACCEPTED, .expires_after_us = -S}, HOUR, 0, LA_SOURCE_MISS},
    {"kept: ends later", {ACCEPTED, .expires_after_us = HOUR}, 2 * HOUR, 0, LA_SOURCE_HIT},
    {"kept: 16 KB", {ACCEPTED, .padding = 5000}, HOUR, 0, LA_SOURCE_HIT},
    {"kept: too large", {ACCEPTED, .padding = 20000}, HOUR, 0, LA_SOURCE_MISS},
};

/* A cached acceptance too tells when the token ends. The look-up was moments ago. */
static void assert_end(const la_result_t *result, apr_interval_time_t after_us)
{
    apr_time_t end = la_identity_end(result->identity);
    apr_interval_time_t away = after_us ? apr_time_now() + after_us - end : end;

    assert_in_range(away, 0, after_us ? 10 * S : 0);
}

static void test_keep(void **state)
{
    const keep_case_t *row = *state;
    la_table_stats_t stats;
    la_result_t result;

    provider->common.cache_ttl_us = row->ttl_us;
    provider->common.cache_negative_ttl_us = row->negative_ttl_us;
    answer = row->answer;
    for (int i = 0; i < 2; i++) {
        result = look("token");
        assert_int_equal(result.verdict, row->answer.verdict);
        if (row->answer.verdict == LA_VERDICT_ACCEPTED) {
            assert_caller(&result, "alice");
            assert_end(&result, row->answer.expires_after_us);
        } else if (row->answer.message) {
            assert_string_equal(result.message, row->answer.message);
        }
    }
    assert_source(&result, row->second);
    assert_int_equal(calls(), row->second == LA_SOURCE_MISS ? 2 : 1);
    la_table_stats(la_cache_accepted(shared.cache), &stats);
    assert_int_equal(stats.too_large, row->answer.padding > 17 * 1024 ? 2 : 0);
}

/* ---- for how long
 * -------------------------------------------------------------------------------------- */

#define BRIEF (60 * MS)

/* Room for a clock that is not the cache's, and goes at its own pace. */
#define SLACK (20 * MS)

typedef struct life_case_t {
    const char *name;
    answer_t answer;
    apr_interval_time_t ttl_us;
    apr_interval_time_t negative_ttl_us;
    la_source_e meanwhile;
} life_case_t;

static life_case_t life_cases[] = {
    {"for: CacheTTL", {ACCEPTED}, BRIEF, HOUR, LA_SOURCE_HIT},
    {"for: CacheNegativeTTL", {REJECTED}, HOUR, BRIEF, LA_SOURCE_NEGATIVE},
    {"for: max-age", {ACCEPTED, .max_age_known = 1, .max_age_us = BRIEF}, HOUR, 0, LA_SOURCE_HIT},
    {"for: CacheTTL below max-age",
     {ACCEPTED, .max_age_known = 1, .max_age_us = HOUR},
     BRIEF,
     0,
     LA_SOURCE_HIT},
    {"for: the token's end", {ACCEPTED, .expires_after_us = BRIEF}, HOUR, 0, LA_SOURCE_HIT},
    {"for: the token's end below max-age",
     {ACCEPTED, .max_age_known = 1, .max_age_us = HOUR, .expires_after_us = BRIEF},
     HOUR,
     0,
     LA_SOURCE_HIT},
};

/* Looks until the provider is asked again: not before BRIEF is over, and nothing kept is used after
 * it. */
static void test_holder(void **state)
{
    const life_case_t *row = *state;
    apr_time_t before = apr_time_now();
    apr_time_t after;
    apr_time_t start;
    la_result_t result;

    provider->common.cache_ttl_us = row->ttl_us;
    provider->common.cache_negative_ttl_us = row->negative_ttl_us;
    answer = row->answer;
    look("token");
    after = apr_time_now();
    for (;;) {
        start = apr_time_now();
        result = look("token");
        if (calls() > 1) {
            break;
        }
        assert_source(&result, row->meanwhile);
        assert_true(start < after + BRIEF + SLACK);
    }
    assert_source(&result, LA_SOURCE_MISS);
    assert_true(apr_time_now() >= before + BRIEF - SLACK);
}

/* ---- stale
 * --------------------------------------------------------------------------------------------------
 */

/* Keeps "alice" for so long, and waits until her time is over. */
static void make_stale(apr_interval_time_t stale_us)
{
    apr_time_t kept;

    provider->common.cache_ttl_us = MS;
    provider->common.cache_stale_us = stale_us;
    look("token");
    kept = apr_time_now();
    wait_until(apr_time_now() > kept + 2 * MS);
    principal = "bob";
    forget();
}

typedef struct stale_case_t {
    const char *name;
    answer_t answer;
    apr_interval_time_t stale_us;
    la_verdict_e verdict;
    la_source_e source;
    const char *principal;
} stale_case_t;

static stale_case_t stale_cases[] = {
    {"stale: in an outage", {.message = "m"}, HOUR, LA_VERDICT_ACCEPTED, LA_SOURCE_STALE, "alice"},
    {"stale: in a timeout",
     {.message = "m", .timed_out = 1},
     HOUR,
     LA_VERDICT_ACCEPTED,
     LA_SOURCE_STALE,
     "alice"},
    {"stale: in an outage that an answer makes",
     {.message = "m", .cause = LA_CAUSE_ANSWER},
     HOUR,
     LA_VERDICT_ACCEPTED,
     LA_SOURCE_STALE,
     "alice"},
    {"stale: not by what the request is",
     {.message = "m", .cause = LA_CAUSE_REQUEST},
     HOUR,
     LA_VERDICT_UNAVAILABLE,
     LA_SOURCE_MISS,
     NULL},
    {"stale: not without CacheStale",
     {.message = "m"},
     0,
     LA_VERDICT_UNAVAILABLE,
     LA_SOURCE_MISS,
     NULL},
    {"stale: not when it accepts", {ACCEPTED}, HOUR, LA_VERDICT_ACCEPTED, LA_SOURCE_MISS, "bob"},
    {"stale: not when it rejects", {REJECTED}, HOUR, LA_VERDICT_REJECTED, LA_SOURCE_MISS, NULL},
    {"stale: not when it is not mine",
     {.verdict = LA_VERDICT_NOT_MINE},
     HOUR,
     LA_VERDICT_NOT_MINE,
     LA_SOURCE_MISS,
     NULL},
};

static void test_stale(void **state)
{
    const stale_case_t *row = *state;
    la_result_t result;

    make_stale(row->stale_us);
    answer = row->answer;
    result = look("token");
    assert_int_equal(result.verdict, row->verdict);
    assert_source(&result, row->source);
    if (row->principal) {
        assert_caller(&result, row->principal);
    }
    assert_int_equal(calls(), 1);
    assert_int_equal(counted(LA_SOURCE_STALE), row->source == LA_SOURCE_STALE);
    if (row->source == LA_SOURCE_STALE) {
        assert_string_equal(result.reason, row->answer.message); /* for the log */
    }
}

/* Once rejected, it is no longer there for the outage that follows. */
static void test_rejection_ends_stale(void **state)
{
    la_result_t result;

    (void)state;
    provider->common.cache_negative_ttl_us = 0;
    make_stale(HOUR);
    answer = (answer_t){REJECTED};
    look("token");
    answer = (answer_t){.message = "m"};
    result = look("token");
    assert_int_equal(result.verdict, LA_VERDICT_UNAVAILABLE);
    assert_int_equal(calls(), 2);
}

/* The call takes longer than the stale acceptance lives. */
static void test_stale_ends_during_the_call(void **state)
{
    apr_time_t over;
    visit_t *visit;

    (void)state;
    make_stale(500 * MS);
    over = apr_time_now() + 500 * MS;
    answer = (answer_t){.message = "m"};
    atomic_store(&world->hold, 1);
    visit = look_in_thread("token");
    event_wait(&world->entered, 2);
    wait_until(apr_time_now() > over);
    event_set(&world->go);
    assert_int_equal(join(visit)->verdict, LA_VERDICT_UNAVAILABLE);
    assert_null(visit->result.identity);
}

/* A breaker that is open, and a limit that is reached, are outages too: no call, the stale answer.
 */
static void test_stale_while_open(void **state)
{
    la_result_t result;

    (void)state;
    make_stale(HOUR);
    provider->common.breaker = (la_breaker_t){1, HOUR};
    answer = (answer_t){.message = "m"};
    look("another");
    assert_int_equal(calls(), 1);
    for (int i = 0; i < 3; i++) {
        result = look("token");
        assert_caller(&result, "alice");
        assert_source(&result, LA_SOURCE_STALE);
    }
    assert_int_equal(calls(), 1);
}

int main(void)
{
    ADD_ROWS(name_cases, test_name);
    add_in_world("hit", test_hit, NULL);
    add_in_world("negative", test_negative, NULL);
    add_in_world("negative: a long reason", test_long_reason, NULL);
    ADD_ROWS(off_cases, test_off);
    add_in_world("off: the breaker holds", test_breaker_without_cache, NULL);
    ADD_ROWS(keep_cases, test_keep);
    ADD_ROWS(life_cases, test_holder);
    ADD_ROWS(stale_cases, test_stale);
    add_in_world("stale: not after a rejection", test_rejection_ends_stale, NULL);
    add_in_world("stale: over before the call ends", test_stale_ends_during_the_call, NULL);
    add_in_world("stale: while the breaker is open", test_stale_while_open, NULL);
    return run_lookups("lookup");
}

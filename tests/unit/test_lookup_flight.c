/* lookup.c, many look-ups at the same time: who waits for whom and for how long, and what is
 * shared. What the limit and the breaker refuse stands in test_lookup_gate.c.
 */
#include "base/clock.h"
#include "lookups.h"

#define MESSAGE_TIMEOUT "Authentication service timeout"
#define MESSAGE_ERROR   "Authentication service error"

#define WAITERS 3

/* ---- one call for all who ask the same
 * ------------------------------------------------------------ */

static char text_240[241];
static char text_241[242];

typedef struct share_case_t {
    const char *name;
    answer_t answer;
    apr_interval_time_t negative_ttl_us;
    int is_shared;
} share_case_t;

static share_case_t share_cases[] = {
    {"shared: acceptance", {.verdict = LA_VERDICT_ACCEPTED}, HOUR, 1},
    {"shared: acceptance of 16 KB", {.verdict = LA_VERDICT_ACCEPTED, .padding = 5000}, HOUR, 1},
    {"shared: rejection",
     {.verdict = LA_VERDICT_REJECTED, .message = "m", .reason = "why"},
     HOUR,
     1},
    {"shared: rejection, CacheNegativeTTL 0",
     {.verdict = LA_VERDICT_REJECTED, .message = "Authentication failed: 401"},
     0,
     1},
    {"shared: outage", {.message = "Authentication failed: 500", .reason = "why"}, HOUR, 1},
    {"shared: timeout", {.message = MESSAGE_TIMEOUT, .timed_out = 1}, HOUR, 1},
    {"shared: outage with Retry-After", {.message = "m", .retry_after_s = 30}, HOUR, 1},
    {"shared: empty message", {.message = ""}, HOUR, 1},
    {"shared: longest message", {.message = text_240}, HOUR, 1},
    {"alone: message too long", {.message = text_241}, HOUR, 0},
    {"alone: not mine", {.verdict = LA_VERDICT_NOT_MINE}, HOUR, 0},
    {"alone: no-store", {.verdict = LA_VERDICT_ACCEPTED, .max_age_known = 1}, HOUR, 0},
    {"alone: ended", {.verdict = LA_VERDICT_ACCEPTED, .expires_after_us = -S}, HOUR, 0},
    {"alone: too large", {.verdict = LA_VERDICT_ACCEPTED, .padding = 20000}, HOUR, 0},
};

static void assert_answered(const la_result_t *result)
{
    assert_int_equal(result->verdict, answer.verdict);
    assert_int_equal(result->timed_out, answer.timed_out);
    assert_int_equal(result->retry_after_s, answer.retry_after_s);
    if (answer.verdict == LA_VERDICT_ACCEPTED) {
        assert_caller(result, "alice");
    } else {
        assert_null(result->identity);
        assert_true(!answer.message == !result->message);
        assert_string_equal(result->message ? result->message : "",
                            answer.message ? answer.message : "");
        assert_true(la_text_is_same(result->reason, answer.reason));
    }
}

static void test_share(void **state)
{
    const share_case_t *row = *state;
    visit_t *waiters[WAITERS];
    visit_t *leader;

    provider->common.cache_negative_ttl_us = row->negative_ttl_us;
    answer = row->answer;
    atomic_store(&world->hold, 1);
    leader = look_in_thread("token");
    event_wait(&world->entered, 1);
    for (int i = 0; i < WAITERS; i++) {
        waiters[i] = look_in_thread("token");
    }
    await_waiting(WAITERS);
    event_set(&world->go);
    assert_answered(join(leader));
    assert_source(&leader->result, LA_SOURCE_MISS);
    for (int i = 0; i < WAITERS; i++) {
        assert_answered(join(waiters[i]));
        assert_source(&waiters[i]->result, row->is_shared ? LA_SOURCE_COALESCED : LA_SOURCE_MISS);
    }
    assert_int_equal(calls(), row->is_shared ? 1 : 1 + WAITERS);
    assert_int_equal(counted(LA_SOURCE_COALESCED), row->is_shared ? WAITERS : 0);
    assert_int_equal(counted(LA_SOURCE_MISS), row->is_shared ? 1 : 1 + WAITERS);
}

/* Both inside at once: neither waits for the other. */
static void assert_apart(const char *first, const char *second)
{
    visit_t *visits[2];

    atomic_store(&world->hold, 2);
    visits[0] = look_in_thread(first);
    visits[1] = look_in_thread(second);
    event_wait(&world->entered, 2);
    event_set(&world->go);
    for (int i = 0; i < 2; i++) {
        assert_caller(join(visits[i]), "alice");
        assert_source(&visits[i]->result, LA_SOURCE_MISS);
    }
}

static void test_other_tokens_apart(void **state)
{
    (void)state;
    assert_apart("token", "another");
}

static void test_apart_without_ttl(void **state)
{
    (void)state;
    provider->common.cache_ttl_us = 0;
    assert_apart("token", "token");
}

/* The outage is told to the waiters; who has something stale uses that. */
static void test_waiters_fall_back(void **state)
{
    visit_t *visits[2];

    (void)state;
    provider->common.cache_ttl_us = 1;
    provider->common.cache_stale_us = HOUR;
    look("token");
    answer = (answer_t){.message = "m"};
    atomic_store(&world->hold, 2);
    visits[0] = look_in_thread("token");
    event_wait(&world->entered, 2);
    visits[1] = look_in_thread("token");
    await_waiting(1);
    event_set(&world->go);
    for (int i = 0; i < 2; i++) {
        assert_caller(join(visits[i]), "alice");
        assert_source(&visits[i]->result, LA_SOURCE_STALE);
    }
    assert_int_equal(calls(), 2);
}

static answer_t late_answers[] = {{.verdict = LA_VERDICT_ACCEPTED},
                                  {.verdict = LA_VERDICT_REJECTED, .message = "m"}};

/* ---- leaders that die or are late
 * ------------------------------------------------------------------- */

static int lead_in_process(void *unused)
{
    (void)unused;
    look("token");
    return 0;
}

static void test_leader_killed(void **state)
{
    visit_t *waiters[WAITERS];
    uint32_t made = 0;
    pid_t child;

    (void)state;
    atomic_store(&world->hold, 1);
    child = spawn(lead_in_process, NULL);
    event_wait(&world->entered, 1);
    for (int i = 0; i < WAITERS; i++) {
        waiters[i] = look_in_thread("token");
    }
    await_waiting(WAITERS);
    assert_int_equal(calls(), 1);
    kill(child, SIGKILL);
    for (int i = 0; i < WAITERS; i++) {
        assert_caller(join(waiters[i]), "alice");
        made += waiters[i]->result.source == LA_SOURCE_MISS;
    }
    assert_int_equal(made, 1);
    assert_int_equal(calls(), 2);
    assert_int_equal(reap(child), -SIGKILL);
}

/* One that outlives its own deadline: another calls, and the late answer harms nobody. */
static void test_leader_late(void **state)
{
    visit_t *leader;
    visit_t *waiter;

    (void)state;
    provider->common.http.timeout_us = 300 * MS;
    atomic_store(&world->hold, 1);
    leader = look_in_thread("token");
    event_wait(&world->entered, 1);
    waiter = look_in_thread("token");
    assert_caller(join(waiter), "alice");
    assert_source(&waiter->result, LA_SOURCE_MISS);
    assert_int_equal(calls(), 2);
    event_set(&world->go);
    assert_caller(join(leader), "alice");
    assert_int_equal(look("token").source, LA_SOURCE_HIT);
}

/* So late that the process must have been stopped: what others learned meanwhile is newer. */
static void test_leader_outlived(void **state)
{
    const answer_t *late = *state;
    const la_http_options_t *http = &provider->common.http;
    visit_t *leader;
    apr_time_t ends;

    provider->common.http.timeout_us = MS;
    provider->common.http.connect_timeout_us = MS;
    answer = *late;
    atomic_store(&world->hold, 1);
    leader = look_in_thread("token");
    event_wait(&world->entered, 1);
    ends = la_clock_us() + 3 * http->timeout_us + 2 * http->connect_timeout_us + 100 * MS;
    wait_until(la_clock_us() > ends);
    event_set(&world->go);
    assert_int_equal(join(leader)->verdict, late->verdict);
    assert_source(&leader->result, LA_SOURCE_MISS);
    assert_int_equal(look("token").source, LA_SOURCE_MISS);
    assert_int_equal(calls(), 2);
}

/* Nobody answers: who waits ends after twice the Timeout; who calls, the first or one that took
 * over, ends by the provider's own deadline. */
static void test_all_hang(void **state)
{
    apr_time_t start = la_clock_us();
    visit_t *visits[6];
    uint32_t timed_out = 0;

    (void)state;
    provider->common.http.timeout_us = 300 * MS;
    atomic_store(&world->hold, UINT32_MAX);
    for (size_t i = 0; i < ROWS(visits); i++) {
        visits[i] = look_in_thread("token");
    }
    wait_until(atomic_load(&world->done) + calls() == ROWS(visits));
    assert_true(la_clock_us() - start >= 600 * MS);
    event_set(&world->go);
    for (size_t i = 0; i < ROWS(visits); i++) {
        const la_result_t *result = join(visits[i]);

        if (result->verdict == LA_VERDICT_UNAVAILABLE) {
            assert_string_equal(result->message, MESSAGE_TIMEOUT);
            assert_int_equal(result->timed_out, 1);
            assert_source(result, LA_SOURCE_COALESCED);
            timed_out++;
        }
    }
    assert_int_equal(timed_out + calls(), ROWS(visits));
    assert_in_range(timed_out, 1, ROWS(visits) - 1);
}

static void test_too_many_waiters(void **state)
{
    la_result_t refused;
    visit_t *leader;
    visit_t *waiter;

    (void)state;
    workers = 4; /* two may wait or call */
    atomic_store(&world->hold, 1);
    leader = look_in_thread("token");
    event_wait(&world->entered, 1);
    waiter = look_in_thread("token");
    await_waiting(1);
    refused = look("token");
    assert_int_equal(refused.verdict, LA_VERDICT_UNAVAILABLE);
    assert_string_equal(refused.message, MESSAGE_ERROR);
    assert_int_equal(refused.timed_out, 0);
    event_set(&world->go);
    assert_caller(join(leader), "alice");
    assert_caller(join(waiter), "alice");
    assert_int_equal(calls(), 1);
}

int main(void)
{
    memset(text_240, 'm', sizeof(text_240) - 1);
    memset(text_241, 'm', sizeof(text_241) - 1);
    ADD_ROWS(share_cases, test_share);
    add_in_world("apart: other tokens", test_other_tokens_apart, NULL);
    add_in_world("apart: CacheTTL 0", test_apart_without_ttl, NULL);
    add_in_world("waiters: stale in a shared outage", test_waiters_fall_back, NULL);
    add_in_world("leader: killed", test_leader_killed, NULL);
    add_in_world("leader: late", test_leader_late, NULL);
    add_in_world("leader: accepts too late to be kept", test_leader_outlived, &late_answers[0]);
    add_in_world("leader: rejects too late to be kept", test_leader_outlived, &late_answers[1]);
    add_in_world("leader: hangs, and the next too", test_all_hang, NULL);
    add_in_world("waiters: too many", test_too_many_waiters, NULL);
    return run_lookups("lookup, many at once");
}

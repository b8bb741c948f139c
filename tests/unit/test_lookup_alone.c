/* lookup.c: a type that judges alone (jwt): what its verdicts hang on besides the token, its epoch
 * and the resource, and that it goes without flight and permit.
 */
#include "lookups.h"

static apr_uint64_t epoch_now;    /* in force */
static apr_uint64_t epoch_judged; /* what the next verdict was made by */

static apr_uint64_t fake_epoch(const la_provider_t *p, apr_time_t now)
{
    (void)p;
    (void)now;
    return epoch_now;
}

static void epoch_verify(const la_provider_t *p, const la_call_t *call, apr_pool_t *in,
                         la_result_t *result)
{
    fake_verify(p, call, in, result);
    result->epoch = epoch_judged;
}

static void judge_alone(void)
{
    type.judges_alone = 1;
    type.checks_audience = 1;
    type.epoch = fake_epoch;
    type.verify = epoch_verify;
    epoch_now = epoch_judged = 1;
}

static la_source_e ask(const char *resource, la_cache_key_memo_t *memo)
{
    visit_t *visit = make_visit("token");

    visit->call.resource = resource;
    visit->call.memo = memo;
    run_visit(visit);
    return visit->result.source;
}

/* A verdict is met again under its epoch only, also by a connection that remembers its key. */
static void test_epoch(void **state)
{
    la_cache_key_memo_t memo = {0};

    (void)state;
    judge_alone();
    assert_int_equal(ask(NULL, &memo), LA_SOURCE_MISS);
    assert_int_equal(ask(NULL, &memo), LA_SOURCE_HIT);
    epoch_now = epoch_judged = 2;
    assert_int_equal(ask(NULL, &memo), LA_SOURCE_MISS);
    assert_int_equal(ask(NULL, &memo), LA_SOURCE_HIT);
    assert_int_equal(ask(NULL, NULL), LA_SOURCE_HIT);
    epoch_now = 1;
    assert_int_equal(ask(NULL, &memo), LA_SOURCE_HIT);
}

/* Keys changed between the making of the key and the verdict: nobody meets it, rejections neither.
 */
static void test_epoch_passed(void **state)
{
    (void)state;
    judge_alone();
    epoch_judged = 2;
    assert_int_equal(ask(NULL, NULL), LA_SOURCE_MISS);
    assert_int_equal(ask(NULL, NULL), LA_SOURCE_MISS);
    answer = (answer_t){.verdict = LA_VERDICT_REJECTED, .message = "no"};
    assert_int_equal(ask(NULL, NULL), LA_SOURCE_MISS);
    assert_int_equal(ask(NULL, NULL), LA_SOURCE_MISS);
    epoch_now = 2;
    assert_int_equal(ask(NULL, NULL), LA_SOURCE_MISS);
    assert_int_equal(ask(NULL, NULL), LA_SOURCE_NEGATIVE);
}

/* An audience that is accepted at one place says nothing of another. */
static void test_resource(void **state)
{
    static const char here[] = "https://api.example.com/mcp";
    static const char there[] = "https://api.example.com/other";
    la_cache_key_memo_t memo = {0};

    (void)state;
    judge_alone();
    assert_int_equal(ask(here, &memo), LA_SOURCE_MISS);
    assert_int_equal(ask(here, &memo), LA_SOURCE_HIT);
    assert_int_equal(ask(there, &memo), LA_SOURCE_MISS);
    assert_int_equal(ask(NULL, &memo), LA_SOURCE_MISS);
    assert_int_equal(ask("", &memo), LA_SOURCE_MISS);
    assert_int_equal(ask(here, &memo), LA_SOURCE_HIT);
    assert_int_equal(ask(there, NULL), LA_SOURCE_HIT);
}

/* The resource is nothing to a type that does not look at audiences. */
static void test_resource_ignored(void **state)
{
    (void)state;
    assert_int_equal(ask("https://api.example.com/mcp", NULL), LA_SOURCE_MISS);
    assert_int_equal(ask(NULL, NULL), LA_SOURCE_HIT);
}

/* Two at once with one token: both judge, nobody waits. */
static void test_no_flight(void **state)
{
    visit_t *first;

    (void)state;
    judge_alone();
    atomic_store(&world->hold, 1);
    first = look_in_thread("token");
    event_wait(&world->entered, 1);
    look("token");
    assert_int_equal(calls(), 2);
    event_set(&world->go);
    join(first);
}

/* No outage of it opens a breaker, and no limit holds it up. */
static void test_no_gate(void **state)
{
    (void)state;
    judge_alone();
    provider->common.breaker = (la_breaker_t){1, HOUR};
    provider->common.max_concurrent = 1;
    provider->common.http.connect_timeout_us = 1;
    answer = (answer_t){.verdict = LA_VERDICT_UNAVAILABLE, .message = LA_MESSAGE_ERROR};
    look("a");
    look("b");
    assert_int_equal(calls(), 2);
    assert_null(strstr(logged, "breaker"));
}

int main(void)
{
    add_in_world("alone: a verdict belongs to its epoch", test_epoch, NULL);
    add_in_world("alone: judged by another epoch than the key's", test_epoch_passed, NULL);
    add_in_world("alone: a verdict belongs to its resource", test_resource, NULL);
    add_in_world("alone: a type without audiences", test_resource_ignored, NULL);
    add_in_world("alone: no flight", test_no_flight, NULL);
    add_in_world("alone: no gate", test_no_gate, NULL);
    return run_lookups("lookup, types that judge alone");
}

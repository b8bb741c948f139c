/* store.c and admission.c with a Redis that answers what the test says: what is sent, which answers
 * are none, and what becomes of a request then. What the scripts do in Redis is in
 * tests/http/test_quota_redis.py. */
#include "quotas.h"

/* ---- a Redis ---- */

static struct fake_t {
    const char *answer; /* words of the answer's list; "error", "down", or "text" for no list */
    int has_secret;
    int calls;
    const char *sent; /* of the last call, what is behind the script */
} fake;

static la_redis_answer_t *texts_of(const char *answer, apr_size_t *count)
{
    int words;
    const char *const *texts = words_of(answer, &words);
    la_redis_answer_t *items = apr_pcalloc(pool, sizeof(*items) * 64);

    *count = (apr_size_t)words;
    for (int i = 0; i < words; i++) {
        items[i] = (la_redis_answer_t){.kind = LA_REDIS_TEXT, .text = la_slice_of(texts[i])};
        if (texts[i][0] == ':') {
            items[i].kind = LA_REDIS_INTEGER;
            items[i].integer = apr_atoi64(texts[i] + 1);
        }
    }
    return items;
}

static la_redis_e send_fake(apr_size_t count, const la_slice_t *words, apr_pool_t *p,
                            la_redis_answer_t *answer)
{
    (void)p;
    fake.calls++;
    fake.sent = "";
    for (apr_size_t i = 2; i < count; i++) {
        fake.sent = apr_pstrcat(pool, fake.sent, i > 2 ? " " : "",
                                apr_pstrmemdup(pool, words[i].data, words[i].len), NULL);
    }
    *answer = (la_redis_answer_t){.kind = LA_REDIS_TEXT, .text = LA_SLICE("why")};
    if (strcmp(fake.answer, "down") == 0) {
        return LA_REDIS_FAILED;
    }
    if (strcmp(fake.answer, "error") == 0) {
        return LA_REDIS_ERROR;
    }
    if (strcmp(fake.answer, "text") != 0) {
        answer->kind = LA_REDIS_LIST;
        answer->items = texts_of(fake.answer, &answer->count);
    }
    return LA_REDIS_OK;
}

static const char *name_fake(la_slice_t quota, const la_slice_t *counter, apr_pool_t *p)
{
    (void)p;
    return fake.has_secret
               ? apr_pstrcat(pool, apr_pstrmemdup(pool, quota.data, quota.len), ":",
                             apr_pstrmemdup(pool, counter[1].data, counter[1].len), NULL)
               : NULL;
}

static const la_quota_store_t store = {send_fake, name_fake};

static int set_up_fake(void **state)
{
    fake = (struct fake_t){.answer = "down", .has_secret = 1};
    return set_up_memory(state);
}

static la_admission_e ask_fake(la_admission_t *admission, const char *answer)
{
    fake.answer = answer;
    fake.sent = "";
    return la_admission_ask(admission, &memory, &store, &begin, pool);
}

/* ---- answers ---- */

#define ONE "Requests 5/1h" /* 3600000000 us */

static struct answer_case_t {
    const char *name;
    const char *quotas;
    const char *answer;
    la_admission_e result;
    const char *sent;
    int left; /* of the first limit; -1: nothing is shown */
} answer_cases[] = {
    {"admitted", ONE, ":0 1 3600000000 99", LA_ADMISSION_ADMITTED,
     "1 q:alice 5 0 3600000000 0 1 1 0 3600000000 0", 4},
    {"refused", ONE, ":1 5 1800000000 99", LA_ADMISSION_REFUSED,
     "1 q:alice 5 0 3600000000 0 1 1 0 3600000000 0", 0},
    {"a rate", "Rate 60/1m burst=3", "0 1000000 0 0", LA_ADMISSION_ADMITTED,
     "1 q:alice 60 3 60000000 0 1 1 0 0 0", 2},
    {"tokens", "Tokens 50/1h;Reserve 10", "0 30 3600000000 99", LA_ADMISSION_ADMITTED,
     "1 q:alice 50 0 3600000000 0 10 10 0 3600000000 0", 20},
    {"two of three refuse, the second for longer", ONE ";Requests 5/2h;Concurrent 3",
     ":2 5 10 99 5 20 99", LA_ADMISSION_REFUSED,
     "2 q:alice q:alice 5 0 3600000000 0 1 1 0 3600000000 0 5 0 7200000000 0 1 1 0 7200000000 0",
     0},
    {"beyond the limit", ONE, "0 7 3600000000 99", LA_ADMISSION_ADMITTED,
     "1 q:alice 5 0 3600000000 0 1 1 0 3600000000 0", 0},
    {"down: local", ONE, "down", LA_ADMISSION_ADMITTED,
     "1 q:alice 5 0 3600000000 0 1 1 0 3600000000 0", 4},
    {"an error: local", ONE, "error", LA_ADMISSION_ADMITTED,
     "1 q:alice 5 0 3600000000 0 1 1 0 3600000000 0", 4},
    {"no list", ONE, "text", LA_ADMISSION_ADMITTED, "1 q:alice 5 0 3600000000 0 1 1 0 3600000000 0",
     4},
    {"too few", ONE, "0 4 3600000000", LA_ADMISSION_ADMITTED,
     "1 q:alice 5 0 3600000000 0 1 1 0 3600000000 0", 4},
    {"too many", ONE, "0 4 3600000000 99 1", LA_ADMISSION_ADMITTED,
     "1 q:alice 5 0 3600000000 0 1 1 0 3600000000 0", 4},
    {"no number", ONE, "0 x 3600000000 99", LA_ADMISSION_ADMITTED,
     "1 q:alice 5 0 3600000000 0 1 1 0 3600000000 0", 4},
    {"a negative one", ONE, "0 -4 3600000000 99", LA_ADMISSION_ADMITTED,
     "1 q:alice 5 0 3600000000 0 1 1 0 3600000000 0", 4},
    {"refused by nobody", ONE, "2 4 3600000000 99", LA_ADMISSION_ADMITTED,
     "1 q:alice 5 0 3600000000 0 1 1 0 3600000000 0", 4},
    {"down: allow", ONE ";Outage allow", "down", LA_ADMISSION_ADMITTED,
     "1 q:alice 5 0 3600000000 0 1 1 0 3600000000 0", -1},
    {"down: deny", ONE ";Outage deny", "down", LA_ADMISSION_FAILED,
     "1 q:alice 5 0 3600000000 0 1 1 0 3600000000 0", -1},
    {"not shared", ONE ";Shared off", "down", LA_ADMISSION_ADMITTED, "", 4},
    {"at once is never shared", "Concurrent 2", "down", LA_ADMISSION_ADMITTED, "", -1},
};

static void test_answer(void **state)
{
    const struct answer_case_t *row = *state;
    la_admission_t *admission = admission_of(row->quotas, "");
    const la_quota_item_t *item = &admission->items[0];
    int is_shown = !item->is_ignored && item->limit->kind != LA_LIMIT_CONCURRENT;

    assert_int_equal(ask_fake(admission, row->answer), row->result);
    assert_string_equal(fake.sent, row->sent);
    is_shown &= !item->is_ignored;
    assert_int_equal(is_shown ? (int)item->reading.left : -1, row->left);
}

static void test_longest(void **state)
{
    la_admission_t *admission = admission_of(ONE ";Requests 5/2h", "");

    (void)state;
    assert_int_equal(ask_fake(admission, ":2 5 10 99 5 20 99"), LA_ADMISSION_REFUSED);
    assert_string_equal(admission->refused->limit->name, "q.requests-2");
}

static void test_no_secret(void **state)
{
    (void)state;
    fake.has_secret = 0;
    assert_int_equal(ask_fake(admission_of(ONE ";Outage deny", ""), ":0 1 3600000000 99"),
                     LA_ADMISSION_FAILED);
    assert_int_equal(fake.calls, 0);
}

/* A limit of this machine refuses first: Redis is not asked, and what it said last is shown. */
static void test_refused_here(void **state)
{
    static const char quotas[] = ONE "|Shared off;Requests 1/1h";
    la_admission_t *admission = admission_of(quotas, "");

    (void)state;
    assert_int_equal(ask_fake(admission, ":0 2 3600000000 99"), LA_ADMISSION_ADMITTED);
    admission = admission_of(quotas, "");
    assert_int_equal(ask_fake(admission, "error"), LA_ADMISSION_REFUSED);
    assert_int_equal(fake.calls, 1);
    assert_int_equal(admission->items[0].reading.left, 3);
}

/* Redis refuses: what was charged here is given back. */
static void test_given_back(void **state)
{
    static const char quotas[] = ONE "|Shared off;Requests 1/1h;Concurrent 1";

    (void)state;
    assert_int_equal(ask_fake(admission_of(quotas, ""), ":1 5 3600000000 99"),
                     LA_ADMISSION_REFUSED);
    assert_int_equal(ask_fake(admission_of(quotas, ""), ":0 1 3600000000 99"),
                     LA_ADMISSION_ADMITTED);
}

/* ---- while Redis is away ---- */

/* Goes on from what it said last; tells it what was charged meanwhile, once. */
static void test_alone(void **state)
{
    (void)state;
    assert_int_equal(ask_fake(admission_of(ONE, ""), ":0 3 3600000000 99"), LA_ADMISSION_ADMITTED);
    assert_int_equal(ask_fake(admission_of(ONE, ""), "down"), LA_ADMISSION_ADMITTED);
    assert_int_equal(ask_fake(admission_of(ONE, ""), "error"), LA_ADMISSION_ADMITTED);
    assert_int_equal(ask_fake(admission_of(ONE, ""), "down"), LA_ADMISSION_REFUSED);
    assert_string_equal(fake.sent, "1 q:alice 5 0 3600000000 0 1 1 5 3600000000 2");
    assert_int_equal(ask_fake(admission_of(ONE, ""), ":1 5 3600000000 99"), LA_ADMISSION_REFUSED);
    assert_string_equal(fake.sent, "1 q:alice 5 0 3600000000 0 1 1 5 3600000000 2");
    assert_int_equal(ask_fake(admission_of(ONE, ""), ":1 5 3600000000 99"), LA_ADMISSION_REFUSED);
    assert_string_equal(fake.sent, "1 q:alice 5 0 3600000000 0 1 1 5 3600000000 0");
}

static void test_rate_alone(void **state)
{
    static const char quotas[] = "Rate 60/1m burst=3";

    (void)state;
    assert_int_equal(ask_fake(admission_of(quotas, ""), ":0 1000000 0 0"), LA_ADMISSION_ADMITTED);
    assert_int_equal(ask_fake(admission_of(quotas, ""), "down"), LA_ADMISSION_ADMITTED);
    assert_int_equal(ask_fake(admission_of(quotas, ""), ":0 3000000 0 0"), LA_ADMISSION_ADMITTED);
    assert_string_equal(fake.sent, "1 q:alice 60 3 60000000 0 1 1 2000000 2000000 1");
    assert_int_equal(ask_fake(admission_of(quotas, ""), ":1 3000000 0 0"), LA_ADMISSION_REFUSED);
    assert_string_equal(fake.sent, "1 q:alice 60 3 60000000 0 1 1 3000000 3000000 0");
}

/* ---- settling ---- */

static const la_usage_t used = {LA_USAGE_RESPONSE, 10, 20, 30};

static la_admission_t *admit_tokens(const char *limits, const char *answer)
{
    la_admission_t *admission = admission_of(limits, "");

    assert_int_equal(ask_fake(admission, answer), LA_ADMISSION_ADMITTED);
    return admission;
}

static void settle(la_admission_t *admission, const char *answer)
{
    fake.answer = answer;
    fake.sent = "";
    la_admission_settle(admission, &memory, &store, &used, pool);
}

static void test_settle(void **state)
{
    la_admission_t *admission =
        admit_tokens("Tokens 99/1h;Requests 5/1h;Tokens 99/1h input;Reserve 10",
                     ":0 10 3600000000 77 1 3600000000 88 10 3600000000 99");

    (void)state;
    settle(admission, ":0");
    assert_string_equal(fake.sent, "3 q:alice q:alice q:alice 77 20 -1 -1 99 0");
    ask_fake(admission_of("Tokens 99/1h;Requests 5/1h;Tokens 99/1h input;Reserve 10", ""), "down");
    assert_string_equal(fake.sent,
                        "3 q:alice q:alice q:alice 99 0 3600000000 0 10 10 30 3600000000 "
                        "0 5 0 3600000000 0 1 1 1 3600000000 0 99 0 3600000000 0 10 10 "
                        "10 3600000000 0");
}

/* Nothing differs from what was charged: no call. */
static void test_settled_already(void **state)
{
    (void)state;
    settle(admit_tokens("Tokens 99/1h;Reserve 30", ":0 30 3600000000 77"), ":0");
    assert_int_equal(fake.calls, 1);
}

static void test_settle_alone(void **state)
{
    static const char limits[] = "Tokens 99/1h;Reserve 10";

    (void)state;
    settle(admit_tokens(limits, ":0 10 3600000000 77"), "down"); /* 20 are not told */
    settle(admit_tokens(limits, "down"), ":0");                  /* 30 are not told */
    assert_int_equal(fake.calls, 3);
    ask_fake(admission_of(limits, ""), ":0 70 3600000000 77");
    assert_string_equal(fake.sent, "1 q:alice 99 0 3600000000 0 10 10 60 3600000000 50");
}

static void add_fake(const char *name, CMUnitTestFunction function, void *row)
{
    add_in_memory(name, function, row);
    tests[test_count - 1].setup_func = set_up_fake;
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(answer_cases); i++) {
        add_fake(answer_cases[i].name, test_answer, &answer_cases[i]);
    }
    add_fake("the one that refuses for longest", test_longest, NULL);
    add_fake("no secret, no name", test_no_secret, NULL);
    add_fake("refused here", test_refused_here, NULL);
    add_fake("refused there", test_given_back, NULL);
    add_fake("alone", test_alone, NULL);
    add_fake("a rate alone", test_rate_alone, NULL);
    add_fake("settled", test_settle, NULL);
    add_fake("settled already", test_settled_already, NULL);
    add_fake("settled alone", test_settle_alone, NULL);
    return finish("quota_store");
}

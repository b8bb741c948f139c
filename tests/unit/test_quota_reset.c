/* Forgetting in store.c, with a Redis that answers what the test says: which counters
 * go here, which are named there, and that a walk goes on to its end. What the script does in Redis
 * is in tests/http/test_quota_reset.py. */
#include "quotas.h"

#include "quota/store.h"

/* Sends, one after another: the command, and what of it tells them apart. */
static struct fake_t {
    const char *sent;
    int is_down;
    int scans; /* that answered so far; the third one is the last */
    int names; /* in each answer of SCAN */
} fake;

static void note(const char *text)
{
    fake.sent = apr_pstrcat(pool, fake.sent, *fake.sent ? "; " : "", text, NULL);
}

static la_redis_answer_t text_answer(const char *text)
{
    return (la_redis_answer_t){.kind = LA_REDIS_TEXT, .text = la_slice_of(text)};
}

static la_redis_e answer_scan(const la_slice_t *words, la_redis_answer_t *answer)
{
    la_redis_answer_t *pair = apr_pcalloc(pool, 2 * sizeof(*pair));
    la_redis_answer_t *names = apr_pcalloc(pool, sizeof(*names) * (apr_size_t)(fake.names + 1));
    static const char *const cursors[] = {"17", "4", "0"};

    assert_true(la_slice_is(words[1], fake.scans == 0 ? "0" : cursors[fake.scans - 1]));
    note(apr_psprintf(pool, "SCAN %.*s", (int)words[3].len, words[3].data));
    for (int i = 0; i < fake.names; i++) {
        names[i] = text_answer("counter");
    }
    pair[0] = text_answer(cursors[fake.scans++]);
    pair[1] =
        (la_redis_answer_t){.kind = LA_REDIS_LIST, .count = (apr_size_t)fake.names, .items = names};
    *answer = (la_redis_answer_t){.kind = LA_REDIS_LIST, .count = 2, .items = pair};
    return LA_REDIS_OK;
}

static la_redis_e send_fake(apr_size_t count, const la_slice_t *words, apr_pool_t *p,
                            la_redis_answer_t *answer)
{
    (void)p;
    if (fake.is_down) {
        return LA_REDIS_FAILED;
    }
    if (la_slice_is(words[0], "SCAN")) {
        return answer_scan(words, answer);
    }
    note(apr_psprintf(pool, "EVAL %d %.*s", (int)count - 3, (int)words[3].len, words[3].data));
    *answer = (la_redis_answer_t){.kind = LA_REDIS_INTEGER, .integer = (apr_int64_t)count - 3};
    return LA_REDIS_OK;
}

static const char *name_fake(la_slice_t quota, const la_slice_t *counter, apr_pool_t *p)
{
    (void)p;
    return counter ? apr_psprintf(pool, "%.*s:%.*s", (int)quota.len, quota.data,
                                  (int)counter[1].len, counter[1].data)
                   : apr_psprintf(pool, "%.*s:*", (int)quota.len, quota.data);
}

static const la_quota_store_t store = {send_fake, name_fake};

#define QUOTAS "Requests 1/1h;Rate 1/1h|By client_id;Requests 1/1h|Requests 1/1h;Shared off"

static struct reset_case_t {
    const char *name;
    const char *principal; /* NULL: none is named */
    int quotas;            /* the first ones; -1: all that was ever counted */
    int is_down;
    int names;
    uint64_t counters;
    int is_told;
    const char *sent;
} cases[] = {
    {"all", NULL, -1, 0, 1, 4, 1,
     "SCAN :*; EVAL 1 counter; SCAN :*; EVAL 1 counter; SCAN :*; "
     "EVAL 1 counter"},
    {"nothing is there", NULL, -1, 0, 0, 4, 1, "SCAN :*; SCAN :*; SCAN :*"},
    {"more than were asked for", NULL, -1, 0, 450, 4, 1,
     "SCAN :*; EVAL 200 counter; EVAL 200 counter; EVAL 50 counter; "
     "SCAN :*; EVAL 200 counter; EVAL 200 counter; EVAL 50 counter; "
     "SCAN :*; EVAL 200 counter; EVAL 200 counter; EVAL 50 counter"},
    {"one quota of two limits", NULL, 1, 0, 0, 2, 1, "SCAN q:*; SCAN q:*; SCAN q:*"},
    {"a principal", "alice", 1, 0, 0, 2, 1, "EVAL 1 q:alice; EVAL 1 q:alice"},
    {"another principal", "bob", 1, 0, 0, 0, 1, "EVAL 1 q:bob; EVAL 1 q:bob"},
    {"Redis is down", NULL, 1, 1, 0, 2, 0, ""},
    {"a principal, and Redis is down", "alice", 1, 1, 0, 2, 0, ""},
    {"no quota", NULL, 0, 1, 0, 0, 1, ""},
};

static void test_reset(void **state)
{
    const struct reset_case_t *row = *state;
    apr_array_header_t *quotas = quotas_of(QUOTAS);
    la_slice_t principal = la_slice_of(row->principal);
    la_quota_reset_t reset = {row->quotas < 0 ? NULL : quotas, row->principal ? &principal : NULL};
    la_admission_t *admission = admission_of(QUOTAS, "");
    uint64_t counters;

    fake = (struct fake_t){.sent = "", .is_down = row->is_down, .names = row->names};
    assert_int_equal(la_admission_ask(admission, &memory, NULL, &begin, pool),
                     LA_ADMISSION_ADMITTED);
    quotas->nelts = row->quotas < 0 ? quotas->nelts : row->quotas;
    assert_int_equal(la_quota_reset(&reset, &memory, &store, pool, &counters), row->is_told);
    assert_int_equal(counters, row->counters);
    assert_string_equal(fake.sent, row->sent);
}

/* What is counted here alone needs no Redis; without memory there is nothing to forget. */
static void test_alone(void **state)
{
    apr_array_header_t *quotas = quotas_of("Requests 1/1h;Shared off");
    la_quota_reset_t reset = {quotas, NULL};
    uint64_t counters;

    (void)state;
    fake = (struct fake_t){.sent = "", .is_down = 1};
    assert_int_equal(la_quota_reset(&reset, &memory, &store, pool, &counters), 1);
    assert_int_equal(la_quota_reset(&reset, NULL, NULL, pool, &counters), 1);
    assert_int_equal(counters, 0);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(cases); i++) {
        add_in_memory(cases[i].name, test_reset, &cases[i]);
    }
    add_in_memory("alone", test_alone, NULL);
    return finish("quota_reset");
}

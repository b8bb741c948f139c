/* items.c, admission.c and fields.c: who is charged for what, all or nothing, what is given back
 * and settled, and what the client is told. */
#include "quotas.h"

#include "quota/fields.h"

/* ---- who is charged ---- */

static struct name_case_t {
    const char *by;
    const char *attributes;
    const char *names; /* of the items, joined by commas */
} name_cases[] = {
    {"By principal", "", "alice"},
    {"By client_id", "", "c1"},
    {"By provider", "", "keys"},
    {"By client_ip", "", "192.0.2.1"},
    {"By all", "", ""},
    {"By attribute:teams", "teams=b teams=a", "b,a"},
    {"By attribute:teams", "teams=a teams=a", "a"},
    {"By attribute:teams", "other=a", ""},
    {"By attribute:teams", "t=1", ""},
    {"By attribute:t",
     "t=1 t=2 t=3 t=4 t=5 t=6 t=7 t=8 t=9 t=10 t=11 t=12 t=13 t=14 t=15 t=16 t=17 t=18 t=19 t=20",
     "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16"},
    {"By principal", NULL, "-"},
    {"By attribute:teams", NULL, "-"},
    {"By client_ip", NULL, "192.0.2.1"},
    {"By all", NULL, ""},
};

static void test_names(void **state)
{
    const struct name_case_t *row = *state;
    la_admission_t *admission =
        admission_of(apr_pstrcat(pool, row->by, ";Rate 1/1s", NULL), row->attributes);
    const char *names = admission->count ? "" : "-";

    for (int i = 0; i < admission->count; i++) {
        names = apr_pstrcat(
            pool, names, i ? "," : "",
            apr_pstrmemdup(pool, admission->items[i].name.data, admission->items[i].name.len),
            NULL);
    }
    assert_string_equal(names, row->names);
}

/* ---- N of the caller's own ---- */

static struct own_case_t {
    const char *attributes;
    uint64_t number; /* of "Requests 7/1h from=attribute:n" */
    int is_strange;
} own_cases[] = {
    {"n=2", 2, 0},
    {"n=0002", 2, 0},
    {"n=0", 7, 1},
    {"n=-2", 7, 1},
    {"n=+2", 7, 1},
    {"n=2.0", 7, 1},
    {"n=2e3", 7, 1},
    {"n=0x10", 7, 1},
    {"n=many", 7, 1},
    {"n=", 7, 1},
    {"n=2 n=3", 7, 1},
    {"m=2", 7, 1},
    {"n=281474976710655", LA_METER_MOST, 0},
    {"n=281474976710656", LA_METER_MOST, 0},
    {"n=99999999999999999999999999999999999999999", LA_METER_MOST, 0},
    {"n=9999999999999999999999999999999999999999x", 7, 1},
    {NULL, 7, 1},
};

static void test_own_number(void **state)
{
    const struct own_case_t *row = *state;
    la_admission_t *admission =
        admission_of("By all;Requests 7/1h from=attribute:n", row->attributes);

    assert_int_equal(admission->items[0].number, row->number);
    assert_int_equal(admission->strange->nelts, row->is_strange);
}

/* ---- all or nothing ---- */

static la_admission_e ask(la_admission_t *admission)
{
    return la_admission_ask(admission, &memory, NULL, &begin, pool);
}

static struct ask_case_t {
    const char *name;
    const char *quotas;
    int admitted;        /* of 5 */
    const char *refused; /* the limit of the fifth */
    const char *left;    /* of each limit afterwards */
} ask_cases[] = {
    {"one limit", "Requests 3/1h", 3, "q.requests", "0"},
    {"what another limit refuses is not charged", "Requests 9/1h;Requests 2/1d", 2, "q.requests-2",
     "7 0"},
    {"nor what another quota refuses", "Requests 9/1h|Requests 2/1d|Rate 9/1m", 2, "r.requests",
     "7 0 7"},
    {"the longest wait is named", "Rate 2/1m;Requests 2/1d;Requests 2/1h", 2, "q.requests",
     "0 0 0"},
    {"at once", "Requests 9/1h;Concurrent 3", 3, "q.concurrent", "6 0"},
    {"room for tokens", "Tokens 100/1h;Reserve 40", 2, "q.tokens", "20"},
    {"the whole budget in reserve", "Tokens 40/1h;Reserve 40", 1, "q.tokens", "0"},
    {"no reserve: all that come", "Tokens 1/1h", 5, NULL, "1"},
};

static void test_ask(void **state)
{
    const struct ask_case_t *row = *state;
    int admitted = 0;
    la_admission_t *admission = NULL;
    const char *left = "";

    for (int i = 0; i < 5; i++) {
        admission = admission_of(row->quotas, "");
        admitted += ask(admission) == LA_ADMISSION_ADMITTED;
    }
    assert_int_equal(admitted, row->admitted);
    if (row->refused) {
        assert_string_equal(admission->refused->limit->name, row->refused);
    } else {
        assert_null(admission->refused);
    }
    for (int i = 0; i < admission->count; i++) {
        left =
            apr_psprintf(pool, "%s%s%d", left, i ? " " : "", (int)admission->items[i].reading.left);
    }
    assert_string_equal(left, row->left);
    if (row->refused) {
        assert_int_equal(la_tally_get(memory.refusals, admission->refused->terms.kind),
                         5 - row->admitted);
    }
}

/* Permits come back, once. */
static void test_leave(void **state)
{
    la_admission_t *first = admission_of("Concurrent 1", "");

    (void)state;
    assert_int_equal(ask(first), LA_ADMISSION_ADMITTED);
    assert_int_equal(ask(admission_of("Concurrent 1", "")), LA_ADMISSION_REFUSED);
    la_admission_leave(first, &memory);
    la_admission_leave(first, &memory);
    assert_int_equal(ask(admission_of("Concurrent 1", "")), LA_ADMISSION_ADMITTED);
}

/* More requests at once than there are places for. */
static void test_no_place(void **state)
{
    (void)state;
    for (int i = 0; i < PLACES; i++) {
        assert_int_equal(ask(admission_of("Concurrent 1000", "")), LA_ADMISSION_ADMITTED);
    }
    assert_int_equal(ask(admission_of("Requests 9/1h;Concurrent 1000", "")), LA_ADMISSION_FAILED);
}

/* ---- settling ---- */

static struct settle_case_t {
    const char *limits;
    la_usage_t usage;
    const char *left; /* of 1000 */
} settle_cases[] = {
    {"Tokens 1000/1h;Reserve 100", {LA_USAGE_RESPONSE, 7, 5, 15}, "985"},
    {"Tokens 1000/1h input;Tokens 1000/1h output", {LA_USAGE_RESPONSE, 7, 5, 15}, "993 995"},
    {"Tokens 1000/1h;Reserve 100", {LA_USAGE_RESPONSE, 700, 700, 1400}, "0"},
    {"Tokens 1000/1h;Reserve 100", {LA_USAGE_RESPONSE, 0, 0, 0}, "1000"},
    {"Tokens 1000/1h;Reserve 100", {LA_USAGE_NONE, 7, 5, 15}, "1000"},
    {"Tokens 1000/1h;Reserve 100", {LA_USAGE_ESTIMATE, 0, 5, 5}, "900"},
    {"Tokens 1000/1h output;Reserve 100", {LA_USAGE_ESTIMATE, 500, 150, 650}, "850"},
    {"Tokens 1000/1h;Reserve 100",
     {LA_USAGE_RESPONSE, UINT64_C(1) << 60, UINT64_C(1) << 60, UINT64_MAX},
     "0"},
};

static void test_settle(void **state)
{
    const struct settle_case_t *row = *state;
    la_admission_t *admission = admission_of(row->limits, "");
    const char *left = "";

    assert_int_equal(ask(admission), LA_ADMISSION_ADMITTED);
    la_admission_settle(admission, &memory, NULL, &row->usage, pool);
    la_admission_settle(admission, &memory, NULL, &row->usage, pool); /* once only */
    for (int i = 0; i < admission->count; i++) {
        la_quota_item_t *item = &admission->items[i];

        la_meter_read(memory.meters, &item->key, &item->terms, &begin, &item->reading);
        left = apr_psprintf(pool, "%s%s%d", left, i ? " " : "", (int)item->reading.left);
    }
    assert_string_equal(left, row->left);
}

/* ---- what the client is told ---- */

static struct field_case_t {
    const char *quotas;
    const char *attributes;
    int requests;
    const char *fields; /* names and values, each behind a blank; NULL: none at all */
} field_cases[] = {
    {"Requests 9/1h", "", 1,
     " RateLimit-Policy \"q.requests\";q=9;w=3600 RateLimit \"q.requests\";r=8;t=3600"
     " x-ratelimit-limit-requests 9 x-ratelimit-remaining-requests 8"
     " x-ratelimit-reset-requests 3600s"},
    {"Rate 60/1m burst=90", "", 1,
     " RateLimit-Policy \"q.rate\";q=90;w=90 RateLimit \"q.rate\";r=89;t=0"
     " x-ratelimit-limit-requests 90 x-ratelimit-remaining-requests 89"
     " x-ratelimit-reset-requests 0s"},
    {"Rate 7/1m burst=1", "", 1, /* a request takes 8571428571 ns */
     " RateLimit-Policy \"q.rate\";q=1;w=9 RateLimit \"q.rate\";r=0;t=9"
     " x-ratelimit-limit-requests 1 x-ratelimit-remaining-requests 0"
     " x-ratelimit-reset-requests 9s"},
    {"Tokens 9/1500ms", "", 1,
     " RateLimit-Policy \"q.tokens\";q=9;w=2 RateLimit \"q.tokens\";r=9;t=2"
     " x-ratelimit-limit-tokens 9 x-ratelimit-remaining-tokens 9 x-ratelimit-reset-tokens 2s"},
    {"Requests 9/1h;Requests 9/1d|Tokens 5/1h;Tokens 4/1h input", "", 1,
     " RateLimit-Policy \"q.requests\";q=9;w=3600, \"q.requests-2\";q=9;w=86400,"
     " \"r.tokens\";q=5;w=3600, \"r.tokens-2\";q=4;w=3600"
     " RateLimit \"q.requests\";r=8;t=3600, \"q.requests-2\";r=8;t=86400,"
     " \"r.tokens\";r=5;t=3600, \"r.tokens-2\";r=4;t=3600"
     " x-ratelimit-limit-requests 9 x-ratelimit-remaining-requests 8"
     " x-ratelimit-reset-requests 86400s"
     " x-ratelimit-limit-tokens 4 x-ratelimit-remaining-tokens 4 x-ratelimit-reset-tokens 3600s"},
    {"By attribute:t;Requests 2/1h", "t=a t=b", 3,
     " RateLimit-Policy \"q.requests\";q=2;w=3600 RateLimit \"q.requests\";r=0;t=3600"
     " x-ratelimit-limit-requests 2 x-ratelimit-remaining-requests 0"
     " x-ratelimit-reset-requests 3600s"},
    {"Concurrent 3", "", 1, NULL},
    {"Requests 281474976710655/3650d", "", 1,
     " RateLimit-Policy \"q.requests\";q=281474976710655;w=315360000"
     " RateLimit \"q.requests\";r=281474976710654;t=315360000"
     " x-ratelimit-limit-requests 281474976710655"
     " x-ratelimit-remaining-requests 281474976710654 x-ratelimit-reset-requests 315360000s"},
};

static void test_fields(void **state)
{
    const struct field_case_t *row = *state;
    la_admission_t *admission = NULL;
    const char *text = "";

    for (int i = 0; i < row->requests; i++) {
        admission = admission_of(row->quotas, row->attributes);
        ask(admission);
    }
    for (const char *const *at = la_admission_fields(admission, pool); *at; at++) {
        text = apr_pstrcat(pool, text, " ", *at, NULL);
    }
    assert_string_equal(text, row->fields ? row->fields : "");
}

static struct message_case_t {
    const char *quotas;
    int seconds;
    const char *message;
} message_cases[] = {
    {"Requests 1/60m", 3600, "Quota exceeded: q allows 1 requests per 60m, try again in 3600 s"},
    {"Rate 1/1m", 60, "Quota exceeded: q allows 1 requests per 1m, try again in 60 s"},
    {"Rate 4/1s burst=1", 1, "Quota exceeded: q allows 4 requests per 1s, try again in 1 s"},
    {"Tokens 5/90;Reserve 3", 90, "Quota exceeded: q allows 5 tokens per 90, try again in 90 s"},
    {"Concurrent 1", 1, "Quota exceeded: q allows 1 requests at once"},
};

static void test_message(void **state)
{
    const struct message_case_t *row = *state;
    la_admission_t *admission = admission_of(row->quotas, "");
    apr_int64_t seconds;

    ask(admission);
    admission = admission_of(row->quotas, "");
    assert_int_equal(ask(admission), LA_ADMISSION_REFUSED);
    assert_string_equal(la_admission_message(admission, pool, &seconds), row->message);
    assert_int_equal(seconds, row->seconds);
}

#define ADD_ROWS(table, function, title)                                                           \
    for (size_t i = 0; i < ROWS(table); i++) {                                                     \
        add_in_memory((table)[i].title ? (table)[i].title : "nobody", function, &(table)[i]);      \
    }

int main(void)
{
    start();
    ADD_ROWS(name_cases, test_names, by);
    ADD_ROWS(own_cases, test_own_number, attributes);
    ADD_ROWS(ask_cases, test_ask, name);
    ADD_ROWS(settle_cases, test_settle, limits);
    ADD_ROWS(field_cases, test_fields, quotas);
    ADD_ROWS(message_cases, test_message, quotas);
    add_in_memory("permits come back", test_leave, NULL);
    add_in_memory("no place for anybody", test_no_place, NULL);
    return finish("admission");
}

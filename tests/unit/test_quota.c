/* quota.c: the lines of a <LlamaAuthQuota> section, what is said of broken ones, and what limits
 * are called. */
#include "support.h"

#include "quota/quota.h"

static apr_pool_t *pool;

/* Lines of a section, joined by `;`. Returns the first error. */
static const char *read_lines(la_quota_t *quota, const char *lines)
{
    char *line_state;
    char *copy = apr_pstrdup(pool, lines);
    const char *error = NULL;

    for (char *line = apr_strtok(copy, ";", &line_state); line && !error;
         line = apr_strtok(NULL, ";", &line_state)) {
        const char *words[8];
        char *word_state;
        int count = -1;
        const char *option = NULL;

        for (char *word = apr_strtok(line, " ", &word_state); word;
             word = apr_strtok(NULL, " ", &word_state)) {
            if (count >= 0) {
                words[count] = word;
            } else {
                option = word;
            }
            count++;
        }
        error = la_quota_option(pool, quota, option, count, words);
    }
    return error ? error : la_quota_check(pool, quota);
}

typedef struct line_case_t {
    const char *lines;
    const char *error; /* what it holds; NULL: none */
} line_case_t;

static line_case_t line_cases[] = {
    {"Rate 60/1m", NULL},
    {"rate 60/1m BURST=20 From=Attribute:rate", NULL},
    {"Requests 5000/1d aligned from=attribute:n", NULL},
    {"Requests 5000/1d from=attribute:n aligned", NULL},
    {"Tokens 5/1h", NULL},
    {"Tokens 5/1h input aligned", NULL},
    {"Tokens 5/1h aligned output;Tokens 7/3650d total", NULL},
    {"Concurrent 4 from=attribute:n", NULL},
    {"Rate 281474976710655/1s", NULL},
    {"Tokens 5/1h;Reserve 5;Shared off;Outage deny;By attribute:team", NULL},
    {"Rate 1/1s;By client_ip;Outage ALLOW", NULL},
    {"Rate 281474976710656/1s", "Rate: '281474976710656/1s' does not begin with a number above 0, "
                                "as in Rate 60/1m burst=20"},
    {"Rate -1/1s", "Rate: '-1/1s' does not begin with a number"},
    {"Rate 0/1s", "number above 0"},
    {"Rate 5", "Rate: '5' has no /PERIOD, as in Rate"},
    {"Rate 5/", "has no period of at least 1s"},
    {"Rate 5/999ms", "has no period of at least 1s"},
    {"Rate 5/1w", "has no period of at least 1s"},
    {"Rate 5/99999999999d", "has no period of at least 1s"},
    {"Rate 5/-1s", "has no period of at least 1s"},
    {"Rate 5/1m 20", "Rate: '20' is not known here, as in Rate 60/1m burst=20"},
    {"Rate 5/1m aligned", "is not known here"},
    {"Rate 5/1m burst=", "Rate: 'burst=' is no number above 0"},
    {"Rate 5/1m burst=1x", "is no number above 0"},
    {"Requests 5/1m burst=1", "Requests: 'burst=1' is not known here, as in Requests 5000/1d"},
    {"Requests 5/1m input", "is not known here"},
    {"Tokens 5/1m from=teams", "Tokens: 'from=teams' is not from=attribute:CATEGORY, as in Tokens"},
    {"Tokens 5/1m from=attribute:", "is not from=attribute:CATEGORY"},
    {"Concurrent 5/1m", "Concurrent: '5/1m' is no whole number, as in Concurrent 4"},
    {"Concurrent 0", "number above 0"},
    {"Concurrent", "Concurrent: takes a limit, as in Concurrent 4"},
    {"By all;By all;Rate 1/1s", "By: stands twice"},
    {"By;Rate 1/1s", "By: takes one argument, as in By attribute:team"},
    {"By a b;Rate 1/1s", "By: takes one argument"},
    {"By attribute:;Rate 1/1s", "By: 'attribute:' is none of principal, client_id, provider"},
    {"By attribute;Rate 1/1s", "is none of"},
    {"Shared yes;Rate 1/1s", "Shared: 'yes' is neither on nor off"},
    {"Outage no;Rate 1/1s", "Outage: 'no' is none of local, allow, deny"},
    {"Reserve x;Tokens 1/1s", "Reserve: 'x' is no number of tokens, as in Reserve 1000"},
    {"Reserve 6;Tokens 7/1h;Tokens 5/1h", "Reserve: 6 is more than Tokens 5/1h allows"},
    {"Reserve 1;Rate 1/1s", "Reserve: is for quotas with a Tokens limit"},
    {"By all", "has no limit"},
    {"Limit 5", "Limit: is no option of a quota; there are By, When, Rate"},
};

static void test_lines(void **state)
{
    const line_case_t *row = *state;
    const char *error = read_lines(la_quota_make(pool, "q"), row->lines);

    if (row->error == NULL) {
        assert_null(error);
    } else {
        assert_non_null(error);
        assert_non_null(strstr(error, row->error));
    }
}

static void test_most_limits(void **state)
{
    la_quota_t *quota = la_quota_make(pool, "q");

    (void)state;
    for (int i = 0; i < 16; i++) {
        assert_null(read_lines(quota, "Rate 1/1s"));
    }
    assert_non_null(strstr(read_lines(quota, "Rate 1/1s"), "at most 16 limits"));
}

static void test_defaults(void **state)
{
    la_quota_t *quota = la_quota_make(pool, "q");
    const la_limit_t *limit;

    (void)state;
    assert_null(read_lines(quota, "Tokens 5/2m"));
    limit = &APR_ARRAY_IDX(quota->limits, 0, la_limit_t);
    assert_int_equal(quota->by, LA_QUOTA_BY_PRINCIPAL);
    assert_true(quota->shared);
    assert_int_equal(quota->outage, LA_QUOTA_OUTAGE_LOCAL);
    assert_int_equal(limit->tokens, LA_TOKENS_TOTAL);
    assert_int_equal(limit->period_us, apr_time_from_sec(120));
    assert_string_equal(limit->period, "2m");
    assert_true(la_quota_counts_tokens(quota));
}

/* Another N keeps the counter, anything else makes another one. */
static struct same_case_t {
    const char *lines;
    const char *others;
    const char *label; /* of the others */
    int is_same;
} same_cases[] = {
    {"Rate 5/1m", "Rate 9/1m burst=3", "q", 1},
    {"Requests 5/1m", "Requests 5/60s aligned from=attribute:n", "q", 1},
    {"Requests 5/1m", "Requests 5/2m", "q", 0},
    {"Requests 5/1m", "Tokens 5/1m", "q", 0},
    {"Requests 5/1m", "Requests 5/1m", "q@host:80", 0},
    {"By all;Requests 5/1m", "By principal;Requests 5/1m", "q", 0},
    {"By attribute:a;Requests 5/1m", "By attribute:b;Requests 5/1m", "q", 0},
};

static const la_limit_t *named(const char *lines, const char *label)
{
    la_quota_t *quota = la_quota_make(pool, "q");

    assert_null(read_lines(quota, lines));
    la_quota_name_limits(pool, quota, label);
    return &APR_ARRAY_IDX(quota->limits, 0, la_limit_t);
}

static void test_identity(void **state)
{
    const struct same_case_t *row = *state;
    const la_limit_t *a = named(row->lines, "q");
    const la_limit_t *b = named(row->others, row->label);

    assert_int_equal(strcmp(a->identity, b->identity) == 0, row->is_same);
}

static void test_names(void **state)
{
    static const char *const expected[] = {"q.rate",   "q.requests", "q.rate-2",
                                           "q.tokens", "q.rate-3",   "q.concurrent"};
    const la_limit_t *limits = named("Rate 1/1s;Requests 1/1s;Rate 2/1m;Tokens 1/1s;Rate 3/1h;"
                                     "Concurrent 1",
                                     "q");

    (void)state;
    for (size_t i = 0; i < ROWS(expected); i++) {
        assert_string_equal(limits[i].name, expected[i]);
    }
}

static void test_quota_names(void **state)
{
    (void)state;
    assert_null(la_quota_check_name(pool, "a_B.9-"));
    assert_non_null(la_quota_check_name(pool, ""));
    assert_non_null(la_quota_check_name(pool, "a b"));
    assert_non_null(la_quota_check_name(pool, "a:b"));
    assert_non_null(la_quota_check_name(pool, "None"));
    assert_non_null(la_quota_check_name(pool, "all"));
}

int main(void)
{
    start();
    pool = new_pool();
    for (size_t i = 0; i < ROWS(line_cases); i++) {
        add(line_cases[i].lines, test_lines, &line_cases[i]);
    }
    for (size_t i = 0; i < ROWS(same_cases); i++) {
        add(same_cases[i].others, test_identity, &same_cases[i]);
    }
    add("the most limits", test_most_limits, NULL);
    add("defaults", test_defaults, NULL);
    add("names of limits", test_names, NULL);
    add("names of quotas", test_quota_names, NULL);
    return finish("quota");
}

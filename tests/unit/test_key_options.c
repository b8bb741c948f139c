/* keys/options.c: the command line. */
#include "support.h"

#include "keys/options.h"

#define NOW   (APR_TIME_C(1798761600) * APR_USEC_PER_SEC) /* 2027-01-01T00:00:00Z */
#define DAY   (APR_TIME_C(86400) * APR_USEC_PER_SEC)
#define SHA   "6c2984e03b4d32f10c92279357e37acc8174667845cde9523136002f89ed6491"
#define KEY   "lla_jlqXE1qHtP5gPnEQk6pCSWhuSrXZevtcGMkTDojFhla4OarGC"
#define WRONG "lla_jlqXE1qHtP5gPnEQk6pCSWhuSrXZevtcGMkTDojFhla4OarGD"

/* Words, with | between them. */
typedef struct line_case_t {
    const char *line;
    const char *error; /* a part of it; NULL: sound */
} line_case_t;

static line_case_t line_cases[] = {
    {"add|f|ci", NULL},
    {"add|f|--|--ci", NULL},
    {"add|--scope=a|f|--scope|b|ci|--attribute|roles=x,y", NULL},
    {"add|f|ci|--expires|90d|--not-before|2026-12-01|--from|10.0.0.0/8|--from=::1", NULL},
    {"add|f|ci|--sha256|" SHA "|--group|www-data|--note|for \"CI\"", NULL},
    {"add|f|ci|--prefix|", NULL},
    {"rotate|f|ci|--overlap|0|--prefix|acme-prod_", NULL},
    {"list|f", NULL},
    {"list|f|--expiring|14d|--json", NULL},
    {"revoke|f|ci", NULL},
    {"disable|f|ci", NULL},
    {"enable|f|ci", NULL},
    {"check|f", NULL},
    {"verify|f", NULL},
    {"--help", NULL},
    {"add|-h", NULL},
    {"", "no such command"},
    {"Add|f|ci", "no such command: \"Add\""},
    {"add", "FILE is missing"},
    {"add|f", "ID is missing"},
    {"add||ci", "FILE is empty"},
    {"add|f|", "ID is empty"},
    {"add|f|a|b", "too many arguments"},
    {"list|f|ci", "too many arguments"},
    {"verify|f|something", "the key is read from standard input"},
    {"verify|f|" KEY, "a key does not belong"},
    {"verify|f|" WRONG, "a key does not belong"},
    {"add|f|" KEY, "a key does not belong"},
    {"add|f|ci|--note=" KEY, "a key does not belong"},
    {"add|f|ci|--note|the key (" KEY ") of a machine that has a long name",
     "a key does not belong"},
    {"add|f|ci|--note|curl -H 'Authorization: Bearer " WRONG "'", "a key does not belong"},
    {"add|f|ci|--sha256|" KEY, "a key does not belong"},
    {KEY, "a key does not belong"},
    {"add|f|a\tb", "ID holds a control character"},
    {"add|f|a\x1b[2J", "ID holds a control character"},
    {"add|f|a\x7f", "ID holds a control character"},
    {"add|f|a\xc2\x9b", "ID holds a control character"},
    {"add|f|a\xff", "ID is not UTF-8"},
    {"add|f|a\xed\xa0\x80", "ID is not UTF-8"},
    {"add|f| ci", "ID is empty, begins or ends with a blank"},
    {"add|f|ci|--principal|", "--principal is empty"},
    {"add|f|ci|--principal|a ", "--principal is empty, begins or ends with a blank"},
    {"add|f|ci|--principal|a\nb", "--principal is empty, begins or ends with a blank"},
    {"add|f|ci|--principal|\xc3", "--principal"},
    {"add|f|ci|--principal|a|--principal|b", "--principal is given twice"},
    {"add|f|ci|--principal", "--principal needs a value"},
    {"add|f|ci|--scope|a b", "--scope is one scope"},
    {"add|f|ci|--scope|a,b", "--scope is one scope"},
    {"add|f|ci|--scope=", "--scope is empty"},
    {"add|f|ci|--attribute|roles", "--attribute is not CATEGORY=VALUE"},
    {"add|f|ci|--attribute|=x", "--attribute is empty"},
    {"add|f|ci|--attribute|roles=", "--attribute is empty"},
    {"add|f|ci|--attribute|roles=a,,b", "--attribute is empty"},
    {"add|f|ci|--expires|tomorrow", "--expires is neither"},
    {"add|f|ci|--expires|2027-02-30", "--expires is neither"},
    {"add|f|ci|--expires|90 d", "--expires is neither"},
    {"add|f|ci|--expires|", "--expires is neither"},
    {"add|f|ci|--expires|-1d", "--expires is neither"},
    {"add|f|ci|--expires|90", "--expires is neither"},
    {"add|f|ci|--not-before|20270101", "--not-before is neither"},
    {"rotate|f|ci|--overlap|7", "--overlap is no duration"},
    {"list|f|--expiring|", "--expiring is no duration"},
    {"add|f|ci|--from|10.0.0.0/33", "--from is no network"},
    {"add|f|ci|--note|a\nb", "--note holds a control character"},
    {"add|f|ci|--note|a\xfe", "--note is not UTF-8"},
    {"add|f|ci|--prefix|a b", "--prefix holds"},
    {"add|f|ci|--prefix|\xc3\xa9_", "--prefix holds"},
    {"add|f|ci|--prefix|0123456789012345678901234567890_x", "--prefix has more than 32"},
    {"add|f|ci|--sha256|abc", "--sha256 is not 64 hex digits"},
    {"add|f|ci|--sha256|" SHA "0", "--sha256 is not 64 hex digits"},
    {"add|f|ci|--prefix|x_|--sha256|" SHA, "--prefix has no meaning"},
    {"add|f|ci|--json", "not an option here: \"--json\""},
    {"list|f|--overlap|7d", "not an option here: \"--overlap\""},
    {"list|f|--json=yes", "--json takes no value"},
    {"list|f|--expiring|soon", "--expiring is no duration"},
    {"list|f|--expirin|1d", "not an option here"},
    {"list|f|-j", "options begin with two dashes"},
};

static const char *parse(apr_pool_t *pool, const char *line, la_key_options_t *options)
{
    const char *words[20];
    char *rest = apr_pstrdup(pool, line);
    int count = 0;

    while (rest)
        words[count++] = strsep(&rest, "|");
    return la_key_options_parse(pool, count, words, NOW, options);
}

static void test_line(void **state)
{
    const line_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_key_options_t options;
    const char *error = parse(pool, row->line, &options);

    if (!row->error) {
        assert_null(error);
    } else {
        assert_non_null(error);
        if (!strstr(error, row->error))
            fail_msg("%s", error);
        assert_null(strstr(error, "jlqXE1q"));
    }
    apr_pool_destroy(pool);
}

static void test_nothing(void **state)
{
    apr_pool_t *pool = new_pool();
    la_key_options_t options;

    (void)state;
    assert_string_equal(la_key_options_parse(pool, 0, NULL, NOW, &options), "a command is missing");
    apr_pool_destroy(pool);
}

static void test_values(void **state)
{
    apr_pool_t *pool = new_pool();
    const la_key_attribute_t *roles;
    la_key_options_t options;

    (void)state;
    assert_null(parse(pool,
                      "add|dir/f|ci|--scope|a|--attribute|roles=x,y|--expires|90d|--not-before|"
                      "2027-01-02|--from|::1|--attribute|scopes=b",
                      &options));
    assert_int_equal(options.verb, LA_KEYS_ADD);
    assert_string_equal(options.file, "dir/f");
    assert_string_equal(options.id, "ci");
    assert_string_equal(options.principal, "ci");
    assert_string_equal(options.prefix, "lla_");
    assert_true(options.expires == NOW + 90 * DAY);
    assert_true(options.not_before == NOW + DAY);
    assert_int_equal(options.attributes->nelts, 2);
    roles = &APR_ARRAY_IDX(options.attributes, 1, la_key_attribute_t);
    assert_string_equal(roles->category, "roles");
    assert_int_equal(roles->values->nelts, 2);
    assert_string_equal(APR_ARRAY_IDX(roles->values, 1, const char *), "y");
    assert_string_equal(APR_ARRAY_IDX(options.from, 0, const char *), "::1");
    assert_null(parse(pool, "rotate|f|ci", &options));
    assert_true(options.overlap_us == 7 * DAY);
    assert_null(parse(pool, "list|f", &options));
    assert_true(options.expiring_us == -1 && !options.json);
    apr_pool_destroy(pool);
}

/* An id may be as long as a person likes. */
static void test_long_id(void **state)
{
    apr_pool_t *pool = new_pool();
    char id[301];
    const char *words[] = {"add", "f", id};
    la_key_options_t options;

    (void)state;
    memset(id, 'a', 300);
    id[300] = '\0';
    assert_null(la_key_options_parse(pool, 3, words, NOW, &options));
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(line_cases); i++)
        add(*line_cases[i].line ? line_cases[i].line : "(empty)", test_line, &line_cases[i]);
    add("nothing", test_nothing, NULL);
    add("values", test_values, NULL);
    add("a long id", test_long_id, NULL);
    return finish("key_options");
}

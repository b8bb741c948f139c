/* Purges of the cache: what goes and what stays, verdicts that were asked for before, and the log of numbered purges. */
#include "core/purge.h"

#include "caches.h"

#define LOG_LENGTH LA_PURGE_LOG_LENGTH

static unsigned char digest_of[2][LA_TOKEN_DIGEST_BYTES] = {{1}, {2}};

static la_slice_t slice(const char *text)
{
    return (la_slice_t){text, strlen(text)};
}

/* Keeps an acceptance of `principal` (NULL: one without a name) for the token whose digest begins with 1 or 2. */
static void accept_as(uint64_t number, unsigned char token, const char *principal)
{
    la_cache_times_t times = {.ttl_us = HOUR};
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    la_cache_key_t key = key_of(number);
    const la_identity_t *identity;

    if (principal) {
        la_identity_set_principal(builder, slice(principal));
    }
    assert_int_equal(la_identity_build(builder, pool, &identity), APR_SUCCESS);
    assert_int_equal(
        la_cache_accept(cache, &key, asked_for(cache, token), identity, &times, NOW_US), 1);
}

static void reject_as(uint64_t number, unsigned char token)
{
    la_cache_key_t key = key_of(number);

    la_cache_reject(cache, &key, asked_for(cache, token), "no", HOUR, NOW_US);
}

/* Entries: 1 alice with token 1, 2 bob with token 2, 3 nameless with token 1, 4 a rejection of token 2. */
static void fill(void)
{
    accept_as(1, 1, "alice");
    accept_as(2, 2, "bob");
    accept_as(3, 1, NULL);
    reject_as(4, 2);
}

static const char *client(unsigned char token, const char *before, int digits)
{
    char id[LA_CLIENT_ID_LEN + 1];

    la_token_client_id(digest_of[token - 1], id);
    return apr_psprintf(pool, "%s%.*s", before, digits, id);
}

static la_cache_e there_is(uint64_t number)
{
    la_cache_found_t found;

    return find(number, NOW_US, &found);
}

typedef struct purge_case_t {
    const char *name;
    const char *text; /* C1, C2, T1: client id of a token, nameless principal of token 1 */
    int parses;
    const char *left; /* entries that stay */
} purge_case_t;

static const purge_case_t purge_cases[] = {
    {"all", "all", 1, ""},
    {"a principal", "principal:alice", 1, "234"},
    {"a principal that nobody has", "principal:carol", 1, "1234"},
    {"the beginning of a principal", "principal:alic", 1, "1234"},
    {"a client id", "C1", 1, "24"},
    {"the other client id takes its rejection too", "C2", 1, "13"},
    {"a principal made of the client id", "T1", 1, "124"},
    {"nothing", "", 0, "1234"},
    {"all with more", "all ", 0, "1234"},
    {"no name", "principal:", 0, "1234"},
    {"a client id too short", "client_id:0123", 0, "1234"},
    {"a client id in capitals", "client_id:0123456789ABCDEF0123456789ABCDEF", 0, "1234"},
    {"another kind", "provider:corp", 0, "1234"},
};

static const char *text_of(const purge_case_t *row)
{
    if (row->text[0] == 'C') {
        return client((unsigned char)(row->text[1] - '0'), "client_id:", LA_CLIENT_ID_LEN);
    }
    return row->text[0] == 'T' ? client(1, "principal:token:", 16) : row->text;
}

static void test_purge(void **state)
{
    const purge_case_t *row = *state;
    la_purge_t purge;
    int left = (int)strlen(row->left);

    fill();
    assert_int_equal(la_purge_parse(slice(text_of(row)), &purge), row->parses);
    if (row->parses) {
        assert_int_equal(la_cache_purge(cache, &purge), 4 - left);
    }
    for (int i = 1; i <= 4; i++) {
        int there = there_is((uint64_t)i) != LA_CACHE_MISS;

        assert_int_equal(there, strchr(row->left, '0' + i) != NULL);
    }
}

static void test_asked_before(void **state)
{
    la_cache_times_t times = {.ttl_us = HOUR};
    la_cache_asked_t before = la_cache_asked(cache, digest_of[0]);
    la_purge_t carol = {LA_PURGE_PRINCIPAL, {"carol", 5}};
    la_cache_key_t key = key_of(1);

    (void)state;
    la_cache_purge(cache, &carol);
    assert_int_equal(la_cache_accept(cache, &key, &before, caller(pool, "alice"), &times, NOW_US),
                     0);
    assert_int_equal(there_is(1), LA_CACHE_MISS);
    la_cache_reject(cache, &key, &before, "no", HOUR, NOW_US);
    assert_int_equal(there_is(1), LA_CACHE_MISS);
}

/* ---- numbered purges ---- */

static int purged(apr_uint64_t since, unsigned char token, const char *principal)
{
    return la_cache_purged_since(cache, since, digest_of[token - 1], caller(pool, principal));
}

static void number(apr_uint64_t n, const char *text)
{
    la_purge_t purge;

    assert_int_equal(la_purge_parse(slice(text), &purge), 1);
    la_cache_purge_numbered(cache, &purge, n);
    la_purge_set_known(la_cache_purges(cache), n, 0);
}

static void test_numbers(void **state)
{
    (void)state;
    fill();
    assert_int_equal(purged(0, 1, "alice"), 0);
    number(1, "principal:alice");
    assert_int_equal(there_is(1), LA_CACHE_MISS);
    assert_int_equal(there_is(2), LA_CACHE_HIT);
    assert_int_equal(purged(0, 1, "alice"), 1);
    assert_int_equal(purged(0, 1, "bob"), 0);
    assert_int_equal(purged(1, 1, "alice"), 0);
    number(2, client(2, "client_id:", LA_CLIENT_ID_LEN));
    assert_int_equal(purged(1, 2, "bob"), 1);
    assert_int_equal(purged(2, 2, "bob"), 0);
    assert_int_equal(purged(1, 1, "bob"), 0);
    number(3, "all");
    assert_int_equal(purged(2, 1, "bob"), 1);
    assert_int_equal(purged(3, 1, "bob"), 0);
    assert_int_equal(purged(4, 1, "bob"), 1); /* from a future that nobody here knows */
}

static void test_forgotten_numbers(void **state)
{
    (void)state;
    for (apr_uint64_t n = 1; n <= LOG_LENGTH; n++) {
        number(n, "principal:carol");
    }
    assert_int_equal(purged(0, 1, "alice"), 0);
    number(LOG_LENGTH + 1, "principal:carol");
    assert_int_equal(purged(1, 1, "alice"), 0);
    assert_int_equal(purged(0, 1, "alice"), 1); /* the first of them is not remembered */
}

static void test_known(void **state)
{
    la_purge_log_t *log = la_cache_purges(cache);

    (void)state;
    la_purge_set_known(log, 7, 0);
    la_purge_set_known(log, 5, 0);
    assert_int_equal(la_purge_known(log), 7);
    la_purge_set_known(log, 5, 1);
    assert_int_equal(la_purge_known(log), 5);
    assert_int_equal(purged(3, 1, "alice"), 1); /* nothing is remembered of 4 and 5 */
}

static void test_turn(void **state)
{
    la_purge_log_t *log = la_cache_purges(cache);

    (void)state;
    assert_int_equal(la_purge_turn(log, NOW_US, S), 1);
    assert_int_equal(la_purge_turn(log, NOW_US + S - 1, S), 0);
    assert_int_equal(la_purge_turn(log, NOW_US + S, S), 1);
    assert_int_equal(la_purge_turn(log, NOW_US - HOUR, S), 1); /* the clock was put back */
    assert_int_equal(la_purge_turn(log, NOW_US - HOUR, S), 0);
}

static void add_here(const char *name, CMUnitTestFunction function, void *row)
{
    add(name, function, row);
    tests[test_count - 1].setup_func = make_cache;
    tests[test_count - 1].teardown_func = drop_cache;
}

int main(void)
{
    apr_initialize();
    for (size_t i = 0; i < ROWS(purge_cases); i++) {
        add_here(purge_cases[i].name, test_purge, (void *)(uintptr_t)&purge_cases[i]);
    }
    add_here("a verdict asked for before a purge is not kept", test_asked_before, NULL);
    add_here("numbered purges", test_numbers, NULL);
    add_here("numbers that are forgotten count as purged", test_forgotten_numbers, NULL);
    add_here("the last number known", test_known, NULL);
    add_here("turns to ask for news", test_turn, NULL);
    return run_added("cache_purge");
}

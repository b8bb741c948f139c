/* Purges of the cache: what goes and what stays, verdicts that were asked for before, and positions
 * among the purges of all machines. */
#include "access/token.h"
#include "lookup/purge.h"
#include "shm/purge_log.h"

#include "access/token.h"
#include "caches.h"

#include <sys/ptrace.h>

static unsigned char digest_of[2][LA_DIGEST_BYTES] = {{1}, {2}};

static la_slice_t slice(const char *text)
{
    return la_slice_of(text);
}

/* Keeps an acceptance of `principal` (NULL: one without a name) for the token whose digest begins
 * with 1 or 2. */
static void accept_as(uint64_t number, unsigned char token, const char *principal)
{
    la_cache_times_t times = {.ttl_us = HOUR};
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    la_cache_key_t key = key_of(number);
    const la_identity_t *identity;

    if (principal) {
        la_identity_set_principal(builder, slice(principal));
    }
    assert_null(la_identity_build(builder, pool, &identity));
    assert_int_equal(
        la_cache_accept(cache, &key, asked_for(cache, token), identity, &times, NOW_US), 1);
}

static void reject_as(uint64_t number, unsigned char token)
{
    la_cache_key_t key = key_of(number);

    la_cache_reject(cache, &key, asked_for(cache, token), "no", HOUR, NOW_US);
}

/* Entries: 1 alice with token 1, 2 bob with token 2, 3 nameless with token 1, 4 a rejection of
 * token 2. */
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

/* ---- positions ---- */

static la_purge_position_t at(apr_uint64_t era, apr_uint64_t number)
{
    return (la_purge_position_t){era, number};
}

static void assert_known(apr_uint64_t era, apr_uint64_t number)
{
    la_purge_position_t known = la_purge_known(la_cache_purges(cache));

    assert_int_equal(known.era, era);
    assert_int_equal(known.number, number);
}

#define ERA APR_UINT64_C(0x123456789abcdef)

typedef struct advance_case_t {
    const char *name;
    la_purge_position_t from;
    la_purge_position_t to;
    int moves;
} advance_case_t;

static const advance_case_t advance_cases[] = {
    {"the first position", {0, 0}, {ERA, 1}, 1},
    {"the next number", {ERA, 1}, {ERA, 2}, 1},
    {"a later number", {ERA, 1}, {ERA, LA_PURGE_NUMBER_MAX}, 1},
    {"the same", {ERA, 2}, {ERA, 2}, 0},
    {"an earlier number", {ERA, 2}, {ERA, 1}, 0},
    {"a later era with an earlier number", {ERA, 7}, {ERA + 1, 1}, 1},
    {"an earlier era with a later number", {ERA, 1}, {ERA - 1, 7}, 0},
    {"a later era before its first number", {ERA, 7}, {ERA + 1, 0}, 1},
    {"a later era with the same last bits", {ERA, 7}, {ERA + (1u << 28), 1}, 1},
};

static void test_advance(void **state)
{
    const advance_case_t *row = *state;
    la_purge_log_t *log = la_cache_purges(cache);
    la_purge_position_t wanted = row->moves ? row->to : row->from;

    la_purge_advance(log, row->from);
    la_purge_advance(log, row->to);
    assert_int_equal(la_purge_compare(row->to, row->from) > 0, row->moves);
    if (row->to.number > 0) {
        assert_known(wanted.era, wanted.number);
    } else {
        assert_known(wanted.era, la_purge_known(log).number);
    }
}

/* A process that dies between the two words leaves a position that is earlier, never one that is
 * later. */
static void test_half_advanced(void **state)
{
    (void)state;
    la_purge_advance(la_cache_purges(cache), at(ERA, 7));
    ((apr_uint64_t *)bytes)[1] = ERA + 1; /* the era's word */
    assert_known(ERA + 1, 0);
    la_purge_advance(la_cache_purges(cache), at(ERA, 9));
    assert_known(ERA + 1, 0);
    la_purge_advance(la_cache_purges(cache), at(ERA + 1, 1));
    assert_known(ERA + 1, 1);
}

/* Stopped at any instruction while another process goes further: what is known does not go back. */
static void test_overtaken(void **state)
{
    la_purge_log_t *log = la_cache_purges(cache);
    unsigned steps = 0;
    int runs = 1;

    (void)state;
    for (apr_uint64_t era = ERA; runs; era++, steps++) {
        int status;
        pid_t child;

        la_purge_advance(log, at(era, 7));
        child = fork();
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
                _exit(77);
            }
            raise(SIGSTOP);
            la_purge_advance(log, at(era + 1, 1));
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        for (unsigned i = 0; i < steps && WIFSTOPPED(status); i++) {
            assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
            assert_int_equal(waitpid(child, &status, 0), child);
        }
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
            print_message("no ptrace here\n");
            skip();
        }
        runs = WIFSTOPPED(status) && la_purge_known(log).number != 1;
        la_purge_advance(log, at(era + 1, 5));
        if (WIFSTOPPED(status)) {
            assert_int_equal(ptrace(PTRACE_CONT, child, NULL, NULL), 0);
            assert_int_equal(reap(child), 0);
        }
        assert_known(era + 1, 5);
    }
    assert_true(steps > 10);
}

static void test_draw(void **state)
{
    la_purge_log_t *log = la_cache_purges(cache);
    apr_uint64_t first = la_purge_draw(log, NOW_US);
    apr_uint64_t second = la_purge_draw(log, NOW_US);

    (void)state;
    assert_int_not_equal(first, second); /* once in 268 million */
    assert_true(la_purge_era_is_sound(first, NOW_US));
    la_purge_advance(log, at(first, 3));
    assert_true(la_purge_draw(log, NOW_US) > first);
    assert_true(la_purge_draw(log, NOW_US - 10 * YEAR) > first); /* the clock was put back */
    assert_true(la_purge_draw(log, 0) > first);
}

static void test_sound_eras(void **state)
{
    apr_uint64_t now = la_purge_draw(la_cache_purges(cache), NOW_US);

    (void)state;
    assert_false(la_purge_era_is_sound(0, NOW_US));
    assert_true(la_purge_era_is_sound(1, NOW_US));
    assert_true(la_purge_era_is_sound(now, NOW_US - 10 * YEAR));
    assert_true(la_purge_era_is_sound(now, 0)); /* a clock that begins in 1970 */
    assert_false(la_purge_era_is_sound(APR_INT64_MAX, NOW_US));
    assert_false(la_purge_era_is_sound(APR_UINT64_MAX, NOW_US));
}

static void test_raise(void **state)
{
    la_purge_log_t *log = la_cache_purges(cache);

    (void)state;
    la_purge_advance(log, at(la_purge_draw(log, NOW_US), 3));
    for (int i = 0; i < 3; i++) {
        la_purge_position_t before = la_purge_known(log);

        la_purge_raise(log, NOW_US);
        assert_true(la_purge_known(log).era > before.era);
        assert_int_equal(la_purge_known(log).number, 0);
    }
}

/* Another Redis, and none, are other places: what is known of one is raised above all that the
 * other can have. */
static void test_bind(void **state)
{
    la_purge_log_t *log = la_cache_purges(cache);
    la_purge_position_t here = {la_purge_draw(log, NOW_US), 5};
    _Alignas(64) unsigned char nothing[64] = {0};

    (void)state;
    assert_int_equal(la_purge_bind(log, 100, NOW_US), 0);
    assert_known(0, 0);
    la_purge_advance(log, here);
    assert_int_equal(la_purge_bind(log, 100, NOW_US), 0);
    assert_known(here.era, here.number);
    assert_int_equal(la_purge_bind(log, 200, NOW_US), 1);
    assert_true(la_purge_is_bound(log, 200) && !la_purge_is_bound(log, 100));
    assert_true(la_purge_compare(la_purge_known(log), here) > 0);
    /* Also of what a machine has drawn there whose clock is some hours ahead. */
    assert_true(la_purge_known(log).era > la_purge_draw((void *)nothing, NOW_US + 5 * HOUR));
    assert_int_equal(la_purge_bind(log, LA_PURGE_ALONE, NOW_US), 1);
    assert_int_equal(la_purge_bind(log, 200, NOW_US), 1);
}

/* A child that dies while it binds leaves it to the next; a cache that replaces another looks so
 * from the start. */
static void test_bind_again(void **state)
{
    la_purge_log_t *log = la_cache_purges(cache);

    (void)state;
    la_cache_succeed(bytes, at(UINT64_C(1) << 60, 5));
    assert_int_equal(la_cache_position(bytes).era, UINT64_C(1) << 60);
    assert_false(la_purge_is_bound(log, 100));
    assert_int_equal(la_purge_bind(log, 100, NOW_US), 1);
    assert_true(la_purge_is_bound(log, 100));
    assert_true(la_purge_known(log).era > UINT64_C(1) << 60);
}

/* A purge that another server than this one was told of raises the known position, once. */
static void test_told_elsewhere(void **state)
{
    la_purge_log_t *log = la_cache_purges(cache);
    la_purge_position_t here = {la_purge_draw(log, NOW_US), 5};
    la_purge_position_t raised;

    (void)state;
    la_purge_advance(log, here);
    assert_false(la_purge_was_told_elsewhere(log, 7, NOW_US)); /* none was told */
    la_purge_note_told(log, 7);
    assert_false(la_purge_was_told_elsewhere(log, 7, NOW_US));
    assert_known(here.era, here.number);
    assert_true(la_purge_was_told_elsewhere(log, 8, NOW_US));
    raised = la_purge_known(log);
    assert_true(la_purge_compare(raised, here) > 0);
    assert_false(la_purge_was_told_elsewhere(log, 8, NOW_US));
    assert_false(la_purge_was_told_elsewhere(log, 7, NOW_US));
    assert_known(raised.era, raised.number);
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
    for (size_t i = 0; i < ROWS(advance_cases); i++) {
        add_here(advance_cases[i].name, test_advance, (void *)(uintptr_t)&advance_cases[i]);
    }
    add_here("an advance that was cut off", test_half_advanced, NULL);
    add_here("an advance that is overtaken", test_overtaken, NULL);
    add_here("eras are drawn in order", test_draw, NULL);
    add_here("eras that can have been drawn", test_sound_eras, NULL);
    add_here("a position is raised", test_raise, NULL);
    add_here("a position is bound to a place", test_bind, NULL);
    add_here("a place is left half bound", test_bind_again, NULL);
    add_here("a purge that another server was told of", test_told_elsewhere, NULL);
    add_here("turns to ask for news", test_turn, NULL);
    return run_added("cache_purge");
}

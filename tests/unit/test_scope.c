/* Tests of src/access/scope.c, which scopes imply others, and of the lines that src/access/policy.c
 * refuses. */
#include "access/policy.h"

#include <apr_general.h>
#include <apr_strings.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static apr_pool_t *pool;

static int fresh_pool(void **state)
{
    (void)state;
    return apr_pool_create(&pool, NULL);
}

static int drop_pool(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

/* ---- lines of rules --------------------------------------------------------------- */

typedef const char *(*add_t)(apr_pool_t *pool, const la_policy_t **policy,
                             const la_policy_line_t *line);

typedef struct fault_row_t {
    const char *name;
    add_t add;
    const char *words[4];
    const char *fault; /* a part of it; NULL when the line is right */
} fault_row_t;

#define SCOPES    la_policy_add_scopes
#define ATTRIBUTE la_policy_add_attribute

static const fault_row_t fault_rows[] = {
    {"scope line: one", SCOPES, {"read"}, NULL},
    {"scope line: three", SCOPES, {"a", "b", "c"}, NULL},
    {"scope line: all", SCOPES, {"all", "a", "b"}, NULL},
    {"scope line: any", SCOPES, {"any", "a", "b"}, NULL},
    {"scope line: none", SCOPES, {"none"}, NULL},
    {"scope line: the scope none", SCOPES, {"all", "none"}, NULL},
    {"scope line: any none", SCOPES, {"any", "none", "a"}, NULL},
    {"scope line: the scope all", SCOPES, {"all", "all"}, NULL},
    {"scope line: all later is a scope", SCOPES, {"a", "all"}, NULL},
    {"scope line: None after all", SCOPES, {"all", "None"}, NULL},
    {"scope line: Nonesuch", SCOPES, {"Nonesuch"}, NULL},
    {"scope line: every sign", SCOPES, {"!#$%&'()*+-./:;<=>?@[]^_`{|}~"}, NULL},
    {"scope line: URL", SCOPES, {"https://example.com/auth/x.readonly"}, NULL},
    {"scope line: nothing", SCOPES, {NULL}, "a scope is missing"},
    {"scope line: all of nothing", SCOPES, {"all"}, "a scope is missing"},
    {"scope line: any of nothing", SCOPES, {"any"}, "a scope is missing"},
    {"scope line: none with another", SCOPES, {"none", "a"}, "none stands alone"},
    {"scope line: none behind another", SCOPES, {"a", "none"}, "none stands alone"},
    {"scope line: none twice", SCOPES, {"none", "none"}, "none stands alone"},
    {"scope line: None", SCOPES, {"None"}, "None: write none, or 'all None'"},
    {"scope line: ALL", SCOPES, {"ALL", "a"}, "ALL: write all"},
    {"scope line: Any", SCOPES, {"Any", "a"}, "Any: write any"},
    {"scope line: empty word", SCOPES, {""}, "'' is no scope"},
    {"scope line: empty word behind all", SCOPES, {"all", "a", ""}, "'' is no scope"},
    {"scope line: space", SCOPES, {"a b"}, "'a b' is no scope"},
    {"scope line: quote", SCOPES, {"a\"b"}, "is no scope"},
    {"scope line: backslash", SCOPES, {"a\\b"}, "is no scope"},
    {"scope line: control character", SCOPES, {"a\x1f"}, "is no scope"},
    {"scope line: DEL", SCOPES, {"\x7f"}, "is no scope"},
    {"scope line: UTF-8", SCOPES, {"caf\xc3\xa9"}, "is no scope"},
    {"scope line: comma", SCOPES, {"a,b"}, "'a,b' is one scope with a comma"},
    {"scope line: bad word last", SCOPES, {"a", "b", "c d"}, "'c d' is no scope"},
    {"attribute line: one value", ATTRIBUTE, {"roles", "admin"}, NULL},
    {"attribute line: values", ATTRIBUTE, {"roles", "a b", "\xc3\xa9"}, NULL},
    {"attribute line: none", ATTRIBUTE, {"none"}, NULL},
    {"attribute line: a category named none", ATTRIBUTE, {"none", "x"}, NULL},
    {"attribute line: a value named none", ATTRIBUTE, {"roles", "none"}, NULL},
    {"attribute line: a category named all", ATTRIBUTE, {"all", "x"}, NULL},
    {"attribute line: nothing", ATTRIBUTE, {NULL}, "a category and at least one value"},
    {"attribute line: no value", ATTRIBUTE, {"roles"}, "a category and at least one value"},
    {"attribute line: None", ATTRIBUTE, {"None"}, "a category and at least one value"},
    {"attribute line: empty category", ATTRIBUTE, {"", "x"}, "the category is empty"},
    {"attribute line: empty value", ATTRIBUTE, {"roles", "x", ""}, "a value is empty"},
    {"attribute line: not UTF-8", ATTRIBUTE, {"roles", "caf\xe9"}, "UTF-8"},
    {"attribute line: any value", ATTRIBUTE, {"roles", "*"}, NULL},
    {"attribute line: any value and one", ATTRIBUTE, {"roles", "a", "*"}, "* stands alone"},
};

static int count_words(const char *const words[4])
{
    int count = 0;

    while (count < 4 && words[count] != NULL)
        count++;
    return count;
}

static void test_line(void **state)
{
    const fault_row_t *row = *state;
    const la_policy_t *policy = NULL;
    la_policy_line_t line = {LA_METHODS_ALL, NULL, count_words(row->words), row->words};
    const char *fault = row->add(pool, &policy, &line);

    if (row->fault == NULL) {
        assert_null(fault);
        assert_non_null(policy);
    } else {
        assert_non_null(fault);
        assert_non_null(strstr(fault, row->fault));
        assert_null(policy);
    }
}

/* ---- scopes that imply others ------------------------------------------------------ */

static const char *add_line(la_implied_scopes_t **implied, const char *line)
{
    char **words;
    int count = 0;

    assert_int_equal(apr_tokenize_to_argv(line, &words, pool), APR_SUCCESS);
    while (words[count] != NULL) {
        count++;
    }
    return la_implied_scopes_add(pool, implied, count, (const char *const *)words);
}

static la_implied_scopes_t *lines(const char *text)
{
    la_implied_scopes_t *implied = NULL;
    char *rest = apr_pstrdup(pool, text ? text : "");
    char *state;

    for (char *line = apr_strtok(rest, ";", &state); line; line = apr_strtok(NULL, ";", &state)) {
        assert_null(add_line(&implied, line));
    }
    return implied;
}

static const la_identity_t *caller(const char *category, const char *scopes)
{
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    const la_identity_t *identity;
    char **words;

    assert_int_equal(apr_tokenize_to_argv(scopes, &words, pool), APR_SUCCESS);
    for (; *words != NULL; words++) {
        la_identity_add(builder, la_slice_of(category), la_slice_of(*words));
    }
    assert_int_equal(la_identity_build(builder, pool, &identity), APR_SUCCESS);
    return identity;
}

typedef struct row_t {
    const char *name;
    const char *main_server;
    const char *host;
    const char *held;
    const char *needed;
    int has;
} row_t;

static const row_t rows[] = {
    {"held", NULL, NULL, "a", "a", 1},
    {"not held", NULL, NULL, "a", "b", 0},
    {"implied", "a b", NULL, "a", "b", 1},
    {"one of several", "a b c d", NULL, "x a", "d", 1},
    {"not the other way", "a b", NULL, "b", "a", 0},
    {"another's", "a b", NULL, "x", "b", 0},
    {"two lines of a scope", "a b; a c", NULL, "a", "c", 1},
    {"two scopes imply one", "a c; b c", NULL, "b", "c", 1},
    {"in two steps", "a b; b c", NULL, "a", "c", 1},
    {"in two steps, the second first", "b c; a b", NULL, "a", "c", 1},
    {"in four steps, from the middle", "c d; b c; d e; a b", NULL, "a", "e", 1},
    {"in four steps, not back", "c d; b c; d e; a b", NULL, "e", "a", 0},
    {"not a sibling", "a b; a c", NULL, "b", "c", 0},
    {"a circle", "a b; b c; c a", NULL, "c", "b", 1},
    {"a circle, and on", "a b; b a; b c", NULL, "a", "c", 1},
    {"into a circle", "x a; a b; b a", NULL, "x", "b", 1},
    {"a circle does not reach who leads there", "x a; a b; b a", NULL, "b", "x", 0},
    {"itself", "a a", NULL, "b", "a", 0},
    {"case counts", "a b", NULL, "A", "b", 0},
    {"a part of a name", "a b", NULL, "ab", "b", 0},
    {"the host's line alone", NULL, "a b", "a", "b", 1},
    {"the host inherits", "a b", "x y", "a", "b", 1},
    {"the host adds", "a b", "a c", "a", "c", 1},
    {"through both", "a b", "b c", "a", "c", 1},
    {"through both, back", "b c", "a b", "a", "c", 1},
    {"a circle through both", "a b", "b a; b c", "a", "c", 1},
};

static void test_row(void **state)
{
    const row_t *row = *state;
    la_implied_scopes_t *main_server = lines(row->main_server);
    la_subject_t subject = {caller("scopes", row->held),
                            la_implied_scopes_merge(pool, main_server, lines(row->host))};
    la_subject_t others = {caller("roles", row->held), subject.implied};
    la_subject_t nobody = {NULL, subject.implied};

    assert_int_equal(la_policy_has_scope(&subject, la_slice_of(row->needed)), row->has);
    assert_int_equal(la_policy_has_scope(&others, la_slice_of(row->needed)), 0);
    assert_int_equal(la_policy_has_scope(&nobody, la_slice_of(row->needed)), 0);
}

/* What a host adds does not hold in the main server. */
static void test_merge_changes_nothing(void **state)
{
    la_implied_scopes_t *main_server = lines("a b");

    (void)state;
    la_implied_scopes_merge(pool, main_server, lines("b c"));
    assert_int_equal(la_implied_scopes_has(main_server, caller("scopes", "a"), LA_SLICE("c")), 0);
    assert_int_equal(la_implied_scopes_has(main_server, caller("scopes", "a"), LA_SLICE("b")), 1);
}

/* Adds a line of two scopes, each of one letter. */
static void add_letters(la_implied_scopes_t **implied, unsigned from, unsigned to)
{
    const char *const words[] = {apr_psprintf(pool, "%c", 'a' + (int)from),
                                 apr_psprintf(pool, "%c", 'a' + (int)to)};

    assert_null(la_implied_scopes_add(pool, implied, 2, words));
}

/* Random lines of a main server and a host, against the paths from scope to scope. */
static void test_random_lines(void **state)
{
    enum { NAMES = 6, LINES = 8 };

    (void)state;
    srandom(1);
    for (int round = 0; round < 300; round++) {
        la_implied_scopes_t *sides[2] = {NULL, NULL};
        la_implied_scopes_t *merged;
        int reaches[NAMES][NAMES] = {{0}};

        for (int i = 0; i < LINES; i++) {
            unsigned from = (unsigned)random() % NAMES;
            unsigned to = (unsigned)random() % NAMES;

            add_letters(&sides[random() & 1], from, to);
            reaches[from][to] = 1;
        }
        for (int k = 0; k < NAMES; k++) {
            for (int i = 0; i < NAMES * NAMES; i++) {
                reaches[i / NAMES][i % NAMES] |= reaches[i / NAMES][k] && reaches[k][i % NAMES];
            }
        }
        merged = la_implied_scopes_merge(pool, sides[0], sides[1]);
        for (int i = 0; i < NAMES * NAMES; i++) {
            const la_identity_t *who = caller("scopes", apr_psprintf(pool, "%c", 'a' + i / NAMES));
            la_slice_t what = la_slice_of(apr_psprintf(pool, "%c", 'a' + i % NAMES));

            assert_true(i / NAMES == i % NAMES ||
                        la_implied_scopes_has(merged, who, what) == reaches[i / NAMES][i % NAMES]);
        }
    }
}

/* A merge costs no more than the lines do: this one took minutes. */
static void test_merge_of_many(void **state)
{
    la_implied_scopes_t *main_server = NULL;
    la_implied_scopes_t *merged;

    (void)state;
    for (int i = 0; i < 200; i++) {
        const char *const words[] = {apr_psprintf(pool, "s%d", i),
                                     apr_psprintf(pool, "s%d", (i + 1) % 200)};

        assert_null(la_implied_scopes_add(pool, &main_server, 2, words));
    }
    for (int i = 0; i < 5; i++) {
        merged = la_implied_scopes_merge(pool, main_server, lines("host s0"));
        assert_true(la_implied_scopes_has(merged, caller("scopes", "host"), LA_SLICE("s199")));
    }
}

static void test_fault(void **state)
{
    la_implied_scopes_t *implied = NULL;

    (void)state;
    assert_string_equal(add_line(&implied, "a"), "takes a scope and the scopes that it implies");
    assert_non_null(add_line(&implied, "a b,c"));
    assert_non_null(add_line(&implied, "caf\xc3\xa9 b"));
    assert_null(implied);
}

/* Roles may be long chains; each line costs the scopes that it connects. */
static void test_long_chain(void **state)
{
    la_implied_scopes_t *implied = NULL;

    (void)state;
    for (int i = 300; i-- > 0;) {
        assert_null(add_line(&implied, apr_psprintf(pool, "s%d s%d", i, i + 1)));
    }
    assert_int_equal(la_implied_scopes_has(implied, caller("scopes", "s0"), LA_SLICE("s300")), 1);
    assert_int_equal(la_implied_scopes_has(implied, caller("scopes", "s300"), LA_SLICE("s0")), 0);
}

static struct CMUnitTest tests[128];
static size_t test_count;

static void add(const char *name, CMUnitTestFunction function, const void *row)
{
    tests[test_count++] =
        (struct CMUnitTest){name, function, fresh_pool, drop_pool, (void *)(uintptr_t)row};
}

int main(void)
{
    int failed;

    apr_initialize();
    for (size_t i = 0; i < ROWS(fault_rows); i++) {
        add(fault_rows[i].name, test_line, &fault_rows[i]);
    }
    for (size_t i = 0; i < ROWS(rows); i++) {
        add(rows[i].name, test_row, &rows[i]);
    }
    add("a merge changes neither side", test_merge_changes_nothing, NULL);
    add("random lines", test_random_lines, NULL);
    add("a merge of many", test_merge_of_many, NULL);
    add("faults", test_fault, NULL);
    add("a long chain", test_long_chain, NULL);
    failed = _cmocka_run_group_tests("scope", tests, test_count, NULL, NULL);
    apr_terminate();
    return failed;
}

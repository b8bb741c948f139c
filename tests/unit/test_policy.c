/* Tests of src/access/policy.c: which lines are written right, what nested sections add up to, and
 * who passes. */
#include "access/policy.h"

#include <apr_general.h>
#include <apr_strings.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* Some methods, with the last bit among them. */
#define GET  ((la_methods_t)1)
#define PUT  ((la_methods_t)1 << 1)
#define POST ((la_methods_t)1 << 2)
#define LAST ((la_methods_t)1 << 63)
#define ALL  LA_METHODS_ALL

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

/* ---- lines ------------------------------------------------------------------------ */

typedef const char *(*add_t)(apr_pool_t *pool, const la_policy_t **policy, la_methods_t methods,
                             int count, const char *const *words);

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
    const char *fault = row->add(pool, &policy, ALL, count_words(row->words), row->words);

    if (row->fault == NULL) {
        assert_null(fault);
        assert_non_null(policy);
    } else {
        assert_non_null(fault);
        assert_non_null(strstr(fault, row->fault));
        assert_null(policy);
    }
}

/* ---- sections --------------------------------------------------------------------- */

/* Rows write a section as "[METHODS] scope|attribute WORDS; ..." and nested ones with " / " between
 * them, the outermost first. METHODS is all, or names joined by `|`, with `!` in front for all but
 * these. */
typedef struct method_t {
    const char *name;
    la_methods_t bits;
} method_t;

static const method_t methods[] = {{"GET", GET}, {"PUT", PUT}, {"POST", POST}, {"LAST", LAST}};

static la_methods_t methods_of(const char *text)
{
    int inverse = *text == '!';
    la_methods_t bits = 0;
    char *state;
    char *names = apr_pstrdup(pool, text + inverse);

    for (char *name = apr_strtok(names, "|", &state); name; name = apr_strtok(NULL, "|", &state)) {
        size_t i = 0;

        while (strcmp(methods[i].name, name) != 0)
            assert_true(++i < ROWS(methods));
        bits |= methods[i].bits;
    }
    return inverse ? ~bits : bits;
}

static const char *add_line(const la_policy_t **policy, const char *line)
{
    la_methods_t covered = ALL;
    char **words;
    int count = 0;
    add_t add_words;

    assert_int_equal(apr_tokenize_to_argv(line, &words, pool), APR_SUCCESS);
    if (words[0][0] < 'a')
        covered = methods_of(*words++);
    while (words[count] != NULL)
        count++;
    add_words = strcmp(words[0], "scope") == 0 ? SCOPES : ATTRIBUTE;
    return add_words(pool, policy, covered, count - 1, (const char *const *)words + 1);
}

/* The text up to the separator, in the pool; `text` moves behind it, and is NULL after the last. */
static char *next_part(const char **text, const char *separator)
{
    const char *start = *text;
    const char *end = strstr(start, separator);

    *text = end != NULL ? end + strlen(separator) : NULL;
    return end != NULL ? apr_pstrmemdup(pool, start, (apr_size_t)(end - start))
                       : apr_pstrdup(pool, start);
}

static const la_policy_t *policy_of(const char *section)
{
    const la_policy_t *policy = NULL;

    while (section != NULL && *section != '\0')
        assert_null(add_line(&policy, next_part(&section, "; ")));
    return policy;
}

typedef struct conflict_row_t {
    const char *name;
    const char *section; /* all lines but the last stand */
    const char *fault;
} conflict_row_t;

static const conflict_row_t conflict_rows[] = {
    {"section: lines add up", "scope a; scope b", NULL},
    {"section: none and a line for other methods", "GET scope none; POST|LAST scope a", NULL},
    {"section: a line and none for other methods", "!GET scope a; GET scope none", NULL},
    {"section: two lines and none for a third method", "GET scope a; POST scope b; LAST scope none",
     NULL},
    {"section: none twice", "scope none; scope none", NULL},
    {"section: none beside a line", "scope a; scope none", "none cannot stand beside other lines"},
    {"section: a line beside none", "scope none; scope a", "no line can stand beside none"},
    {"section: one method in common", "GET|LAST scope a; POST|LAST scope none",
     "none cannot stand beside other lines"},
    {"section: none for a method of the line for all", "scope a; GET scope none",
     "none cannot stand beside other lines"},
    {"section: a line for all beside none for one", "LAST scope none; scope a",
     "no line can stand beside none"},
    {"section: attributes, none beside a line", "attribute roles a; attribute none",
     "none cannot stand beside other lines"},
};

static void test_conflict(void **state)
{
    const conflict_row_t *row = *state;
    const la_policy_t *policy = NULL;
    const la_policy_t *before = NULL;
    const char *section = row->section;
    const char *fault = NULL;

    while (section != NULL) {
        assert_null(fault);
        before = policy;
        fault = add_line(&policy, next_part(&section, "; "));
    }
    if (row->fault == NULL) {
        assert_null(fault);
        assert_ptr_not_equal(policy, before);
    } else {
        assert_non_null(fault);
        assert_non_null(strstr(fault, row->fault));
        assert_ptr_equal(policy, before);
    }
}

/* ---- who passes ------------------------------------------------------------------- */

#define NO_SCOPE(scope)        "Access denied: user does not have required scope: " scope
#define NO_ATTRIBUTE(category) "Access denied: user does not have required attribute: " category

typedef struct check_row_t {
    const char *name;
    const char *sections;
    la_methods_t method;
    const char *identity; /* "CATEGORY=VALUE ..."; NULL: none */
    int in_force;
    const char *message; /* NULL: passes */
    const char *scopes;
} check_row_t;

static const check_row_t check_rows[] = {
    {"check: no lines, no identity", "", GET, NULL, 0, NULL, NULL},
    {"check: scope held", "scope a", GET, "scopes=a", 1, NULL, "a"},
    {"check: scope missing", "scope a", GET, "scopes=b", 1, NO_SCOPE("a"), "a"},
    {"check: scope without identity", "scope a", GET, NULL, 1, NO_SCOPE("a"), "a"},
    {"check: identity without attributes", "scope a", GET, "", 1, NO_SCOPE("a"), "a"},
    {"check: another category's value", "scope a", GET, "roles=a", 1, NO_SCOPE("a"), "a"},
    {"check: scopes are case-sensitive", "scope a", GET, "scopes=A", 1, NO_SCOPE("a"), "a"},
    {"check: a prefix is not the scope", "scope a.b", GET, "scopes=a", 1, NO_SCOPE("a.b"), "a.b"},
    {"check: all held in another order", "scope a b", GET, "scopes=b scopes=a", 1, NULL, "a b"},
    {"check: all, the first missing", "scope a b", GET, "scopes=b", 1, NO_SCOPE("a"), "a b"},
    {"check: all, the second missing", "scope all a b c", GET, "scopes=a scopes=c", 1,
     NO_SCOPE("b"), "a b c"},
    {"check: all, two missing", "scope a b c", GET, "scopes=a", 1, NO_SCOPE("b"), "a b c"},
    {"check: any, the last held", "scope any a b c", GET, "scopes=c", 1, NULL, "a b c"},
    {"check: any, none held", "scope any a b c", GET, "scopes=d", 1, NO_SCOPE("a, b, c"), "a b c"},
    {"check: any of one", "scope any a", GET, "scopes=b", 1, NO_SCOPE("a"), "a"},
    {"check: the scope none", "scope all none", GET, "scopes=a", 1, NO_SCOPE("none"), "none"},
    {"check: the scope none held", "scope all none", GET, "scopes=none", 1, NULL, "none"},
    {"check: the scope all", "scope all all", GET, "scopes=any", 1, NO_SCOPE("all"), "all"},
    {"check: none alone", "scope none", GET, NULL, 0, NULL, NULL},
    {"check: both lines hold", "scope a; scope any b c", GET, "scopes=a scopes=c", 1, NULL,
     "a b c"},
    {"check: the second line fails", "scope a; scope any b c", GET, "scopes=a", 1, NO_SCOPE("b, c"),
     "a b c"},
    {"check: the first line that fails speaks", "scope a; scope b", GET, "", 1, NO_SCOPE("a"),
     "a b"},
    {"check: each scope once", "scope a b; scope any b c; scope a", GET, "", 1, NO_SCOPE("a"),
     "a b c"},
    {"check: attribute held", "attribute roles admin", GET, "roles=admin", 1, NULL, NULL},
    {"check: one of the values held", "attribute roles admin ops", GET, "roles=x roles=ops", 1,
     NULL, NULL},
    {"check: value missing", "attribute roles admin ops", GET, "roles=x", 1, NO_ATTRIBUTE("roles"),
     NULL},
    {"check: category missing", "attribute roles admin", GET, "teams=admin", 1,
     NO_ATTRIBUTE("roles"), NULL},
    {"check: attribute without identity", "attribute roles admin", GET, NULL, 1,
     NO_ATTRIBUTE("roles"), NULL},
    {"check: attributes all hold", "attribute roles a; attribute teams b", GET, "roles=a teams=b",
     1, NULL, NULL},
    {"check: second attribute fails", "attribute roles a; attribute teams b", GET,
     "roles=a roles=b", 1, NO_ATTRIBUTE("teams"), NULL},
    {"check: any value held", "attribute roles *", GET, "roles=x", 1, NULL, NULL},
    {"check: any value of none", "attribute roles *", GET, "teams=x", 1, NO_ATTRIBUTE("roles"),
     NULL},
    {"check: any value, no identity", "attribute x *", GET, NULL, 1, NO_ATTRIBUTE("x"), NULL},
    {"check: attribute none", "attribute none", GET, NULL, 0, NULL, NULL},
    {"check: the category none", "attribute none x", GET, "", 1, NO_ATTRIBUTE("none"), NULL},
    {"method: covered", "POST scope a", POST, "", 1, NO_SCOPE("a"), "a"},
    {"method: not covered", "POST scope a", GET, "", 0, NULL, NULL},
    {"method: the last bit", "LAST scope a", LAST, "", 1, NO_SCOPE("a"), "a"},
    {"method: all but the last bit", "!LAST scope a", LAST, "", 0, NULL, NULL},
    {"method: the last bit in all", "scope a", LAST, "", 1, NO_SCOPE("a"), "a"},
    {"method: each its own line", "GET scope a; POST scope b", POST, "scopes=a", 1, NO_SCOPE("b"),
     "b"},
    {"method: none for one, a line for the rest", "!GET scope a; GET scope none", GET, NULL, 0,
     NULL, NULL},
    {"method: and the rest", "!GET scope a; GET scope none", PUT, NULL, 1, NO_SCOPE("a"), "a"},
    {"nested: parent alone", "scope a / ", GET, "", 1, NO_SCOPE("a"), "a"},
    {"nested: section alone", " / scope b", GET, "", 1, NO_SCOPE("b"), "b"},
    {"nested: section replaces", "scope a / scope b", GET, "scopes=b", 1, NULL, "b"},
    {"nested: section replaces every line", "scope a; scope c / scope b", GET, "", 1, NO_SCOPE("b"),
     "b"},
    {"nested: none clears", "scope a / scope none", GET, NULL, 0, NULL, NULL},
    {"nested: a line for POST leaves GET", "scope a / POST scope b", GET, "", 1, NO_SCOPE("a"),
     "a"},
    {"nested: and replaces POST", "scope a / POST scope b", POST, "scopes=a", 1, NO_SCOPE("b"),
     "b"},
    {"nested: none for POST leaves GET", "scope a / POST scope none", GET, "", 1, NO_SCOPE("a"),
     "a"},
    {"nested: and clears POST", "scope a / POST scope none", POST, "", 0, NULL, NULL},
    {"nested: none for the last bit", "scope a / LAST scope none", LAST, "", 0, NULL, NULL},
    {"nested: parent's GET survives a line for the rest",
     "GET scope a; POST scope c / !GET scope b", GET, "", 1, NO_SCOPE("a"), "a"},
    {"nested: parent's POST does not", "GET scope a; POST scope c / !GET scope b", POST, "scopes=c",
     1, NO_SCOPE("b"), "b"},
    {"nested: parent's none under a line for others", "GET scope none / POST scope b", GET, "", 0,
     NULL, NULL},
    {"nested: three deep, the middle one's method", "scope a / GET|PUT scope b / GET scope c", PUT,
     "", 1, NO_SCOPE("b"), "b"},
    {"nested: three deep, the innermost's", "scope a / GET scope b / GET scope c", GET, "", 1,
     NO_SCOPE("c"), "c"},
    {"nested: three deep, the outermost's", "scope a / GET scope b / GET scope c", LAST, "", 1,
     NO_SCOPE("a"), "a"},
    {"nested: none in the middle clears for good", "scope a / POST scope none / GET scope c", POST,
     "", 0, NULL, NULL},
    {"nested: demanded again below none", "scope a / scope none / GET scope c", GET, "", 1,
     NO_SCOPE("c"), "c"},
    {"nested: and only for its methods", "scope a / scope none / GET scope c", POST, "", 0, NULL,
     NULL},
    {"nested: attributes", "attribute roles a / POST attribute roles b", GET, "roles=b", 1,
     NO_ATTRIBUTE("roles"), NULL},
};

static const la_identity_t *identity_of(const char *text)
{
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    const la_identity_t *identity;
    char **pairs;

    if (text == NULL)
        return NULL;
    assert_int_equal(apr_tokenize_to_argv(text, &pairs, pool), APR_SUCCESS);
    for (; *pairs != NULL; pairs++) {
        const char *equals = strchr(*pairs, '=');

        la_identity_add(builder, (la_slice_t){*pairs, (apr_size_t)(equals - *pairs)},
                        (la_slice_t){equals + 1, strlen(equals + 1)});
    }
    assert_int_equal(la_identity_build(builder, pool, &identity), APR_SUCCESS);
    return identity;
}

static void assert_policy(const la_policy_t *policy, const check_row_t *row)
{
    const char *message = "unset";
    const char *scopes = la_policy_scopes(pool, policy, row->method);
    int passes = la_policy_check(pool, policy, row->method, identity_of(row->identity), &message);

    assert_int_equal(la_policy_in_force(policy, row->method), row->in_force);
    assert_int_equal(passes, row->message == NULL);
    if (row->message == NULL)
        assert_null(message);
    else
        assert_string_equal(message, row->message);
    if (row->scopes == NULL)
        assert_null(scopes);
    else
        assert_string_equal(scopes, row->scopes);
}

/* httpd merges from the outside inwards, but also inner sections first: both must come to the same.
 */
static void test_check(void **state)
{
    const check_row_t *row = *state;
    const char *rest = row->sections;
    const la_policy_t *outer = policy_of(next_part(&rest, " / "));
    const la_policy_t *middle = rest != NULL ? policy_of(next_part(&rest, " / ")) : NULL;
    const la_policy_t *inner = policy_of(rest);

    assert_policy(la_policy_merge(pool, la_policy_merge(pool, outer, middle), inner), row);
    assert_policy(la_policy_merge(pool, outer, la_policy_merge(pool, middle, inner)), row);
}

/* Merging costs memory only where both sides have something left to say. */
static void test_merge_returns_inputs(void **state)
{
    const la_policy_t *all = policy_of("scope a");
    const la_policy_t *none = policy_of("scope none");
    const la_policy_t *get = policy_of("GET scope b");
    const la_policy_t *merged;

    (void)state;
    assert_null(la_policy_merge(pool, NULL, NULL));
    assert_ptr_equal(la_policy_merge(pool, all, NULL), all);
    assert_ptr_equal(la_policy_merge(pool, NULL, all), all);
    assert_ptr_equal(la_policy_merge(pool, get, all), all);
    assert_ptr_equal(la_policy_merge(pool, all, none), none);
    assert_ptr_equal(la_policy_merge(pool, get, get), get);
    merged = la_policy_merge(pool, all, get);
    assert_ptr_not_equal(merged, all);
    assert_ptr_not_equal(merged, get);
}

/* A policy is not changed by what is made of it. */
static void test_inputs_stay(void **state)
{
    const la_policy_t *all = policy_of("scope a");
    const la_policy_t *more = all;
    const char *message;

    (void)state;
    assert_null(add_line(&more, "scope b"));
    la_policy_merge(pool, all, policy_of("GET scope none"));
    assert_int_equal(la_policy_check(pool, all, GET, identity_of("scopes=a"), &message), 1);
    assert_int_equal(la_policy_check(pool, more, GET, identity_of("scopes=a"), &message), 0);
    assert_string_equal(message, NO_SCOPE("b"));
}

static void test_words_are_copied(void **state)
{
    char scope[] = "read";
    const char *const words[] = {scope};
    const la_policy_t *policy = NULL;
    const char *message;

    (void)state;
    assert_null(la_policy_add_scopes(pool, &policy, ALL, 1, words));
    memcpy(scope, "XXXX", 4);
    assert_int_equal(la_policy_check(pool, policy, GET, NULL, &message), 0);
    assert_string_equal(message, NO_SCOPE("read"));
}

/* A line for no method demands and covers nothing. */
static void test_no_methods(void **state)
{
    const char *const words[] = {"a"};
    const la_policy_t *policy = NULL;
    const la_policy_t *all = policy_of("scope b");

    (void)state;
    assert_null(la_policy_add_scopes(pool, &policy, 0, 1, words));
    assert_int_equal(la_policy_in_force(policy, ALL), 0);
    assert_ptr_equal(la_policy_merge(pool, all, policy), all);
    assert_ptr_equal(la_policy_merge(pool, policy, all), all);
}

/* ---- running ---------------------------------------------------------------------- */

static struct CMUnitTest tests[256];
static size_t test_count;

static void add(const char *name, CMUnitTestFunction function, const void *row)
{
    tests[test_count++] =
        (struct CMUnitTest){name, function, fresh_pool, drop_pool, (void *)(uintptr_t)row};
}

#define ADD_ROWS(rows, function)                                                                   \
    for (size_t i = 0; i < ROWS(rows); i++)                                                        \
    add((rows)[i].name, function, &(rows)[i])

int main(void)
{
    int failed;

    apr_initialize();
    ADD_ROWS(fault_rows, test_line);
    ADD_ROWS(conflict_rows, test_conflict);
    ADD_ROWS(check_rows, test_check);
    add("merge: returns an input where it can", test_merge_returns_inputs, NULL);
    add("merge: inputs stay as they are", test_inputs_stay, NULL);
    add("line: words are copied", test_words_are_copied, NULL);
    add("line: no methods", test_no_methods, NULL);
    failed = _cmocka_run_group_tests("policy", tests, test_count, NULL, NULL);
    apr_terminate();
    return failed;
}

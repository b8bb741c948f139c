/* Tests of src/access/policy.c: what nested sections add up to, and who passes. Which lines are
 * refused is in test_scope.c. */
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

typedef const char *(*add_t)(apr_pool_t *pool, const la_policy_t **policy,
                             const la_policy_line_t *line);

#define SCOPES    la_policy_add_scopes
#define ATTRIBUTE la_policy_add_attribute

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
    return add_words(
        pool, policy,
        &(la_policy_line_t){covered, "httpd.conf:7", count - 1, (const char *const *)words + 1});
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
    int applies;
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
    {"check: any, the last held", "scope any a b c", GET, "scopes=c", 1, NULL, "a"},
    {"check: any, none held", "scope any a b c", GET, "scopes=d", 1, NO_SCOPE("a, b, c"), "a"},
    {"check: any of one", "scope any a", GET, "scopes=b", 1, NO_SCOPE("a"), "a"},
    {"check: the scope none", "scope all none", GET, "scopes=a", 1, NO_SCOPE("none"), "none"},
    {"check: the scope none held", "scope all none", GET, "scopes=none", 1, NULL, "none"},
    {"check: the scope all", "scope all all", GET, "scopes=any", 1, NO_SCOPE("all"), "all"},
    {"check: none alone", "scope none", GET, NULL, 0, NULL, NULL},
    {"check: both lines hold", "scope a; scope any b c", GET, "scopes=a scopes=c", 1, NULL, "a b"},
    {"check: the second line fails", "scope a; scope any b c", GET, "scopes=a", 1, NO_SCOPE("b, c"),
     "a b"},
    {"check: the first line that fails speaks", "scope a; scope b", GET, "", 1, NO_SCOPE("a"),
     "a b"},
    {"check: each scope once", "scope a b; scope any b c; scope c a", GET, "", 1, NO_SCOPE("a"),
     "a b c"},
    {"check: of any its first, though another is needed", "scope b; scope any a b", GET, "", 1,
     NO_SCOPE("b"), "b a"},
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
    assert_null(la_identity_build(builder, pool, &identity));
    return identity;
}

static void assert_policy(const la_policy_t *policy, const check_row_t *row)
{
    la_subject_t subject = {identity_of(row->identity), NULL};
    la_policy_refusal_t refusal = {"unset", "unset"};
    const char *scopes = la_policy_scopes(pool, policy, row->method);
    int passes = la_policy_check(pool, policy, row->method, &subject, &refusal);

    assert_int_equal(la_policy_applies(policy, row->method), row->applies);
    assert_int_equal(passes, row->message == NULL);
    if (row->message == NULL) {
        assert_null(refusal.message);
        assert_null(refusal.reason);
    } else {
        assert_string_equal(refusal.message, row->message);
        assert_non_null(strstr(refusal.reason, "the line at httpd.conf:7 needs "));
    }
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
    la_subject_t subject = {identity_of("scopes=a"), NULL};
    la_policy_refusal_t refusal;

    (void)state;
    assert_null(add_line(&more, "scope b"));
    la_policy_merge(pool, all, policy_of("GET scope none"));
    assert_int_equal(la_policy_check(pool, all, GET, &subject, &refusal), 1);
    assert_int_equal(la_policy_check(pool, more, GET, &subject, &refusal), 0);
    assert_string_equal(refusal.message, NO_SCOPE("b"));
}

static void test_words_are_copied(void **state)
{
    char scope[] = "read";
    const char *const words[] = {scope};
    const la_policy_t *policy = NULL;
    const la_subject_t nobody = {0};
    la_policy_refusal_t refusal;

    (void)state;
    assert_null(la_policy_add_scopes(pool, &policy, &(la_policy_line_t){ALL, NULL, 1, words}));
    memcpy(scope, "XXXX", 4);
    assert_int_equal(la_policy_check(pool, policy, GET, &nobody, &refusal), 0);
    assert_string_equal(refusal.message, NO_SCOPE("read"));
}

typedef struct reason_row_t {
    const char *name;
    const char *section;
    const char *identity;
    const char *reason;
} reason_row_t;

#define AT_LINE(needs, has) "the line at httpd.conf:7 needs " needs ", and the caller has " has

static const reason_row_t reason_rows[] = {
    {"reason: all", "scope a b", "scopes=a scopes=c", AT_LINE("all of a, b in scopes", "a,c")},
    {"reason: any", "scope any a b", "scopes=c", AT_LINE("one of a, b in scopes", "c")},
    {"reason: no scopes", "scope a", "roles=x", AT_LINE("all of a in scopes", "nothing")},
    {"reason: nobody", "scope a", NULL, AT_LINE("all of a in scopes", "nothing")},
    {"reason: values", "attribute roles a b", "roles=x", AT_LINE("one of a, b in roles", "x")},
    {"reason: any value", "attribute roles *", "scopes=x",
     AT_LINE("any value: * in roles", "nothing")},
    {"reason: a line break in a value", "scope a", "\"scopes=b\nLA0001\"",
     AT_LINE("all of a in scopes", "b%0ALA0001")},
    {"reason: the second line", "scope b; attribute roles a", "scopes=b",
     AT_LINE("one of a in roles", "nothing")},
};

static void test_reason(void **state)
{
    const reason_row_t *row = *state;
    la_subject_t subject = {identity_of(row->identity), NULL};
    la_policy_refusal_t refusal;

    assert_int_equal(la_policy_check(pool, policy_of(row->section), GET, &subject, &refusal), 0);
    assert_string_equal(refusal.reason, row->reason);
}

/* A line for no method demands and covers nothing. */
static void test_no_methods(void **state)
{
    const char *const words[] = {"a"};
    const la_policy_t *policy = NULL;
    const la_policy_t *all = policy_of("scope b");

    (void)state;
    assert_null(la_policy_add_scopes(pool, &policy, &(la_policy_line_t){0, NULL, 1, words}));
    assert_int_equal(la_policy_applies(policy, ALL), 0);
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
    ADD_ROWS(conflict_rows, test_conflict);
    ADD_ROWS(check_rows, test_check);
    ADD_ROWS(reason_rows, test_reason);
    add("merge: returns an input where it can", test_merge_returns_inputs, NULL);
    add("merge: inputs stay as they are", test_inputs_stay, NULL);
    add("line: words are copied", test_words_are_copied, NULL);
    add("line: no methods", test_no_methods, NULL);
    failed = _cmocka_run_group_tests("policy", tests, test_count, NULL, NULL);
    apr_terminate();
    return failed;
}

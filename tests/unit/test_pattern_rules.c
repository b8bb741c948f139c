/* pattern_rules.c: patterns of models and MCP operations, their lines, and who may name what. */
#include "support.h"

#include "access/pattern_rules.h"

/* ---- patterns ---- */

static struct {
    const char *pattern;
    const char *text;
    int matches;
} patterns[] = {
    {"a", "a", 1},         {"a", "A", 0},         {"a", "ab", 0},      {"a", "", 0},
    {"", "", 1},           {"", "a", 0},          {"*", "", 1},        {"*", "a/b:c", 1},
    {"a*", "a", 1},        {"a*", "abc", 1},      {"a*", "ba", 0},     {"*a", "ba", 1},
    {"*a", "bab", 0},      {"a*b", "ab", 1},      {"a*b", "axxb", 1},  {"a*b", "axbx", 0},
    {"a*b*c", "abbc", 1},  {"a*b*c", "acbc", 1},  {"a*b*c", "acb", 0}, {"**", "x", 1},
    {"*a*a*", "aa", 1},    {"*a*a*", "a", 0},     {"a?c", "abc", 0},   {"[a]", "a", 0},
    {"gpt-*", "gpt-4", 1}, {"gpt-*", "GPT-4", 0}, {"a.b", "axb", 0},   {"a\\*", "a\\b", 1},
    {"*ab", "aab", 1},     {"*aab", "aaab", 1},   {"a*", "*", 0},      {"*", "*", 1},
};

static void test_patterns(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(patterns); i++) {
        la_slice_t text = la_slice_of(patterns[i].text);

        if (la_pattern_matches(la_slice_of(patterns[i].pattern), text) != patterns[i].matches) {
            fail_msg("%s and %s", patterns[i].pattern, patterns[i].text);
        }
    }
}

static struct {
    const char *uri;
    int has_dots;
} uris[] = {
    {"", 0},
    {"file:///public/a", 0},
    {"file:///public/../a", 1},
    {"file:///public/./a", 1},
    {"file:///public/..", 1},
    {"file:///public/.", 1},
    {"..", 1},
    {".", 1},
    {"../a", 1},
    {"file:../a", 1},
    {"file:///a/%2e%2e/b", 1},
    {"file:///a/%2E./b", 1},
    {"file:///a/.%2e", 1},
    {"file:///a%2f..%2Fb", 1},
    {"file:///a%2f%2e%2e", 1},
    {"file:///a\\..\\b", 1},
    {"file:///a%5c..%5Cb", 1},
    {"file:///a/..?x", 1},
    {"file:///a/..#x", 1},
    {"file:///a/..;x", 1},
    {"file:///a/...", 0},
    {"file:///a/..b", 0},
    {"file:///a/b..", 0},
    {"file:///a.b/.c", 0},
    {"file:///a/%2", 0},
    {"file:///a/%2e%2", 0},
    {"db://host/1.2.3", 0},
};

static void test_dots(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(uris); i++) {
        if (la_operation_has_dots(la_slice_of(uris[i].uri)) != uris[i].has_dots) {
            fail_msg("%s", uris[i].uri);
        }
    }
}

/* ---- lines ---- */

typedef const char *add_fn(apr_pool_t *pool, const la_policy_t **policy,
                           const la_policy_line_t *line);

static const char *add_line(apr_pool_t *pool, const la_policy_t **policy, add_fn *add_rule,
                            const char *text)
{
    const char *words[8];
    int count = 0;
    char *rest = apr_pstrdup(pool, text);

    for (char *word = apr_strtok(rest, " ", &rest); word; word = apr_strtok(NULL, " ", &rest)) {
        words[count++] = word;
    }
    return add_rule(pool, policy, &(la_policy_line_t){LA_METHODS_ALL, "f:1", count, words});
}

static struct {
    add_fn *add_rule;
    const char *line;
    int is_good;
} lines[] = {
    {la_policy_add_models, "a b*", 1},
    {la_policy_add_models, "none", 1},
    {la_policy_add_models, "attribute:models x", 1},
    {la_policy_add_models, "", 0},
    {la_policy_add_models, "a none", 0},
    {la_policy_add_models, "None", 0},
    {la_policy_add_models, "attribute:", 0},
    {la_policy_add_models, "Attribute:models", 0},
    {la_policy_add_models, "a\x01", 0},
    {la_policy_add_models, "a\xFF", 0},
    {la_policy_add_operations, "tools/call:x ping", 1},
    {la_policy_add_operations, "none", 1},
    {la_policy_add_operations, "", 0},
    {la_policy_add_operation_scopes, "tools/call:x a b", 1},
    {la_policy_add_operation_scopes, "none", 1},
    {la_policy_add_operation_scopes, "tools/call:x", 0},
    {la_policy_add_operation_scopes, "attribute:x a", 0},
    {la_policy_add_operation_scopes, "tools/call:x a,b", 0},
    {la_policy_add_operation_scopes, "", 0},
};

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(lines); i++) {
        apr_pool_t *pool = new_pool();
        const la_policy_t *policy = NULL;
        const char *fault = add_line(pool, &policy, lines[i].add_rule, lines[i].line);

        if ((fault == NULL) != lines[i].is_good) {
            fail_msg("%s: %s", lines[i].line, fault ? fault : "accepted");
        }
        apr_pool_destroy(pool);
    }
}

/* ---- callers ---- */

typedef struct case_t {
    const char *name;
    const char *line;  /* of RequireModel or RequireMcp; two lines with ; between */
    const char *value; /* the caller's of the category x, or NULL */
    const char *asked; /* a model, or METHOD, or METHOD NAME */
    int is_operation;
    int is_allowed;
} case_t;

static case_t cases[] = {
    {"model", "a b", NULL, "b", 0, 1},
    {"another model", "a b", NULL, "c", 0, 0},
    {"both lines", "a*;*b", NULL, "ab", 0, 1},
    {"one of two lines", "a*;*b", NULL, "aa", 0, 0},
    {"value", "attribute:x", "a*", "ab", 0, 1},
    {"another value", "attribute:x", "a*", "b", 0, 0},
    {"no value", "attribute:x", NULL, "a", 0, 0},
    {"value or pattern", "attribute:x b", "a", "b", 0, 1},
    {"a value is no attribute word", "attribute:x", "attribute:x", "a", 0, 0},
    {"two models for one star", "a*", NULL, "a,b", 0, 0},
    {"two models for a star alone", "*", NULL, "a,b", 0, 1},
    {"two models for a value", "attribute:x", "a*", "a,b", 0, 0},
    {"two models that the pattern names", "a*,b", NULL, "ax,b", 0, 1},
    {"two models for two stars", "*,*", NULL, "a,b", 0, 1},
    {"three models for two stars", "*,*", NULL, "a,b,c", 0, 0},
    {"one model for two stars", "*,*", NULL, "a", 0, 0},
    {"a comma at the end", "a*", NULL, "a,", 0, 0},
    {"a comma in a tool's name", "tools/call:a*", NULL, "tools/call a,b", 1, 1},
    {"method", "tools/list", NULL, "tools/list", 1, 1},
    {"another method", "tools/list", NULL, "tools/call", 1, 0},
    {"all names", "tools/call", NULL, "tools/call a", 1, 1},
    {"name", "tools/call:a", NULL, "tools/call a", 1, 1},
    {"another name", "tools/call:a", NULL, "tools/call b", 1, 0},
    {"name in another case", "tools/call:a", NULL, "tools/call A", 1, 0},
    {"star", "tools/call:a*", NULL, "tools/call ab", 1, 1},
    {"no name", "tools/call:a", NULL, "tools/call", 1, 0},
    {"star and no name", "tools/call:*", NULL, "tools/call", 1, 1},
    {"star of methods", "tools/*", NULL, "tools/call a", 1, 1},
    {"a colon in the method", "tools/call:a", NULL, "tools/call:a", 1, 0},
    {"uri", "resources/read:file:///public/*", NULL, "resources/read file:///public/x", 1, 1},
    {"another uri", "resources/read:file:///public/*", NULL, "resources/read file:///x", 1, 0},
    {"tool of a value", "attribute:x", "a*", "tools/call ab", 1, 1},
    {"a value is a tool", "attribute:x", "a*", "prompts/get ab", 1, 0},
    {"operation of a value", "attribute:x", "prompts/get:a*", "prompts/get ab", 1, 1},
    {"initialize", "tools/list", NULL, "initialize", 1, 1},
    {"ping", "tools/list", NULL, "ping", 1, 1},
    {"discover", "tools/list", NULL, "server/discover", 1, 1},
    {"notification", "tools/list", NULL, "notifications/initialized", 1, 1},
    {"answer", "tools/list", NULL, "", 1, 1},
    {"initialize in another case", "tools/list", NULL, "Initialize", 1, 0},
};

static const la_identity_t *identity_of(apr_pool_t *pool, const char *category, const char *values)
{
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    char *rest = apr_pstrdup(pool, values ? values : "");
    const la_identity_t *identity;

    for (char *value = apr_strtok(rest, " ", &rest); value; value = apr_strtok(NULL, " ", &rest)) {
        la_identity_add(builder, la_slice_of(category), la_slice_of(value));
    }
    assert_null(la_identity_build(builder, pool, &identity));
    return identity;
}

static la_operation_t operation_of(apr_pool_t *pool, const char *text)
{
    const char *blank = strchr(text, ' ');
    la_operation_t operation = {la_slice_of(text), {"", 0}};

    if (blank) {
        operation.method = la_slice_of(apr_pstrmemdup(pool, text, (apr_size_t)(blank - text)));
        operation.name = la_slice_of(blank + 1);
    }
    return operation;
}

static void test_caller(void **state)
{
    const case_t *row = *state;
    apr_pool_t *pool = new_pool();
    const la_subject_t subject = {identity_of(pool, "x", row->value), NULL};
    const la_subject_t nobody = {NULL, NULL};
    la_operation_t operation = operation_of(pool, row->asked);
    la_asked_t asked = {&subject, la_slice_of(row->asked), row->is_operation ? &operation : NULL};
    const la_policy_t *policy = NULL;
    char *rest = apr_pstrdup(pool, row->line);
    la_policy_refusal_t refusal = {NULL, NULL};

    for (char *line = apr_strtok(rest, ";", &rest); line; line = apr_strtok(NULL, ";", &rest)) {
        assert_null(add_line(pool, &policy,
                             row->is_operation ? la_policy_add_operations : la_policy_add_models,
                             line));
    }
    assert_int_equal((row->is_operation ? la_policy_check_operation
                                        : la_policy_check_model)(pool, policy, 1, &asked, &refusal),
                     row->is_allowed);
    assert_true(row->is_allowed || (refusal.message && refusal.reason));
    if (row->value && row->is_allowed && strcmp(row->line, "attribute:x") == 0) {
        asked.subject = &nobody;
        assert_false((row->is_operation ? la_policy_check_operation : la_policy_check_model)(
            pool, policy, 1, &asked, &refusal));
    }
    apr_pool_destroy(pool);
}

/* ---- scopes of operations ---- */

typedef struct scopes_t {
    const char *name;
    const char *asked;
    const char *scopes; /* the caller's */
    const char *needed; /* of the challenge, beside `base` */
    const char *missing;
} scopes_t;

static scopes_t scopes[] = {
    {"no line", "tools/list", "", "base", NULL},
    {"one line", "tools/call read_x", "", "base r", "r"},
    {"one line, held", "tools/call read_x", "r", "base r", NULL},
    {"two lines", "tools/call delete_x", "w", "base w d base2", "d"},
    {"two lines, held", "tools/call delete_x", "w d base2", "base w d base2", NULL},
    {"in order", "tools/call delete_x", "", "base w d base2", "w"},
    {"covered ping", "ping", "", "base", NULL},
    {"covered notification", "notifications/x", "", "base", NULL},
    {"named initialize", "initialize", "", "base i", "i"},
    {"named initialize, held", "initialize", "i", "base i", NULL},
    {"answer", "", "", "base", NULL},
    {"covered other", "other/x", "", "base o", "o"},
};

static void test_scopes(void **state)
{
    const scopes_t *row = *state;
    apr_pool_t *pool = new_pool();
    const la_subject_t subject = {identity_of(pool, "scopes", row->scopes), NULL};
    la_operation_t operation = operation_of(pool, row->asked);
    const la_asked_t asked = {&subject, {"", 0}, &operation};
    const la_policy_t *policy = NULL;
    la_policy_refusal_t refusal = {NULL, NULL};
    add_fn *add_scopes = la_policy_add_operation_scopes;

    assert_null(add_line(pool, &policy, add_scopes, "tools/call:read_* r"));
    assert_null(add_line(pool, &policy, add_scopes, "tools/call:*e_* w"));
    assert_null(add_line(pool, &policy, add_scopes, "tools/call:delete_* w d base2"));
    assert_null(add_line(pool, &policy, add_scopes, "initialize i"));
    assert_null(add_line(pool, &policy, add_scopes, "*ing o"));
    assert_null(add_line(pool, &policy, add_scopes, "notif* o"));
    assert_null(add_line(pool, &policy, add_scopes, "other/* o"));
    assert_int_equal(la_policy_check_operation_scopes(pool, policy, 1, &asked, &refusal),
                     row->missing == NULL);
    if (row->missing) {
        assert_string_equal(refusal.message,
                            apr_pstrcat(pool, "Access denied: user does not have required scope: ",
                                        row->missing, NULL));
    }
    assert_string_equal(la_policy_operation_scopes(pool, policy, 1, &operation, "base"),
                        row->needed);
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    add("patterns", test_patterns, NULL);
    add("dot segments", test_dots, NULL);
    add("lines", test_lines, NULL);
    for (size_t i = 0; i < ROWS(cases); i++) {
        add(cases[i].name, test_caller, &cases[i]);
    }
    for (size_t i = 0; i < ROWS(scopes); i++) {
        add(scopes[i].name, test_scopes, &scopes[i]);
    }
    return finish("pattern_rules");
}

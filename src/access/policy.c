/* Lines are added while the configuration (or an .htaccess) is read. Merges and checks run in
 * requests, on any thread; they change no policy. */
#include "access/policy_layout.h"

#include "access/origin.h"
#include "base/json_scan.h"

#include <apr_cstr.h>
#include <apr_strings.h>

static la_policy_t *make_policy(apr_pool_t *pool, apr_size_t capacity)
{
    la_policy_t *policy = apr_palloc(pool, sizeof(*policy) + capacity * sizeof(entry_t));

    *policy = (la_policy_t){0};
    return policy;
}

static void append_entry(la_policy_t *policy, la_methods_t methods, const rule_t *rule)
{
    policy->entries[policy->count++] = (entry_t){methods, rule};
    policy->demanded |= methods;
}

/* Appends another policy's entries, for all methods except those. */
static void append_entries(la_policy_t *policy, const la_policy_t *from, la_methods_t except)
{
    for (apr_size_t i = 0; i < from->count; i++) {
        la_methods_t methods = from->entries[i].methods & ~except;

        if (methods != 0) {
            append_entry(policy, methods, from->entries[i].rule);
        }
    }
    policy->covered |= from->covered;
}

/* ---- lines ------------------------------------------------------------------ */

const char *la_policy_place(const rule_t *rule)
{
    return rule->place ? rule->place : "an unknown place";
}

/* Makes a rule of a line. In `pool`, with copies of all texts. */
static rule_t *make_rule(apr_pool_t *pool, rule_e kind, const char *category,
                         const la_policy_line_t *line)
{
    rule_t *rule = apr_palloc(pool, sizeof(*rule) + (apr_size_t)line->count * sizeof(la_slice_t));

    rule->kind = kind;
    rule->place = apr_pstrdup(pool, line->place);
    rule->category = la_slice_of(apr_pstrdup(pool, category));
    rule->count = (apr_size_t)line->count;
    for (int i = 0; i < line->count; i++) {
        rule->words[i] = la_slice_of(apr_pstrdup(pool, line->words[i]));
    }
    return rule;
}

/* Adds a line; a NULL rule is `none`. */
static const char *add_rule(apr_pool_t *pool, const la_policy_t **policy, la_methods_t methods,
                            const rule_t *rule)
{
    const la_policy_t *before = *policy;
    la_policy_t *after = make_policy(pool, (before ? before->count : 0) + 1);

    if (before) {
        if (!rule && (before->demanded & methods) != 0) {
            return "none cannot stand beside other lines of the section for the same methods";
        }
        if (rule && (before->covered & ~before->demanded & methods) != 0) {
            return "no line can stand beside none in the section for the same methods";
        }
        append_entries(after, before, 0);
    }
    if (rule) {
        append_entry(after, methods, rule);
    }
    after->covered |= methods;
    *policy = after;
    return NULL;
}

const char *la_policy_add_rule(apr_pool_t *pool, const la_policy_t **policy, rule_e kind,
                               const char *category, const la_policy_line_t *line)
{
    return add_rule(pool, policy, line->methods, make_rule(pool, kind, category, line));
}

const char *la_policy_add_none(apr_pool_t *pool, const la_policy_t **policy,
                               const la_policy_line_t *line)
{
    return add_rule(pool, policy, line->methods, NULL);
}

int la_policy_is_text(const char *word)
{
    apr_size_t len = strlen(word);
    apr_size_t at = 0;
    unsigned code = 0;

    while (at < len && code != LA_NOT_UTF8) {
        at += la_utf8_decode((const unsigned char *)word + at, len - at, &code);
    }
    return code != LA_NOT_UTF8;
}

static int is_any_value(const char *word)
{
    return strcmp(word, "*") == 0;
}

static const char *attribute_fault(int count, const char *const *words)
{
    if (count < 2) {
        return "a category and at least one value are needed, or none";
    }
    for (int i = 0; i < count; i++) {
        if (words[i][0] == '\0') {
            return i == 0 ? "the category is empty" : "a value is empty";
        }
        if (!la_policy_is_text(words[i])) {
            return "the category and the values are UTF-8";
        }
        if (i > 0 && count > 2 && is_any_value(words[i])) {
            return "* stands alone, since it is any value";
        }
    }
    return NULL;
}

/* What is wrong with words that do not begin with `all` or `any`. `None` may be meant as the
 * keyword or as a scope, and guessing wrong opens a door. */
static const char *keyword_fault(apr_pool_t *pool, const la_policy_line_t *line)
{
    static const char *const keywords[] = {"all", "any", "none"};

    for (apr_size_t i = 0; line->count > 0 && i < sizeof(keywords) / sizeof(keywords[0]); i++) {
        if (apr_cstr_casecmp(line->words[0], keywords[i]) == 0 &&
            strcmp(line->words[0], keywords[i]) != 0) {
            return apr_psprintf(pool, "%s: write %s, or 'all %s' if a scope has that name",
                                line->words[0], keywords[i], line->words[0]);
        }
    }
    for (int i = 0; i < line->count; i++) {
        if (strcmp(line->words[i], "none") == 0) {
            return "none stands alone (a scope of that name is written: all none)";
        }
    }
    return NULL;
}

int la_policy_is_none(const la_policy_line_t *line)
{
    return line->count == 1 && strcmp(line->words[0], "none") == 0;
}

static la_policy_line_t rest_of(const la_policy_line_t *line)
{
    return (la_policy_line_t){line->methods, line->place, line->count - 1, line->words + 1};
}

const char *la_policy_add_scopes(apr_pool_t *pool, const la_policy_t **policy,
                                 const la_policy_line_t *line)
{
    int any = line->count > 0 && strcmp(line->words[0], "any") == 0;
    int all = line->count > 0 && strcmp(line->words[0], "all") == 0;
    la_policy_line_t scopes = all || any ? rest_of(line) : *line;
    const char *fault;

    if (la_policy_is_none(line)) {
        return la_policy_add_none(pool, policy, line);
    }
    fault = all || any ? NULL : keyword_fault(pool, line);
    if (!fault) {
        fault = scopes.count == 0 ? "a scope is missing"
                                  : la_scope_fault(pool, scopes.count, scopes.words);
    }
    return fault ? fault
                 : la_policy_add_rule(pool, policy, any ? RULE_ANY_SCOPE : RULE_ALL_SCOPES,
                                      LA_CATEGORY_SCOPES, &scopes);
}

const char *la_policy_add_attribute(apr_pool_t *pool, const la_policy_t **policy,
                                    const la_policy_line_t *line)
{
    const char *fault;
    la_policy_line_t values;

    if (la_policy_is_none(line)) {
        return la_policy_add_none(pool, policy, line);
    }
    fault = attribute_fault(line->count, line->words);
    if (fault) {
        return fault;
    }
    values = rest_of(line);
    return la_policy_add_rule(pool, policy,
                              is_any_value(values.words[0]) ? RULE_ANY_VALUE : RULE_ATTRIBUTE,
                              line->words[0], &values);
}

static int lists_word(const rule_t *rule, const char *word)
{
    apr_size_t i = 0;

    while (i < rule->count && strcmp(rule->words[i].data, word) != 0) {
        i++;
    }
    return i < rule->count;
}

static int share_word(const rule_t *a, const rule_t *b)
{
    apr_size_t i = 0;

    while (i < a->count && !lists_word(b, a->words[i].data)) {
        i++;
    }
    return i < a->count;
}

/* Whether a line for the same methods lists none of the rule's origins. Together they would refuse
 * every page, and whoever writes them means one list. */
static int excludes_all(const la_policy_t *policy, la_methods_t methods, const rule_t *rule)
{
    for (apr_size_t i = 0; policy && i < policy->count; i++) {
        if ((policy->entries[i].methods & methods) != 0 &&
            !share_word(policy->entries[i].rule, rule)) {
            return 1;
        }
    }
    return 0;
}

const char *la_policy_add_origins(apr_pool_t *pool, const la_policy_t **policy,
                                  const la_policy_line_t *line)
{
    const char **origins = apr_palloc(pool, ((apr_size_t)line->count + 1) * sizeof(*origins));
    la_policy_line_t parsed = {line->methods, line->place, line->count, origins};
    const rule_t *rule;

    if (la_policy_is_none(line)) {
        return la_policy_add_none(pool, policy, line);
    }
    if (line->count == 0) {
        return "an origin is missing, or none";
    }
    for (int i = 0; i < line->count; i++) {
        const char *fault = la_origin_parse(pool, line->words[i], &origins[i]);

        if (fault) {
            return fault;
        }
    }
    rule = make_rule(pool, RULE_ORIGIN, "", &parsed);
    if (excludes_all(*policy, line->methods, rule)) {
        return "no origin is in this line and in another one of the section for the same methods, "
               "and all must hold: write one line with all origins";
    }
    return add_rule(pool, policy, line->methods, rule);
}

const la_policy_t *la_policy_merge(apr_pool_t *pool, const la_policy_t *parent,
                                   const la_policy_t *section)
{
    la_policy_t *merged;

    if (!parent || !section) {
        return section ? section : parent;
    }
    if ((parent->covered & ~section->covered) == 0) {
        return section;
    }
    if (section->covered == 0) {
        return parent;
    }
    merged = make_policy(pool, parent->count + section->count);
    append_entries(merged, parent, section->covered);
    append_entries(merged, section, 0);
    return merged;
}

/* ---- checking --------------------------------------------------------------- */

int la_policy_applies(const la_policy_t *policy, la_methods_t method)
{
    return policy && (policy->demanded & method) != 0;
}

static int has_value(const la_identity_t *identity, la_slice_t category)
{
    return identity && la_identity_value_count(identity, la_identity_find(identity, category)) > 0;
}

int la_policy_has_scope(const la_subject_t *subject, la_slice_t scope)
{
    return subject->identity &&
           (la_identity_has(subject->identity, LA_SLICE(LA_CATEGORY_SCOPES), scope) ||
            la_implied_scopes_has(subject->implied, subject->identity, scope));
}

static int is_about_scopes(const rule_t *rule)
{
    return rule->kind == RULE_ALL_SCOPES || rule->kind == RULE_ANY_SCOPE;
}

static int has_word(const rule_t *rule, const la_subject_t *subject, la_slice_t word)
{
    if (is_about_scopes(rule)) {
        return la_policy_has_scope(subject, word);
    }
    return rule->kind == RULE_ANY_VALUE
               ? has_value(subject->identity, rule->category)
               : subject->identity && la_identity_has(subject->identity, rule->category, word);
}

/* The first word of the rule that the caller has (`wanted` 1) or lacks (0), or NULL. */
static const char *find_word(const rule_t *rule, const la_subject_t *subject, int wanted)
{
    for (apr_size_t i = 0; i < rule->count; i++) {
        if (has_word(rule, subject, rule->words[i]) == wanted) {
            return rule->words[i].data;
        }
    }
    return NULL;
}

static const char *join_words(apr_pool_t *pool, const rule_t *rule)
{
    const char *text = rule->words[0].data;

    for (apr_size_t i = 1; i < rule->count; i++) {
        text = apr_pstrcat(pool, text, ", ", rule->words[i].data, NULL);
    }
    return text;
}

const char *la_policy_values(const la_identity_t *identity, la_slice_t category)
{
    const char *name;
    const char *values = "nothing";

    if (has_value(identity, category)) {
        la_identity_note(identity, la_identity_find(identity, category), &name, &values);
    }
    return values;
}

static const char *explain(apr_pool_t *pool, const rule_t *rule, const la_identity_t *identity)
{
    /* Of the kinds that la_policy_check() is asked about; it has no others. */
    static const char *const demands[] = {[RULE_ALL_SCOPES] = "all of",
                                          [RULE_ANY_SCOPE] = "one of",
                                          [RULE_ATTRIBUTE] = "one of",
                                          [RULE_ANY_VALUE] = "any value:"};

    return apr_psprintf(pool,
                        "the line at %s needs %s %s in %s, and the caller has %." LA_SHOWN "s",
                        la_policy_place(rule), demands[rule->kind], join_words(pool, rule),
                        rule->category.data, la_policy_values(identity, rule->category));
}

static int rule_holds(const rule_t *rule, const la_subject_t *subject)
{
    return rule->kind == RULE_ALL_SCOPES ? !find_word(rule, subject, 0)
                                         : find_word(rule, subject, 1) != NULL;
}

static const char *refuse(apr_pool_t *pool, const rule_t *rule, const la_subject_t *subject)
{
    const char *what = !is_about_scopes(rule)          ? rule->category.data
                       : rule->kind == RULE_ALL_SCOPES ? find_word(rule, subject, 0)
                                                       : join_words(pool, rule);

    return apr_pstrcat(pool, "Access denied: user does not have required ",
                       is_about_scopes(rule) ? "scope: " : "attribute: ", what, NULL);
}

int la_policy_check(apr_pool_t *pool, const la_policy_t *policy, la_methods_t method,
                    const la_subject_t *subject, la_policy_refusal_t *refusal)
{
    *refusal = (la_policy_refusal_t){0};
    for (apr_size_t i = 0; la_policy_applies(policy, method) && i < policy->count; i++) {
        const rule_t *rule = policy->entries[i].rule;

        if ((policy->entries[i].methods & method) != 0 && !rule_holds(rule, subject)) {
            refusal->message = refuse(pool, rule, subject);
            refusal->reason = explain(pool, rule, subject->identity);
            return 0;
        }
    }
    return 1;
}

const char *la_policy_origin_fault(apr_pool_t *pool, const la_policy_t *policy, la_methods_t method,
                                   const char *origin)
{
    for (apr_size_t i = 0; policy && i < policy->count; i++) {
        const rule_t *rule = policy->entries[i].rule;

        if ((policy->entries[i].methods & method) != 0 && (!origin || !lists_word(rule, origin))) {
            return apr_psprintf(pool, "the line at %s lists %." LA_SHOWN "s", la_policy_place(rule),
                                join_words(pool, rule));
        }
    }
    return NULL;
}

const char *la_policy_join_scope(apr_pool_t *pool, const char *scopes, la_slice_t scope)
{
    const char *at = scopes;

    while ((at = strstr(at, scope.data)) != NULL &&
           !((at == scopes || at[-1] == ' ') && (at[scope.len] == '\0' || at[scope.len] == ' '))) {
        at++;
    }
    return at ? scopes : apr_pstrcat(pool, scopes, *scopes ? " " : "", scope.data, NULL);
}

const char *la_policy_scopes(apr_pool_t *pool, const la_policy_t *policy, la_methods_t method)
{
    const char *scopes = "";

    for (apr_size_t i = 0; la_policy_applies(policy, method) && i < policy->count; i++) {
        const rule_t *rule = policy->entries[i].rule;
        int holds = (policy->entries[i].methods & method) != 0 && is_about_scopes(rule);
        apr_size_t count = rule->kind == RULE_ANY_SCOPE ? 1 : rule->count;

        for (apr_size_t j = 0; holds && j < count; j++) {
            scopes = la_policy_join_scope(pool, scopes, rule->words[j]);
        }
    }
    return *scopes ? scopes : NULL;
}

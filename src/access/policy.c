/* RequireScope, RequireAttribute and RequireOrigin: parsing a line, merging sections, checking
 * an identity or an origin.
 *
 * Owns the rules; the directives are config.c's, and what a denial looks like is
 * denial.c's. Lines are added while the configuration (or an .htaccess) is read;
 * merging, tests and checks run in each request, on any thread, over policies that nobody changes
 * any more.
 */
#include "access/policy.h"

#include "access/origin.h"
#include "base/json_scan.h"

#include <apr_cstr.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include <string.h>

typedef enum rule_e {
    RULE_ALL_SCOPES,
    RULE_ANY_SCOPE,
    RULE_ATTRIBUTE,
    RULE_ANY_VALUE,
    RULE_ORIGIN
} rule_e;

/* What a line demands. A `none` line demands nothing and has no rule. */
typedef struct rule_t {
    rule_e kind;
    la_slice_t category;
    apr_size_t count;
    la_slice_t words[]; /* scopes, origins, or values of the category; NUL-terminated */
} rule_t;

/* A rule and the methods for which it still holds: sections share rules, not entries. */
typedef struct entry_t {
    la_methods_t methods;
    const rule_t *rule;
} entry_t;

/* `covered` & ~`demanded` is what `none` lines cover: one method has either rules or a `none`. */
struct la_policy_t {
    la_methods_t covered;  /* by any line */
    la_methods_t demanded; /* by any entry */
    apr_size_t count;
    entry_t entries[]; /* as the lines were written */
};

static la_policy_t *policy_make(apr_pool_t *pool, apr_size_t capacity)
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

/* Appends what is left of another policy's entries outside `but`. */
static void append_entries(la_policy_t *policy, const la_policy_t *from, la_methods_t but)
{
    for (apr_size_t i = 0; i < from->count; i++) {
        la_methods_t methods = from->entries[i].methods & ~but;

        if (methods != 0)
            append_entry(policy, methods, from->entries[i].rule);
    }
    policy->covered |= from->covered;
}

/* ---- lines ------------------------------------------------------------------ */

static rule_t *rule_make(apr_pool_t *pool, rule_e kind, const char *category, int count,
                         const char *const *words)
{
    rule_t *rule = apr_palloc(pool, sizeof(*rule) + (apr_size_t)count * sizeof(la_slice_t));

    rule->kind = kind;
    rule->category = (la_slice_t){apr_pstrdup(pool, category), strlen(category)};
    rule->count = (apr_size_t)count;
    for (int i = 0; i < count; i++)
        rule->words[i] = (la_slice_t){apr_pstrdup(pool, words[i]), strlen(words[i])};
    return rule;
}

/* Adds a line; a NULL rule is `none`. Returns NULL or why it cannot stand beside the others. */
static const char *add_line(apr_pool_t *pool, const la_policy_t **policy, la_methods_t methods,
                            const rule_t *rule)
{
    const la_policy_t *before = *policy;
    la_policy_t *after = policy_make(pool, (before != NULL ? before->count : 0) + 1);

    if (before != NULL) {
        if (rule == NULL && (before->demanded & methods) != 0)
            return "none cannot stand beside other lines of the section for the same methods";
        if (rule != NULL && (before->covered & ~before->demanded & methods) != 0)
            return "no line can stand beside none in the section for the same methods";
        append_entries(after, before, 0);
    }
    if (rule != NULL)
        append_entry(after, methods, rule);
    after->covered |= methods;
    *policy = after;
    return NULL;
}

const char *la_policy_scope_fault(apr_pool_t *pool, const char *word)
{
    const char *at = word;

    while (*at > 0x20 && *at < 0x7f && *at != '"' && *at != '\\')
        at++;
    if (at == word || *at != '\0')
        return apr_pstrcat(pool, "'", word,
                           "' is no scope: 1 or more of the characters that RFC 6749 section "
                           "3.3 allows (visible ASCII but \" and \\)",
                           NULL);
    if (strchr(word, ',') != NULL)
        return apr_pstrcat(pool, "'", word,
                           "' is one scope with a comma in its name: write blanks between scopes, "
                           "as in: models.read models.write",
                           NULL);
    return NULL;
}

int la_policy_is_text(const char *word)
{
    apr_size_t len = strlen(word);
    apr_size_t at = 0;
    unsigned code = 0;

    while (at < len && code != LA_NOT_UTF8)
        at += la_utf8_decode((const unsigned char *)word + at, len - at, &code);
    return code != LA_NOT_UTF8;
}

const char *la_policy_attribute_fault(int count, const char *const *words)
{
    if (count < 2)
        return "a category and at least one value are needed, or none";
    for (int i = 0; i < count; i++) {
        if (words[i][0] == '\0')
            return i == 0 ? "the category is empty" : "a value is empty";
        if (!la_policy_is_text(words[i]))
            return "the category and the values are UTF-8";
        if (i > 0 && count > 2 && la_policy_is_any_value(words[i]))
            return "* stands alone, since it is any value";
    }
    return NULL;
}

int la_policy_is_any_value(const char *word)
{
    return strcmp(word, "*") == 0;
}

static const char *scopes_fault(apr_pool_t *pool, int count, const char *const *words)
{
    if (count == 0)
        return "a scope is missing";
    for (int i = 0; i < count; i++) {
        const char *fault = la_policy_scope_fault(pool, words[i]);

        if (fault != NULL)
            return fault;
    }
    return NULL;
}

/* What is wrong with words that no `all` or `any` introduces. `None` may be meant as the keyword or
 * as a scope, and guessing wrong opens a door. */
static const char *keyword_fault(apr_pool_t *pool, int count, const char *const *words)
{
    static const char *const keywords[] = {"all", "any", "none"};

    for (apr_size_t i = 0; count > 0 && i < sizeof(keywords) / sizeof(keywords[0]); i++) {
        if (apr_cstr_casecmp(words[0], keywords[i]) == 0 && strcmp(words[0], keywords[i]) != 0)
            return apr_psprintf(pool, "%s: write %s, or 'all %s' if a scope has that name",
                                words[0], keywords[i], words[0]);
    }
    for (int i = 0; i < count; i++) {
        if (strcmp(words[i], "none") == 0)
            return "none stands alone (a scope of that name is written: all none)";
    }
    return NULL;
}

const char *la_policy_add_scopes(apr_pool_t *pool, const la_policy_t **policy, la_methods_t methods,
                                 int count, const char *const *words)
{
    int all = count > 0 && strcmp(words[0], "all") == 0;
    int any = count > 0 && strcmp(words[0], "any") == 0;
    int keywords = all + any;
    const char *fault = NULL;

    if (count == 1 && strcmp(words[0], "none") == 0)
        return add_line(pool, policy, methods, NULL);
    if (keywords == 0)
        fault = keyword_fault(pool, count, words);
    if (fault == NULL)
        fault = scopes_fault(pool, count - keywords, words + keywords);
    if (fault != NULL)
        return fault;
    return add_line(pool, policy, methods,
                    rule_make(pool, any ? RULE_ANY_SCOPE : RULE_ALL_SCOPES, LA_CATEGORY_SCOPES,
                              count - keywords, words + keywords));
}

const char *la_policy_add_attribute(apr_pool_t *pool, const la_policy_t **policy,
                                    la_methods_t methods, int count, const char *const *words)
{
    const char *fault;

    if (count == 1 && strcmp(words[0], "none") == 0)
        return add_line(pool, policy, methods, NULL);
    fault = la_policy_attribute_fault(count, words);
    if (fault != NULL)
        return fault;
    return add_line(pool, policy, methods,
                    rule_make(pool,
                              la_policy_is_any_value(words[1]) ? RULE_ANY_VALUE : RULE_ATTRIBUTE,
                              words[0], count - 1, words + 1));
}

static int has_word(const rule_t *rule, const char *word)
{
    apr_size_t i = 0;

    while (i < rule->count && strcmp(rule->words[i].data, word) != 0)
        i++;
    return i < rule->count;
}

static int share_word(const rule_t *a, const rule_t *b)
{
    apr_size_t i = 0;

    while (i < a->count && !has_word(b, a->words[i].data))
        i++;
    return i < a->count;
}

/* Whether a line of the same methods lists none of the rule's origins: whoever writes such lines
 * means one list, and they would refuse every page. */
static int excludes_all(const la_policy_t *policy, la_methods_t methods, const rule_t *rule)
{
    for (apr_size_t i = 0; policy != NULL && i < policy->count; i++) {
        if ((policy->entries[i].methods & methods) != 0 &&
            !share_word(policy->entries[i].rule, rule))
            return 1;
    }
    return 0;
}

const char *la_policy_add_origins(apr_pool_t *pool, const la_policy_t **policy,
                                  la_methods_t methods, int count, const char *const *words)
{
    const char **origins = apr_palloc(pool, ((apr_size_t)count + 1) * sizeof(*origins));
    const rule_t *rule;

    if (count == 1 && strcmp(words[0], "none") == 0)
        return add_line(pool, policy, methods, NULL);
    if (count == 0)
        return "an origin is missing, or none";
    for (int i = 0; i < count; i++) {
        const char *fault = la_origin_parse(pool, words[i], &origins[i]);

        if (fault != NULL)
            return fault;
    }
    rule = rule_make(pool, RULE_ORIGIN, "", count, origins);
    if (excludes_all(*policy, methods, rule))
        return "no origin is in this line and in another one of the section for the same methods, "
               "and all must hold: write one line with all origins";
    return add_line(pool, policy, methods, rule);
}

const la_policy_t *la_policy_merge(apr_pool_t *pool, const la_policy_t *parent,
                                   const la_policy_t *section)
{
    la_policy_t *merged;

    if (parent == NULL || section == NULL)
        return section != NULL ? section : parent;
    if ((parent->covered & ~section->covered) == 0)
        return section;
    if (section->covered == 0)
        return parent;
    merged = policy_make(pool, parent->count + section->count);
    append_entries(merged, parent, section->covered);
    append_entries(merged, section, 0);
    return merged;
}

/* ---- checking --------------------------------------------------------------- */

int la_policy_in_force(const la_policy_t *policy, la_methods_t method)
{
    return policy != NULL && (policy->demanded & method) != 0;
}

int la_policy_has_value(const la_identity_t *identity, la_slice_t category)
{
    return identity != NULL &&
           la_identity_value_count(identity, la_identity_find(identity, category)) > 0;
}

/* The first word of the rule that the identity has (`wanted` 1) or lacks (0); NULL when there is
 * none. */
static const la_slice_t *find_word(const rule_t *rule, const la_identity_t *identity, int wanted)
{
    for (apr_size_t i = 0; i < rule->count; i++) {
        int has = identity != NULL && la_identity_has(identity, rule->category, rule->words[i]);

        if (has == wanted)
            return &rule->words[i];
    }
    return NULL;
}

static const char *join_words(apr_pool_t *pool, const rule_t *rule)
{
    apr_array_header_t *words = apr_array_make(pool, (int)rule->count, sizeof(const char *));

    for (apr_size_t i = 0; i < rule->count; i++)
        APR_ARRAY_PUSH(words, const char *) =
            i == 0 ? rule->words[i].data : apr_pstrcat(pool, " ", rule->words[i].data, NULL);
    return apr_array_pstrcat(pool, words, ',');
}

/* NULL when the rule holds, else the message. */
static const char *rule_fault(apr_pool_t *pool, const rule_t *rule, const la_identity_t *identity)
{
    static const char scope[] = "Access denied: user does not have required scope: ";
    static const char attribute[] = "Access denied: user does not have required attribute: ";
    const la_slice_t *missing;

    switch (rule->kind) {
    case RULE_ALL_SCOPES:
        missing = find_word(rule, identity, 0);
        return missing == NULL ? NULL : apr_pstrcat(pool, scope, missing->data, NULL);
    case RULE_ANY_SCOPE:
        if (find_word(rule, identity, 1) != NULL)
            return NULL;
        return apr_pstrcat(pool, scope, join_words(pool, rule), NULL);
    case RULE_ATTRIBUTE:
        if (find_word(rule, identity, 1) != NULL)
            return NULL;
        return apr_pstrcat(pool, attribute, rule->category.data, NULL);
    case RULE_ANY_VALUE:
        if (la_policy_has_value(identity, rule->category))
            return NULL;
        return apr_pstrcat(pool, attribute, rule->category.data, NULL);
    case RULE_ORIGIN: /* la_policy_allows_origin() checks it */
        break;
    }
    return "Access denied";
}

int la_policy_check(apr_pool_t *pool, const la_policy_t *policy, la_methods_t method,
                    const la_identity_t *identity, const char **message)
{
    *message = NULL;
    if (!la_policy_in_force(policy, method))
        return 1;
    for (apr_size_t i = 0; i < policy->count; i++) {
        if ((policy->entries[i].methods & method) == 0)
            continue;
        *message = rule_fault(pool, policy->entries[i].rule, identity);
        if (*message != NULL)
            return 0;
    }
    return 1;
}

int la_policy_allows_origin(const la_policy_t *policy, la_methods_t method, const char *origin)
{
    for (apr_size_t i = 0; policy != NULL && i < policy->count; i++) {
        if ((policy->entries[i].methods & method) != 0 &&
            (origin == NULL || !has_word(policy->entries[i].rule, origin)))
            return 0;
    }
    return 1;
}

/* Adds the rule's scopes that `scopes` does not list yet. */
static void collect_scopes(apr_array_header_t *scopes, const rule_t *rule)
{
    for (apr_size_t i = 0; i < rule->count; i++) {
        int at = 0;

        while (at < scopes->nelts &&
               strcmp(APR_ARRAY_IDX(scopes, at, const char *), rule->words[i].data) != 0)
            at++;
        if (at == scopes->nelts)
            APR_ARRAY_PUSH(scopes, const char *) = rule->words[i].data;
    }
}

const char *la_policy_scopes(apr_pool_t *pool, const la_policy_t *policy, la_methods_t method)
{
    apr_array_header_t *scopes;

    if (!la_policy_in_force(policy, method))
        return NULL;
    scopes = apr_array_make(pool, 4, sizeof(const char *));
    for (apr_size_t i = 0; i < policy->count; i++) {
        const entry_t *entry = &policy->entries[i];

        if ((entry->methods & method) != 0 &&
            (entry->rule->kind == RULE_ALL_SCOPES || entry->rule->kind == RULE_ANY_SCOPE))
            collect_scopes(scopes, entry->rule);
    }
    return scopes->nelts > 0 ? apr_array_pstrcat(pool, scopes, ' ') : NULL;
}

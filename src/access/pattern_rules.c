/* Lines are added while the configuration is read; checks run in requests, on any thread. */
#include "access/pattern_rules.h"

#include "access/policy_layout.h"

#include <apr_cstr.h>
#include <apr_strings.h>

#define ATTRIBUTE     "attribute:"
#define ATTRIBUTE_LEN (sizeof(ATTRIBUTE) - 1)

/* ---- names ---- */

int la_pattern_has_control(la_slice_t text)
{
    apr_size_t i = 0;

    while (i < text.len && (unsigned char)text.data[i] >= 0x20 && text.data[i] != 0x7F) {
        i++;
    }
    return i < text.len;
}

int la_model_is_name(la_slice_t text)
{
    char copy[LA_MODEL_BYTES + 1];

    if (text.len == 0 || text.len > LA_MODEL_BYTES || la_pattern_has_control(text)) {
        return 0;
    }
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return la_policy_is_text(copy);
}

/* The part of a text in front of the next such character, or all of it. */
static la_slice_t before(la_slice_t text, char stop)
{
    la_slice_t part = {text.data, 0};

    while (part.len < text.len && text.data[part.len] != stop) {
        part.len++;
    }
    return part;
}

static la_slice_t behind(la_slice_t text, apr_size_t len)
{
    return (la_slice_t){text.data + len, text.len - len};
}

/* Finds each part where it comes first, so that the time is linear. */
int la_pattern_matches(la_slice_t pattern, la_slice_t text)
{
    la_slice_t part = before(pattern, '*');

    if (part.len == pattern.len) {
        return la_slice_equals(pattern, text);
    }
    if (part.len > text.len || memcmp(text.data, part.data, part.len) != 0) {
        return 0;
    }
    text = behind(text, part.len);
    pattern = behind(pattern, part.len + 1);
    while ((part = before(pattern, '*')).len < pattern.len) {
        const char *found = memmem(text.data, text.len, part.data, part.len);

        if (!found) {
            return 0;
        }
        text = behind(text, (apr_size_t)(found - text.data) + part.len);
        pattern = behind(pattern, part.len + 1);
    }
    return part.len <= text.len &&
           memcmp(text.data + text.len - part.len, part.data, part.len) == 0;
}

/* Takes what is before the next comma off the text, or all. Returns whether there was one. */
static int take_to_comma(la_slice_t *text, la_slice_t *taken)
{
    int has_comma;

    *taken = before(*text, ',');
    has_comma = taken->len < text->len;
    *text = behind(*text, taken->len + (apr_size_t)has_comma);
    return has_comma;
}

/* As la_pattern_matches(), but a `*` that limits something stands for no comma: LiteLLM takes `a,b`
 * for two models. */
static int model_matches(la_slice_t pattern, la_slice_t model)
{
    la_slice_t pattern_part;
    la_slice_t model_part;
    int more_pattern;
    int more_model;

    if (la_slice_is(pattern, "*")) {
        return 1;
    }
    do {
        more_pattern = take_to_comma(&pattern, &pattern_part);
        more_model = take_to_comma(&model, &model_part);
        if (!la_pattern_matches(pattern_part, model_part)) {
            return 0;
        }
    } while (more_pattern && more_model);
    return more_pattern == more_model;
}

/* ---- operations ---- */

const char *la_operation_text(apr_pool_t *pool, const la_operation_t *operation)
{
    const char *method = apr_pstrmemdup(pool, operation->method.data, operation->method.len);

    return operation->name.len == 0
               ? method
               : apr_pstrcat(pool, method, ":",
                             apr_pstrmemdup(pool, operation->name.data, operation->name.len), NULL);
}

/* The next character of a URI, with those decoded that matter for its segments. */
static char next_character(la_slice_t *uri)
{
    static const struct {
        const char *escape;
        char meant;
    } escapes[] = {{"%2e", '.'}, {"%2f", '/'}, {"%5c", '\\'}};
    char byte = *uri->data;
    apr_size_t taken = 1;

    for (unsigned i = 0; i < sizeof(escapes) / sizeof(escapes[0]) && uri->len >= 3; i++) {
        if (apr_cstr_casecmpn(uri->data, escapes[i].escape, 3) == 0) {
            byte = escapes[i].meant;
            taken = 3;
        }
    }
    uri->data += taken;
    uri->len -= taken;
    return byte;
}

int la_operation_has_dots(la_slice_t uri)
{
    static const char separators[] = {'/', '\\', ':', ';', '?', '#'};
    apr_size_t dots = 0;
    int only_dots = 1; /* in this segment, so far */

    while (uri.len > 0) {
        char byte = next_character(&uri);

        if (memchr(separators, byte, sizeof(separators))) {
            if (only_dots && (dots == 1 || dots == 2)) {
                return 1;
            }
            dots = 0;
            only_dots = 1;
        } else {
            only_dots &= byte == '.';
            dots++;
        }
    }
    return only_dots && (dots == 1 || dots == 2);
}

/* Whether every client needs the operation. */
static int is_basic(const la_operation_t *operation)
{
    return operation->method.len == 0 || la_slice_is(operation->method, "initialize") ||
           la_slice_is(operation->method, "ping") ||
           la_slice_is(operation->method, "server/discover") ||
           la_slice_begins(operation->method, "notifications/");
}

/* The method and the name of a pattern. Returns whether it has a name. */
static int split_pattern(la_slice_t pattern, la_slice_t *method, la_slice_t *name)
{
    const char *colon = memchr(pattern.data, ':', pattern.len);

    *method = pattern;
    if (!colon) {
        return 0;
    }
    method->len = (apr_size_t)(colon - pattern.data);
    *name = (la_slice_t){colon + 1, pattern.len - method->len - 1};
    return 1;
}

static int operation_matches(la_slice_t pattern, const la_operation_t *operation)
{
    la_slice_t method;
    la_slice_t name;
    int has_name = split_pattern(pattern, &method, &name);

    return la_pattern_matches(method, operation->method) &&
           (!has_name || la_pattern_matches(name, operation->name));
}

/* Whether a pattern names a basic operation's method, and does not just cover it. */
static int names_basic(la_slice_t pattern, const la_operation_t *operation)
{
    la_slice_t method;
    la_slice_t name;

    (void)split_pattern(pattern, &method, &name);
    return operation->method.len > 0 && (la_slice_equals(method, operation->method) ||
                                         la_slice_begins(method, "notifications/"));
}

/* A value of the caller's: a pattern, or a tool's name. */
static int value_matches(la_slice_t value, const la_operation_t *operation)
{
    return memchr(value.data, '/', value.len) ? operation_matches(value, operation)
                                              : la_slice_is(operation->method, "tools/call") &&
                                                    la_pattern_matches(value, operation->name);
}

/* ---- lines ---- */

static const char *word_fault(const char *word)
{
    if (word[0] == '\0') {
        return "a word is empty";
    }
    if (!la_policy_is_text(word) || la_pattern_has_control(la_slice_of(word))) {
        return "the words are UTF-8 without control characters";
    }
    if (strcmp(word, ATTRIBUTE) == 0) {
        return "attribute: has no category";
    }
    if (strncmp(word, ATTRIBUTE, ATTRIBUTE_LEN) != 0 &&
        apr_cstr_casecmpn(word, ATTRIBUTE, ATTRIBUTE_LEN) == 0) {
        return "attribute: is written in small letters";
    }
    return apr_cstr_casecmp(word, "none") == 0 ? "none stands alone, in small letters" : NULL;
}

static const char *add_patterns(apr_pool_t *pool, const la_policy_t **policy, rule_e kind,
                                const la_policy_line_t *line)
{
    const char *fault = line->count == 0 ? "a pattern is missing, or none" : NULL;

    if (la_policy_is_none(line)) {
        return la_policy_add_none(pool, policy, line);
    }
    for (int i = 0; i < line->count && !fault; i++) {
        fault = word_fault(line->words[i]);
    }
    return fault ? fault : la_policy_add_rule(pool, policy, kind, "", line);
}

const char *la_policy_add_models(apr_pool_t *pool, const la_policy_t **policy,
                                 const la_policy_line_t *line)
{
    return add_patterns(pool, policy, RULE_MODEL, line);
}

const char *la_policy_add_operations(apr_pool_t *pool, const la_policy_t **policy,
                                     const la_policy_line_t *line)
{
    return add_patterns(pool, policy, RULE_OPERATION, line);
}

const char *la_policy_add_operation_scopes(apr_pool_t *pool, const la_policy_t **policy,
                                           const la_policy_line_t *line)
{
    la_policy_line_t scopes = {line->methods, line->place, line->count - 1, line->words + 1};
    const char *fault = line->count < 2 ? "takes an operation and scopes, or none" : NULL;

    if (la_policy_is_none(line)) {
        return la_policy_add_none(pool, policy, line);
    }
    fault = fault ? fault : word_fault(line->words[0]);
    if (!fault && strncmp(line->words[0], ATTRIBUTE, ATTRIBUTE_LEN) == 0) {
        fault = "takes an operation, not an attribute of the caller";
    }
    fault = fault ? fault : la_scope_fault(pool, scopes.count, scopes.words);
    return fault ? fault
                 : la_policy_add_rule(pool, policy, RULE_OPERATION_SCOPE, line->words[0], &scopes);
}

/* ---- checking ---- */

static la_slice_t category_of(la_slice_t word)
{
    return behind(word, ATTRIBUTE_LEN);
}

static int any_value_matches(la_slice_t category, const la_asked_t *asked)
{
    const la_identity_t *identity = asked->subject->identity;
    apr_size_t index = identity ? la_identity_find(identity, category) : 0;
    apr_size_t count = identity ? la_identity_value_count(identity, index) : 0;

    for (apr_size_t i = 0; i < count; i++) {
        la_slice_t value = la_identity_value(identity, index, i);

        if (asked->operation ? value_matches(value, asked->operation)
                             : model_matches(value, asked->model)) {
            return 1;
        }
    }
    return 0;
}

static int word_matches(la_slice_t word, const la_asked_t *asked)
{
    if (la_slice_begins(word, ATTRIBUTE)) {
        return any_value_matches(category_of(word), asked);
    }
    return asked->operation ? operation_matches(word, asked->operation)
                            : model_matches(word, asked->model);
}

static const char *explain(apr_pool_t *pool, const rule_t *rule, const la_identity_t *identity)
{
    const char *text = apr_psprintf(pool, "the line at %s allows", la_policy_place(rule));

    for (apr_size_t i = 0; i < rule->count; i++) {
        text = apr_pstrcat(pool, text, i ? ", " : " ", rule->words[i].data, NULL);
        if (la_slice_begins(rule->words[i], ATTRIBUTE)) {
            text = apr_psprintf(pool, "%s (%." LA_SHOWN "s)", text,
                                la_policy_values(identity, category_of(rule->words[i])));
        }
    }
    return text;
}

/* Whether one word of each line matches; else notes the reason. */
static int check_lines(apr_pool_t *pool, const la_policy_t *policy, la_methods_t method,
                       const la_asked_t *asked, la_policy_refusal_t *refusal)
{
    *refusal = (la_policy_refusal_t){0};
    for (apr_size_t i = 0; la_policy_applies(policy, method) && i < policy->count; i++) {
        const rule_t *rule = policy->entries[i].rule;
        apr_size_t word = 0;

        while (word < rule->count && !word_matches(rule->words[word], asked)) {
            word++;
        }
        if ((policy->entries[i].methods & method) != 0 && word == rule->count) {
            refusal->reason = explain(pool, rule, asked->subject->identity);
            return 0;
        }
    }
    return 1;
}

int la_policy_check_model(apr_pool_t *pool, const la_policy_t *policy, la_methods_t method,
                          const la_asked_t *asked, la_policy_refusal_t *refusal)
{
    if (check_lines(pool, policy, method, asked, refusal)) {
        return 1;
    }
    refusal->message = apr_psprintf(pool, "Access denied: user does not have access to model: %.*s",
                                    (int)asked->model.len, asked->model.data);
    return 0;
}

int la_policy_check_operation(apr_pool_t *pool, const la_policy_t *policy, la_methods_t method,
                              const la_asked_t *asked, la_policy_refusal_t *refusal)
{
    if (is_basic(asked->operation) || check_lines(pool, policy, method, asked, refusal)) {
        return 1;
    }
    refusal->message = apr_pstrcat(pool, "Access denied: user may not call: ",
                                   la_operation_text(pool, asked->operation), NULL);
    return 0;
}

/* Whether a line of LlamaAuthMcpScope is about the operation. */
static int needs_scopes(const entry_t *entry, la_methods_t method, const la_operation_t *operation)
{
    la_slice_t pattern = entry->rule->category;

    return (entry->methods & method) != 0 && operation_matches(pattern, operation) &&
           (!is_basic(operation) || names_basic(pattern, operation));
}

static int check_scopes(apr_pool_t *pool, const rule_t *rule, const la_asked_t *asked,
                        la_policy_refusal_t *refusal)
{
    for (apr_size_t i = 0; i < rule->count; i++) {
        if (!la_policy_has_scope(asked->subject, rule->words[i])) {
            refusal->message = apr_pstrcat(
                pool, "Access denied: user does not have required scope: ", rule->words[i].data,
                NULL);
            refusal->reason = apr_psprintf(
                pool, "the line at %s needs it for %s, and the caller has %." LA_SHOWN "s",
                la_policy_place(rule), rule->category.data,
                la_policy_values(asked->subject->identity, LA_SLICE(LA_CATEGORY_SCOPES)));
            return 0;
        }
    }
    return 1;
}

int la_policy_check_operation_scopes(apr_pool_t *pool, const la_policy_t *policy,
                                     la_methods_t method, const la_asked_t *asked,
                                     la_policy_refusal_t *refusal)
{
    for (apr_size_t i = 0; la_policy_applies(policy, method) && i < policy->count; i++) {
        if (needs_scopes(&policy->entries[i], method, asked->operation) &&
            !check_scopes(pool, policy->entries[i].rule, asked, refusal)) {
            return 0;
        }
    }
    return 1;
}

const char *la_policy_operation_scopes(apr_pool_t *pool, const la_policy_t *policy,
                                       la_methods_t method, const la_operation_t *operation,
                                       const char *others)
{
    const char *scopes = others ? others : "";

    for (apr_size_t i = 0; la_policy_applies(policy, method) && i < policy->count; i++) {
        const rule_t *rule = policy->entries[i].rule;

        for (apr_size_t j = 0;
             needs_scopes(&policy->entries[i], method, operation) && j < rule->count; j++) {
            scopes = la_policy_join_scope(pool, scopes, rule->words[j]);
        }
    }
    return scopes;
}

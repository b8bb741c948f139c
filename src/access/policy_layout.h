/* The lines of a policy, for policy.c and pattern_rules.c alone. */
#pragma once

#include "access/policy.h"

typedef enum rule_e {
    RULE_ALL_SCOPES,
    RULE_ANY_SCOPE,
    RULE_ATTRIBUTE,
    RULE_ANY_VALUE,
    RULE_ORIGIN,
    RULE_MODEL,          /* words: patterns of models */
    RULE_OPERATION,      /* words: patterns of MCP operations */
    RULE_OPERATION_SCOPE /* category: a pattern of MCP operations; words: scopes */
} rule_e;

/* What a line demands. A `none` line has no rule. */
typedef struct rule_t {
    rule_e kind;
    const char *place;
    la_slice_t category;
    apr_size_t count;
    la_slice_t words[]; /* scopes, origins, patterns, or values of the category; NUL-terminated */
} rule_t;

/* A rule and the methods that it holds for: sections share rules, not entries. */
typedef struct entry_t {
    la_methods_t methods;
    const rule_t *rule;
} entry_t;

/* `none` lines cover `covered` & ~`demanded`: one method has either rules or a `none`. */
struct la_policy_t {
    la_methods_t covered;  /* by any line */
    la_methods_t demanded; /* by any entry */
    apr_size_t count;
    entry_t entries[]; /* in the order of the lines */
};

/* The place of the rule's line, for the log. */
const char *la_policy_place(const rule_t *rule);

/* Adds a rule that a line makes, or one for `none`. Texts are copied. Returns NULL, or why it
 * cannot stand beside the others. */
const char *la_policy_add_rule(apr_pool_t *pool, const la_policy_t **policy, rule_e kind,
                               const char *category, const la_policy_line_t *line);
const char *la_policy_add_none(apr_pool_t *pool, const la_policy_t **policy,
                               const la_policy_line_t *line);

/* The scopes, which are joined by spaces, and one more unless it is among them. scope: as
 * la_scope_fault() allows it, with a NUL behind. Returns `scopes` itself, or a text in `pool`. */
const char *la_policy_join_scope(apr_pool_t *pool, const char *scopes, la_slice_t scope);

/* Whether the line is the one word `none`. */
int la_policy_is_none(const la_policy_line_t *line);

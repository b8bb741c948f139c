/* RequireModel, RequireMcp and LlamaAuthMcpScope: which models and MCP operations a caller may
 * name. Their lines make policies, which nest as those of RequireScope do. */
#pragma once

#include "access/policy.h"

/* The longest name of a model, in bytes. */
#define LA_MODEL_BYTES 256

/* Whether a text may be the name of a model: 1 to LA_MODEL_BYTES bytes of UTF-8 without control
 * characters of ASCII. */
int la_model_is_name(la_slice_t text);

/* Whether there are control characters of ASCII in a text. */
int la_pattern_has_control(la_slice_t text);

/* Whether a pattern matches all of the text. `*` stands for any characters or none. */
int la_pattern_matches(la_slice_t pattern, la_slice_t text);

/* What an MCP message asks for. */
typedef struct la_operation_t {
    la_slice_t method; /* empty: the message has none */
    la_slice_t name;   /* empty: it names none */
} la_operation_t;

/* The operation as patterns write it: METHOD, or METHOD:NAME. In `pool`. */
const char *la_operation_text(apr_pool_t *pool, const la_operation_t *operation);

/* Whether a URI has a segment `.` or `..`, written as it is or with %2e, %2f or %5c. */
int la_operation_has_dots(la_slice_t uri);

/* Adds a `RequireModel` line: PATTERN or attribute:CATEGORY, several of them, or none. In these
 * patterns `*` stands for no comma, unless it is all of the pattern. As la_policy_add_scopes(). */
la_policy_add_fn la_policy_add_models;

/* Adds a `RequireMcp` line: OPERATION or attribute:CATEGORY, several of them, or none. */
la_policy_add_fn la_policy_add_operations;

/* Adds a `LlamaAuthMcpScope` line: OPERATION SCOPE..., or none. */
la_policy_add_fn la_policy_add_operation_scopes;

/* Who asks for what. */
typedef struct la_asked_t {
    const la_subject_t *subject;
    la_slice_t model;                /* of la_policy_check_model() */
    const la_operation_t *operation; /* of the others; NULL: it is about a model */
} la_asked_t;

/* Checks a model against every line for `method`, as la_policy_check(). */
int la_policy_check_model(apr_pool_t *pool, const la_policy_t *policy, la_methods_t method,
                          const la_asked_t *asked, la_policy_refusal_t *refusal);

/* Checks an operation likewise. What every client needs (initialize, ping, server/discover,
 * notifications, answers) always passes. */
int la_policy_check_operation(apr_pool_t *pool, const la_policy_t *policy, la_methods_t method,
                              const la_asked_t *asked, la_policy_refusal_t *refusal);

/* Checks the scopes that an operation needs by the lines of LlamaAuthMcpScope. */
int la_policy_check_operation_scopes(apr_pool_t *pool, const la_policy_t *policy,
                                     la_methods_t method, const la_asked_t *asked,
                                     la_policy_refusal_t *refusal);

/* The scopes that an operation needs, each once, joined by a space.
 * others: what the request needs beside these, likewise, or NULL; they come first. */
const char *la_policy_operation_scopes(apr_pool_t *pool, const la_policy_t *policy,
                                       la_methods_t method, const la_operation_t *operation,
                                       const char *others);

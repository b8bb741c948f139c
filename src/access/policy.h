/* RequireScope, RequireAttribute and RequireOrigin: lines, merging, and whether they are satisfied.
 * A policy is built while the configuration is read and never changed; adding and merging make a
 * new one that shares the lines. */
#pragma once

#include "access/identity.h"
#include "access/scope.h"

#include <apr_pools.h>

/* A set of HTTP methods, as httpd's cmd_parms.limited has it: bit n for method number n. */
typedef apr_uint64_t la_methods_t;
#define LA_METHODS_ALL (~(la_methods_t)0)

/* The lines of one section: scopes, attributes or origins. NULL is a policy without lines. */
typedef struct la_policy_t la_policy_t;

/* A line as it is written. Texts are copied by whoever takes it. */
typedef struct la_policy_line_t {
    la_methods_t methods; /* that it covers */
    const char *place;    /* FILE:LINE for the log, or NULL */
    int count;
    const char *const *words; /* the arguments */
} la_policy_line_t;

/* Whether a word is UTF-8. Categories and values always are, so no other word equals one. */
int la_policy_is_text(const char *word);

/* Adds a line to a section's policy. policy: the policy so far, replaced by one with the line; may
 * point to NULL. Returns NULL, or what is wrong with the line. */
typedef const char *la_policy_add_fn(apr_pool_t *pool, const la_policy_t **policy,
                                     const la_policy_line_t *line);

/* Adds a `RequireScope` line, [all|any] SCOPE... or none. Wrong are no scope, a text that is none,
 * `none` beside other words or beside other lines of the section for the same methods (a second
 * `none` is harmless), and a first word that is a keyword in another case (`None`). */
la_policy_add_fn la_policy_add_scopes;

/* Adds a `RequireAttribute` line: CATEGORY VALUE..., CATEGORY * or none, as la_policy_add_scopes().
 * Empty words are refused; `none VALUE` is a category of that name. */
la_policy_add_fn la_policy_add_attribute;

/* Adds a `RequireOrigin` line: ORIGIN... or none, as la_policy_add_scopes(). A line that shares no
 * origin with another one for the same methods is refused: no page could satisfy both. */
la_policy_add_fn la_policy_add_origins;

/* The policy of a section nested in another: for each method that any line of `section`
 * covers (`none` too) section's lines, for the others `parent`'s. Either may be NULL. Lines are
 * shared, so the result lives as long as both; new memory comes from `pool`. */
const la_policy_t *la_policy_merge(apr_pool_t *pool, const la_policy_t *parent,
                                   const la_policy_t *section);

/* Whether any line demands something of this method (1 bit of la_methods_t). */
int la_policy_applies(const la_policy_t *policy, la_methods_t method);

/* A caller as rules see him. */
typedef struct la_subject_t {
    const la_identity_t *identity;      /* NULL is a caller without attributes */
    const la_implied_scopes_t *implied; /* the server's; may be NULL */
} la_subject_t;

/* Whether the caller has a scope, or one that implies it. */
int la_policy_has_scope(const la_subject_t *subject, la_slice_t scope);

/* The values that a caller has in a category, for the log, or `nothing`. identity: or NULL. */
const char *la_policy_values(const la_identity_t *identity, la_slice_t category);

/* How much of a list of values a log line shows, in bytes, for a format. */
#define LA_SHOWN "500"

/* Why a policy does not hold; the texts live in the pool of the check. */
typedef struct la_policy_refusal_t {
    const char *message; /* for the client, as spec section 8 has it */
    const char *reason;  /* for the log: the line, what it needs, what the caller has */
} la_policy_refusal_t;

/* Checks a caller against every line for `method`. Returns 1 when all hold; else 0, with the
 * refusal of the first one that does not. */
int la_policy_check(apr_pool_t *pool, const la_policy_t *policy, la_methods_t method,
                    const la_subject_t *subject, la_policy_refusal_t *refusal);

/* NULL if every origin line for `method` lists the origin, else what the first that does not lists,
 * for the log. origin: in la_origin_normalize()'s form; NULL is one that no line lists. */
const char *la_policy_origin_fault(apr_pool_t *pool, const la_policy_t *policy, la_methods_t method,
                                   const char *origin);

/* The scopes that a caller needs for `method`, each once, joined by a space (RFC 6750 section 3):
 * all of each line, of a line with `any` the first. NULL for none. */
const char *la_policy_scopes(apr_pool_t *pool, const la_policy_t *policy, la_methods_t method);

/* RequireScope, RequireAttribute and RequireOrigin: lines as they are written, how a nested
 * section's lines replace its parent's, and whether an identity satisfies them.
 *
 * A policy is built while the configuration is read and never changed
 * afterwards; merging makes a new one that shares the lines.
 */
#ifndef LA_POLICY_H
#define LA_POLICY_H

#include "access/identity.h"

#include <apr_pools.h>

/* A set of HTTP methods, as httpd's cmd_parms.limited has it: bit n for method number n. */
typedef apr_uint64_t la_methods_t;
#define LA_METHODS_ALL (~(la_methods_t)0)

/* The lines of one section: scopes, attributes or origins. Opaque; NULL is a policy without lines.
 */
typedef struct la_policy_t la_policy_t;

/* What is wrong with a scope, in `pool`, or NULL: RFC 6749 section 3.3 allows visible ASCII
 * characters but `"` and `\`, at least one; a comma is allowed there and refused here, since it is
 * a list that somebody wrote as other programs want it. */
const char *la_policy_scope_fault(apr_pool_t *pool, const char *word);

/* What is wrong with CATEGORY VALUE..., or NULL: too few words, an empty one, one that is not
 * UTF-8, `*` beside others. */
const char *la_policy_attribute_fault(int count, const char *const *words);

/* Whether a word is UTF-8. Categories and values come so: other bytes would never be equal to one.
 */
int la_policy_is_text(const char *word);

/* Whether a line's only value means any value. */
int la_policy_is_any_value(const char *word);

/* Whether the caller has any value in the category. identity: NULL is a caller without attributes.
 */
int la_policy_has_value(const la_identity_t *identity, la_slice_t category);

/* Adds one `RequireScope` line to a section's policy.
 *
 * policy:  the policy so far, replaced by one with the line; may point to NULL.
 * methods: the methods that the line covers.
 * words:   the arguments: [all|any] SCOPE... or none. They are copied.
 * Returns NULL, or what is wrong with the line: no scope, a character that RFC 6749 section 3.3
 * forbids in one, `none` beside other words, `none` beside other lines of the section for the same
 * methods (a second `none` is harmless), a first word that is a keyword but for its case (`None`:
 * it may be meant either way).
 */
const char *la_policy_add_scopes(apr_pool_t *pool, const la_policy_t **policy, la_methods_t methods,
                                 int count, const char *const *words);

/* Adds one `RequireAttribute` line: CATEGORY VALUE..., CATEGORY * or none, as
 * la_policy_add_scopes(). Empty words are refused; `none VALUE` is a category of that name. */
const char *la_policy_add_attribute(apr_pool_t *pool, const la_policy_t **policy,
                                    la_methods_t methods, int count, const char *const *words);

/* Adds one `RequireOrigin` line: ORIGIN... or none, as la_policy_add_scopes(). A line that shares
 * no origin with another one for the same methods is refused: no page could satisfy both. */
const char *la_policy_add_origins(apr_pool_t *pool, const la_policy_t **policy,
                                  la_methods_t methods, int count, const char *const *words);

/* The policy of a section nested in another: for each method that any line of `section`
 * covers (`none` too) section's lines, for the others `parent`'s. Either may be NULL. Lines are
 * shared, so the result lives as long as both; new memory comes from `pool`. */
const la_policy_t *la_policy_merge(apr_pool_t *pool, const la_policy_t *parent,
                                   const la_policy_t *section);

/* Whether any line demands something of this method (1 bit of la_methods_t). */
int la_policy_in_force(const la_policy_t *policy, la_methods_t method);

/* Checks an identity against every line for `method`.
 *
 * identity: NULL is a caller without attributes.
 * message:  for the client, in `pool`, NULL when the check holds. For scopes `Access denied: user
 * does not have required scope: <scope>`, the first missing one, or all of the line joined by ", "
 * for `any`; for an attribute `Access denied: user does not have required attribute: <category>`.
 * Returns 1 when every line holds, else 0.
 */
int la_policy_check(apr_pool_t *pool, const la_policy_t *policy, la_methods_t method,
                    const la_identity_t *identity, const char **message);

/* Whether every origin line for `method` lists the origin, in la_origin_normalize()'s form; NULL is
 * an origin that no line lists. */
int la_policy_allows_origin(const la_policy_t *policy, la_methods_t method, const char *origin);

/* The scopes of all scope lines for `method`, each once, joined by a space: the `scope` of a
 * challenge (RFC 6750 section 3). NULL when there is none. */
const char *la_policy_scopes(apr_pool_t *pool, const la_policy_t *policy, la_methods_t method);

#endif

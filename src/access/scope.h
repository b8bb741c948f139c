/* What a scope is, and LlamaAuthScopeImplies: who has one scope has others too. */
#pragma once

#include "access/identity.h"

/* What is wrong with one of these scopes, in `pool`, or NULL. RFC 6749 section 3.3 allows visible
 * ASCII except `"` and `\`. A comma is refused too: it is in lists as other programs want them. */
const char *la_scope_fault(apr_pool_t *pool, int count, const char *const *words);

/* The lines of one server; NULL says that no scope implies another. Built while the configuration
 * is read, constant afterwards. It is closed at any time: if a implies b and b implies c, it says
 * that a implies c. */
typedef struct la_implied_scopes_t la_implied_scopes_t;

/* Adds a line: a scope, and one or more that it implies. The words are copied.
 * implied: the lines so far, changed; may point to NULL. Returns NULL, or what is wrong. */
const char *la_implied_scopes_add(apr_pool_t *pool, la_implied_scopes_t **implied, int count,
                                  const char *const *words);

/* The lines of a main server and of its virtual host together. Either may be NULL. */
la_implied_scopes_t *la_implied_scopes_merge(apr_pool_t *pool, la_implied_scopes_t *main_server,
                                             la_implied_scopes_t *host);

/* Whether one of the caller's scopes implies this one; having the scope itself is not asked. */
int la_implied_scopes_has(const la_implied_scopes_t *implied, const la_identity_t *identity,
                          la_slice_t scope);

/* Assertions that one process has signed, for use by later requests of the same caller: a signature
 * costs more than all the rest of a request.
 *
 * Life cycle: la_reuse_make() in each child, before its threads start; la_reuse_get() in any
 * thread, without a lock where there is one to use.
 */
#pragma once

#include "shm/holder.h"
#include "signer/assertion.h"

typedef struct la_reuse_t la_reuse_t;

/* Memory that a process takes at most, as it is used. */
#define LA_REUSE_BYTES ((apr_size_t)1024 * 1024)

/* Makes an empty one in memory of this process alone.
 *
 * life: of this server; must outlive it. reuse: lives in `pool`, which gets a cleanup; NULL on
 * failure. Returns APR_SUCCESS, APR_ENOMEM, or what la_table_attach() returns.
 */
apr_status_t la_reuse_make(apr_pool_t *pool, la_holder_t *life, la_reuse_t **reuse);

/* Gets an assertion: the one that was signed for the same, at most half of the signer's Lifetime
 * ago, else a new one.
 *
 * The same is: signer, version of its key, client id, and all bytes of the identity, with the end
 * of the caller's token.
 *
 * reuse: NULL: signs. is_new: 0 if it was signed before. Returns LA_ASSERTION_PREFIX and the JWT,
 * in `pool`; NULL when libcrypto fails. Any thread.
 */
const char *la_reuse_get(const la_reuse_t *reuse, const la_assertion_t *assertion, apr_pool_t *pool,
                         int *is_new);

/* A child: what it has, from child_init until it ends. */
#pragma once

#include "jose/proof_keys.h"
#include "lookup/lookup.h"

#include <httpd.h>

/* Returns this child's handles. Without providers all but the counters are NULL. */
const la_shared_t *la_shared_get(void);

/* Returns this child's keys of proofs, or NULL if it keeps none. */
la_proof_keys_t *la_child_proof_keys(void);

/* Has mod_watchdog run the background tasks that this configuration needs, in each child. In the
 * parent. Returns APR_SUCCESS; else it has logged what failed. */
apr_status_t la_child_start_tasks(server_rec *s, apr_pool_t *pconf);

/* Hook. */
void la_child_init(apr_pool_t *pchild, server_rec *s);

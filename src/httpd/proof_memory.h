/* The memory of DPoP proofs, and this server's key for nonces. Both are the server's, not a
 * generation's: after a graceful restart the children of both generations use the same.
 */
#pragma once

#include "lookup/lookup.h"

#include <httpd.h>

/* Finds the memory of the generation before, or makes it if a provider could ask for proofs. In the
 * parent, once the configuration is read. Returns APR_SUCCESS, or what failed. */
apr_status_t la_proof_memory_create(server_rec *s);

/* Fills in this child's handles, which live in `pool`. life: must outlive them. */
apr_status_t la_proof_memory_attach(la_holder_t *life, apr_pool_t *pool, la_shared_t *shared);

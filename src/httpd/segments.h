/* What all processes of the server share: the cache, flights, gates, and what is known of outages.
 */
#ifndef LA_SEGMENTS_H
#define LA_SEGMENTS_H

#include "shm/outage.h"
#include "lookup/lookup.h"

#include <httpd.h>

/* Makes the shared memory; in the parent, after the configuration was read. The cache of the
 * generation before is kept when its size is the same.
 *
 * Returns APR_SUCCESS; else it has logged what failed.
 */
apr_status_t la_shared_create(apr_pool_t *pconf, server_rec *main_server);

/* Makes this child's handles. Returns APR_SUCCESS; else it has logged what failed. */
apr_status_t la_shared_attach(apr_pool_t *pchild, server_rec *main_server);

/* This child's handles. Without any provider there are the counters only, and all others are NULL.
 */
const la_shared_t *la_shared_get(void);

/* The second-level cache's gate; its counters are behind those of the last provider. */
apr_uint32_t la_shared_second_gate(void);

/* What the log was told of a provider's outages. */
la_outage_t *la_shared_outage(const la_provider_t *provider);

#endif

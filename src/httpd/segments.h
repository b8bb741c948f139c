/* What all processes of the server share, as the parent makes it. */
#pragma once

#include "lookup/lookup.h"
#include "shm/outage.h"
#include "signer/signer.h"

#include <httpd.h>

/* Makes the shared memory or keeps that of the generation before; in the parent, after the
 * configuration was read. Returns APR_SUCCESS; else it has logged what failed. */
apr_status_t la_shared_create(apr_pool_t *ptemp, server_rec *main_server);

/* Makes a child's handles, in `pool`. Returns APR_SUCCESS; else it has logged what failed. */
apr_status_t la_shared_attach(apr_pool_t *pool, server_rec *main_server, la_shared_t *shared);

/* Which processes of this server live; for a child with providers. */
la_holder_t *la_shared_life(void);

/* The records of the counters (shm/counters.h): one of each provider, in their order, one of the
 * remote cache and of callers of no provider, and one of each signer: this returns its number. */
uint32_t la_shared_signer_record(const la_signer_t *signer);

/* Returns what the log was told of a provider's outages. */
la_outage_t *la_shared_outage(const la_provider_t *provider);

/* The memory that quotas are counted in. It is the server's, not a generation's: after a graceful
 * restart the children of both generations count in the same. */
#pragma once

#include "quota/admission.h"

#include <httpd.h>

/* Finds the memory of the generation before, or makes it; what was counted in one of another size
 * is copied. In the parent, once the configuration is read. Does nothing without quotas.
 * bytes: LlamaAuthQuotaSize. life: of this server.
 * Returns APR_SUCCESS, or what failed. */
apr_status_t la_quota_memory_create(server_rec *s, apr_size_t bytes, la_holder_t *life,
                                    apr_pool_t *ptemp);

/* Makes this child's handle, which lives in `pool`. life: must outlive it. */
apr_status_t la_quota_memory_attach(la_holder_t *life, apr_pool_t *pool);

/* This child's handle; NULL without quotas. */
const la_quota_memory_t *la_quota_memory_get(void);

/* Bytes that are kept until somebody reads them: the first ones in memory, the rest in a temporary
 * file without a name. */
#pragma once

#include "base/slice.h"

#include <apr_buckets.h>

/* How much is kept in memory. */
#define LA_SPOOL_MEMORY_BYTES ((apr_size_t)256 * 1024)

/* A spool. Opaque. */
typedef struct la_spool_t la_spool_t;

/* An empty spool in `pool`, which closes its file. */
la_spool_t *la_spool_make(apr_pool_t *pool);

/* Adds bytes. Returns APR_SUCCESS, or why the file cannot be made or written. */
apr_status_t la_spool_add(la_spool_t *spool, la_slice_t bytes);

/* How many bytes it has. */
apr_off_t la_spool_size(const la_spool_t *spool);

/* Appends all bytes to a brigade, which may be read while the spool's pool lives. Each call gives
 * them from the beginning. */
void la_spool_copy(const la_spool_t *spool, apr_bucket_brigade *bb);

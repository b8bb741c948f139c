/* A secret as it is configured: `file:PATH`, `env:NAME` or literal. */
#pragma once

#include "base/slice.h"

#include <apr_pools.h>
#include <apr_time.h>

/* Longest secret in a file. */
#define LA_SECRET_LIMIT_BYTES ((apr_size_t)64 * 1024)

typedef struct la_secret_t la_secret_t;

/* Reads a secret for the first time. White space around it in a file, or a byte order mark before
 * it, does not belong to it. secret: lives in `pool`, NULL on failure. Children inherit it. Returns
 * NULL, or the reason (empty, unset variable, unreadable file, control characters inside), which
 * never holds the value. */
const char *la_secret_make(apr_pool_t *pool, const char *spec, la_secret_t **secret);

/* The secret's value now, NUL-terminated, in `pool` or constant. A file is read again when it has
 * changed, as reload.h describes. Any thread. */
const char *la_secret_get(la_secret_t *secret, apr_time_t now, apr_pool_t *pool);

/* Takes the white space around a file's secret away. Returns NULL, or why it can be none. */
const char *la_secret_trim(la_slice_t *text);

/* What the cache's directives say. They belong to the main server. */
#pragma once

#include "lookup/remote.h"

typedef struct la_cache_conf_t {
    apr_size_t bytes;           /* LlamaAuthCacheSize; 0 is off */
    la_remote_options_t remote; /* LlamaAuthCacheShared and LlamaAuthCacheSecret */
    int remote_on;              /* LlamaAuthCacheShared names a server */
    int remote_seen;            /* there is a LlamaAuthCacheShared */
} la_cache_conf_t;

/* LlamaAuthCacheSize where there is none. */
#define LA_CACHE_BYTES ((apr_size_t)32 * 1024 * 1024)

/* Read the arguments of LlamaAuthCacheSize, LlamaAuthCacheShared and LlamaAuthCacheSecret. Each
 * returns NULL, or what is wrong. older: NULL for none. */
const char *la_cache_lines_size(apr_pool_t *pool, const char *arg, la_cache_conf_t *conf);
const char *la_cache_lines_shared(apr_pool_t *pool, int count, char *const words[],
                                  la_cache_conf_t *conf);
const char *la_cache_lines_secret(apr_pool_t *pool, const char *first, const char *older,
                                  la_cache_conf_t *conf);

/* What is wrong with the lines together, or NULL. */
const char *la_cache_lines_check(const la_cache_conf_t *conf);

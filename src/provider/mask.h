/* What mod_info and `httpd -D DUMP_CONFIG` show of a line: *** in place of secrets. */
#pragma once

#include <apr_pools.h>

/* The arguments of a line, in `pool`; NULL if they hold no secret. help: as la_option_t has it: the
 * word in the place of SECRET is hidden unless it is file: or env:. Of a word that is a URL, user,
 * password and query are hidden. */
const char *la_mask_option(apr_pool_t *pool, const char *help, int count, const char *const *words);

/* The same for LlamaAuthCacheShared: the URL's password is hidden. */
const char *la_mask_redis(apr_pool_t *pool, int count, const char *const *words);

/* What mod_info and `httpd -D DUMP_CONFIG` may show of a line: the same words with *** where a
 * secret stands. */
#ifndef LA_MASK_H
#define LA_MASK_H

#include <apr_pools.h>

/* The arguments of an option of a <LlamaAuthProvider>, in `pool`; NULL when they hold no secret.
 *
 * help: the option's arguments in the manual's notation; the word in the place of SECRET is hidden
 * unless it is file: or env:. Of any word that is a URL, user, password and query are hidden.
 */
const char *la_mask_option(apr_pool_t *pool, const char *help, int count, const char *const *words);

/* The same for the arguments of LlamaAuthCacheShared: passwords in the URL and after password=. */
const char *la_mask_redis(apr_pool_t *pool, int count, const char *const *words);

#endif

/* The module's life in the parent. What a child does is child.h's. */
#ifndef LA_LIFECYCLE_H
#define LA_LIFECYCLE_H

#include <httpd.h>

/* Hooks. */
int la_lifecycle_pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp);
int la_lifecycle_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);

#endif

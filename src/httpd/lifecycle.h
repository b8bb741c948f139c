/* The module's life: before and after the configuration, in the parent and in each child. */
#ifndef LA_LIFECYCLE_H
#define LA_LIFECYCLE_H

#include <httpd.h>

/* Hooks. */
int la_lifecycle_pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp);
int la_lifecycle_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);
void la_lifecycle_child_init(apr_pool_t *pchild, server_rec *s);

#endif

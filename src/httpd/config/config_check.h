/* What can be found wrong, or risky, in the configuration as a whole before the first request. */
#ifndef LA_CONFIG_CHECK_H
#define LA_CONFIG_CHECK_H

#include <httpd.h>

/* Hook check_config, which `httpd -t` runs too. Logs what is wrong. */
int la_config_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);

#endif

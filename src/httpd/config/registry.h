/* The providers of the configuration, in its order. */
#ifndef LA_REGISTRY_H
#define LA_REGISTRY_H

#include "httpd/config/collected.h"

#include <http_config.h>

/* Gives every provider a label that no other has; once the configuration is read. */
void la_registry_label(apr_pool_t *pconf);

/* All providers: array of la_provider_entry_t. */
const apr_array_header_t *la_registry_providers(void);

/* Setter of <LlamaAuthProvider NAME TYPE>. Its lines are options, not directives: they are walked
 * there, so that a directive of httpd inside is an error instead of taking effect on the server. */
const char *la_registry_section(cmd_parms *cmd, void *dconf, const char *arg);

/* The provider of that name as the server of `cmd` sees it: its own and the main server's. Names
 * keep their case.
 *
 * Returns NULL, or that there is none, with the nearest name.
 */
const char *la_registry_find(cmd_parms *cmd, const char *name, la_provider_t **provider);

#endif

/* The providers of the configuration, in its order. */
#ifndef LA_REGISTRY_H
#define LA_REGISTRY_H

#include "httpd/config/collected.h"

#include <http_config.h>

/* The providers of one LlamaAuthUse line, in order. */
typedef struct la_use_t {
    int count;
    la_provider_t *const *providers;
} la_use_t;

/* Gives every provider a label of its own; once the configuration is read. */
void la_registry_label(apr_pool_t *pconf);

/* All providers: array of la_provider_entry_t. */
const apr_array_header_t *la_registry_providers(void);

/* Setter of <LlamaAuthProvider NAME TYPE>. Its lines are options, not directives: a directive of
 * httpd inside is an error, and takes no effect on the server. */
const char *la_registry_section(cmd_parms *cmd, void *dconf, const char *arg);

/* Reads the arguments of a LlamaAuthUse line, names of providers as the server of `cmd` sees them.
 * Returns NULL, or what is wrong. */
const char *la_registry_use(cmd_parms *cmd, int argc, char *const argv[], const la_use_t **use);

#endif

/* The providers of the configuration, in its order. */
#pragma once

#include "httpd/config/collected.h"

#include <http_config.h>

/* The providers of one LlamaAuthUse line, in order. */
typedef struct la_use_t {
    int count;
    la_provider_t *const *providers;
} la_use_t;

/* All providers: array of la_entry_t; their number, and one of them. */
const apr_array_header_t *la_registry_providers(void);
int la_registry_count(void);
const la_entry_t *la_registry_at(int i);

/* Setter of <LlamaAuthProvider NAME TYPE>. */
const char *la_registry_section(cmd_parms *cmd, void *dconf, const char *arg);

/* Reads the arguments of a LlamaAuthUse line, names of providers as the server of `cmd` sees them.
 * Returns NULL, or what is wrong. */
const char *la_registry_use(cmd_parms *cmd, int argc, char *const argv[], const la_use_t **use);

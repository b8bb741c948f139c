/* The signers of the configuration: <LlamaAuthSigner> sections, and the names of signers in other
 * lines. What an option means is in src/signer. */
#pragma once

#include "httpd/config/collected.h"

#include <httpd.h>
#include <http_config.h>

/* Reads a <LlamaAuthSigner NAME> section; a directive's setter. */
const char *la_signers_section(cmd_parms *cmd, void *dconf, const char *arg);

/* Logs the signers and their keys, once the configuration is read. */
void la_signers_announce(const server_rec *main_server);

/* Finds the signer that a LlamaAuthForward line names, among those that its server sees.
 * what: the line's second argument. signer: NULL unless it is assertion:SIGNER.
 * Returns NULL, or what is wrong. */
const char *la_signers_named(cmd_parms *cmd, const char *what, const la_signer_t **signer);

/* The signers that a server sees: array of const la_signer_t * in `pool`. */
apr_array_header_t *la_signers_seen(apr_pool_t *pool, const server_rec *server);

/* The setters of RequireScope and the other rules on callers. Where in the section's configuration
 * a rule's policy is says the command's row: cmd->info is the offset of a const la_policy_t *. */
#ifndef LA_RULE_LINES_H
#define LA_RULE_LINES_H

#include <httpd.h>
#include <http_config.h>

const char *la_rules_set_scopes(cmd_parms *cmd, void *dconf, int argc, char *const argv[]);
const char *la_rules_set_attribute(cmd_parms *cmd, void *dconf, int argc, char *const argv[]);
const char *la_rules_set_origins(cmd_parms *cmd, void *dconf, int argc, char *const argv[]);
const char *la_rules_set_models(cmd_parms *cmd, void *dconf, int argc, char *const argv[]);
const char *la_rules_set_mcp(cmd_parms *cmd, void *dconf, int argc, char *const argv[]);
const char *la_rules_set_mcp_scope(cmd_parms *cmd, void *dconf, int argc, char *const argv[]);

#endif

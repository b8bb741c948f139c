/* The setter of RequireScope and the other rules. */
#ifndef LA_RULE_LINES_H
#define LA_RULE_LINES_H

#include "access/policy.h"

#include <httpd.h>
#include <http_config.h>

/* What a rule's row in the command table has as its cmd->info. */
typedef struct la_rule_t {
    apr_size_t offset; /* of its const la_policy_t * in the section's configuration */
    la_policy_add_fn *add;
    int is_servers; /* not for an .htaccess */
} la_rule_t;

const char *la_rules_set(cmd_parms *cmd, void *dconf, int argc, char *const argv[]);

#endif

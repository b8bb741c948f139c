/* The setter of rules, where they may stand, and what setters share. */
#pragma once

#include "access/policy.h"

#include <httpd.h>
#include <http_config.h>

/* What a rule's row in the command table has as its cmd->info. */
typedef struct la_rule_t {
    apr_size_t offset; /* of its const la_policy_t * in the section's configuration */
    la_policy_add_fn *add;
    int is_servers; /* not for an .htaccess */
} la_rule_t;

/* The setter of RequireScope and the other rules, which hold for a whole section. */
const char *la_place_set_rule(cmd_parms *cmd, void *dconf, int argc, char *const argv[]);

/* What is wrong with the place of a Require llama-scope or llama-attribute, or NULL: it is in a
 * <Limit> of methods that no client sends. */
const char *la_place_of_require(cmd_parms *cmd);

/* What is wrong with the methods of a section, if it is a <Limit> or <LimitExcept>; else NULL. */
const char *la_place_of_limit(apr_pool_t *pool, const ap_directive_t *limit);

/* An error with the directive's name in front; NULL stays NULL. */
const char *la_place_error(cmd_parms *cmd, const char *error);

/* The field of the section's configuration whose offset is cmd->info. */
static inline void *la_place_field(const cmd_parms *cmd, void *dconf)
{
    return (char *)dconf + (apr_size_t)cmd->info;
}

/* FILE:LINE of a line for the log, or NULL. */
const char *la_place_of_line(cmd_parms *cmd);

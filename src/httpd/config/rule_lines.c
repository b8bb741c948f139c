/* Reads lines of rules, while the configuration is read or an .htaccess. What a line means is in
 * access/.
 */
#include "httpd/config/rule_lines.h"

#include "access/pattern_rules.h"
#include "httpd/config/place.h"

#include <apr_strings.h>

typedef const char *add_rule_fn(apr_pool_t *pool, const la_policy_t **policy,
                                const la_policy_line_t *line);

static const char *add(cmd_parms *cmd, void *dconf, add_rule_fn *add_rule,
                       const la_policy_line_t *words)
{
    const la_policy_t **policy = (void *)((char *)dconf + (apr_size_t)cmd->info);
    la_policy_line_t line = *words;
    const char *error = la_place_of_rule(cmd);

    line.methods = (la_methods_t)cmd->limited;
    line.place = la_place_of_line(cmd);
    error = error ? error : add_rule(cmd->pool, policy, &line);
    return error ? apr_psprintf(cmd->pool, "%s: %s", cmd->cmd->name, error) : NULL;
}

#define WORDS(argc, argv) (&(la_policy_line_t){0, NULL, (argc), (const char *const *)(argv)})

const char *la_rules_set_scopes(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    return add(cmd, dconf, la_policy_add_scopes, WORDS(argc, argv));
}

const char *la_rules_set_attribute(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    return add(cmd, dconf, la_policy_add_attribute, WORDS(argc, argv));
}

const char *la_rules_set_origins(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    const char *error = ap_check_cmd_context(cmd, NOT_IN_HTACCESS);

    return error ? error : add(cmd, dconf, la_policy_add_origins, WORDS(argc, argv));
}

const char *la_rules_set_models(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    return add(cmd, dconf, la_policy_add_models, WORDS(argc, argv));
}

const char *la_rules_set_mcp(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    return add(cmd, dconf, la_policy_add_operations, WORDS(argc, argv));
}

const char *la_rules_set_mcp_scope(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    return add(cmd, dconf, la_policy_add_operation_scopes, WORDS(argc, argv));
}

/* Reads lines of rules. What they mean is in access/. */
#include "httpd/config/rule_lines.h"

#include "httpd/config/place.h"

const char *la_rules_set(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    const la_rule_t *rule = cmd->info;
    const la_policy_line_t line = {(la_methods_t)cmd->limited, la_place_of_line(cmd), argc,
                                   (const char *const *)argv};
    const char *error = rule->is_servers ? ap_check_cmd_context(cmd, NOT_IN_HTACCESS) : NULL;

    if (error) {
        return error;
    }
    error = la_place_of_rule(cmd);
    return la_place_error(
        cmd, error ? error : rule->add(cmd->pool, (void *)((char *)dconf + rule->offset), &line));
}

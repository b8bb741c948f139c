/* Refuses rules where httpd would take the line for something else. */
#include "httpd/config/place.h"

#include "httpd/config/lines.h"

#include <apr_strings.h>
#include <http_protocol.h>

/* Sections in which httpd combines Require lines, and no others. */
static int weighs_requires(const ap_directive_t *section)
{
    static const char *const names[] = {"<RequireAll",         "<RequireAny",
                                        "<RequireNone",        "<AuthzProviderAlias",
                                        "<AuthnProviderAlias", NULL};
    const char *const *name;

    for (name = names; *name && !la_line_is(section, *name); name++) {}
    return *name != NULL;
}

/* What is wrong with one word of a <Limit>, or NULL. Methods differ by case: no client sends the
 * method `get`, nor `GET,POST`. Who writes `*` means all methods, and needs no <Limit>. */
static const char *check_method(apr_pool_t *pool, const char *method)
{
    char *meant = apr_pstrdup(pool, method);

    ap_str_toupper(meant);
    if (strcmp(method, meant) != 0 && ap_method_number_of(meant) != M_INVALID) {
        return apr_psprintf(pool,
                            "methods are written in capitals (%s), and httpd takes this for "
                            "another method",
                            meant);
    }
    if (*ap_scan_http_token(method) || strcmp(method, "*") == 0) {
        return "httpd takes this for the name of one method, which no client sends: write blanks "
               "between methods, as in <Limit GET POST>, and for all of them no <Limit>";
    }
    return NULL;
}

const char *la_place_of_limit(apr_pool_t *pool, const ap_directive_t *limit)
{
    const char *end = ap_strrchr_c(limit->args, '>');
    const char *rest =
        end ? apr_pstrmemdup(pool, limit->args, (apr_size_t)(end - limit->args)) : limit->args;

    if (!la_line_is(limit, "<Limit") && !la_line_is(limit, "<LimitExcept")) {
        return NULL;
    }
    while (*rest) {
        const char *method = ap_getword_conf(pool, &rest);
        const char *fault = check_method(pool, method);

        if (fault) {
            return apr_psprintf(pool, "%s %s>: %s", limit->directive, method, fault);
        }
    }
    return NULL;
}

const char *la_place_of_require(cmd_parms *cmd)
{
    const ap_directive_t *section = cmd->directive ? cmd->directive->parent : NULL;
    const char *fault = NULL;

    for (; section && !fault; section = section->parent) {
        fault = la_place_of_limit(cmd->pool, section);
    }
    return fault;
}

/* A rule that holds for a whole section may not stand in such a section either. */
static const char *place_of_rule(cmd_parms *cmd)
{
    const ap_directive_t *section = cmd->directive ? cmd->directive->parent : NULL;

    for (; section; section = section->parent) {
        if (weighs_requires(section)) {
            return apr_psprintf(
                cmd->pool,
                "%s> does not weigh it: it would hold for the whole section around; put it "
                "outside, or write Require llama-scope or Require llama-attribute here",
                section->directive);
        }
    }
    return la_place_of_require(cmd);
}

const char *la_place_of_line(cmd_parms *cmd)
{
    const ap_directive_t *line = cmd->directive;

    return line ? apr_psprintf(cmd->pool, "%s:%d", line->filename, line->line_num) : NULL;
}

const char *la_place_error(cmd_parms *cmd, const char *error)
{
    return error ? apr_psprintf(cmd->pool, "%s: %s", cmd->cmd->name, error) : NULL;
}

const char *la_place_set_rule(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    const la_rule_t *rule = cmd->info;
    const la_policy_line_t line = {(la_methods_t)cmd->limited, la_place_of_line(cmd), argc,
                                   (const char *const *)argv};
    const char *error = rule->is_servers ? ap_check_cmd_context(cmd, NOT_IN_HTACCESS) : NULL;

    if (error) {
        return error;
    }
    error = place_of_rule(cmd);
    return la_place_error(
        cmd, error ? error : rule->add(cmd->pool, (void *)((char *)dconf + rule->offset), &line));
}

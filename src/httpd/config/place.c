/* Refuses rules in places where httpd takes the line and does not do what it says there. While the configuration is read, or an
 * .htaccess.
 */
#include "httpd/config/place.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <http_protocol.h>

static int is_section(const ap_directive_t *section, const char *name)
{
    return strcasecmp(section->directive, name) == 0;
}

/* Sections of httpd that weigh the Require lines in them, and no others. */
static int weighs_requires(const ap_directive_t *section)
{
    static const char *const names[] = {"<RequireAll",         "<RequireAny",
                                        "<RequireNone",        "<AuthzProviderAlias",
                                        "<AuthnProviderAlias", NULL};
    const char *const *name;

    for (name = names; *name && !is_section(section, *name); name++) {}
    return *name != NULL;
}

static const char *upper(apr_pool_t *pool, const char *word)
{
    char *text = apr_pstrdup(pool, word);
    char *p;

    for (p = text; *p; p++) {
        *p = (char)apr_toupper(*p);
    }
    return text;
}

/* The method of a <Limit> that is one of HTTP's but for its case, or NULL: methods differ by case, so `get` is a method that no
 * client sends. */
static const char *misspelled_method(apr_pool_t *pool, const ap_directive_t *limit)
{
    const char *end = ap_strrchr_c(limit->args, '>');
    const char *rest =
        end ? apr_pstrmemdup(pool, limit->args, (apr_size_t)(end - limit->args)) : limit->args;

    while (*rest) {
        const char *method = ap_getword_conf(pool, &rest);
        const char *meant = upper(pool, method);

        if (strcmp(method, meant) != 0 && ap_method_number_of(meant) != M_INVALID) {
            return method;
        }
    }
    return NULL;
}

const char *la_place_of_require(cmd_parms *cmd)
{
    const ap_directive_t *section = cmd->directive ? cmd->directive->parent : NULL;

    for (; section; section = section->parent) {
        const char *method = is_section(section, "<Limit") || is_section(section, "<LimitExcept")
                                 ? misspelled_method(cmd->pool, section)
                                 : NULL;

        if (method) {
            return apr_psprintf(
                cmd->pool,
                "%s %s>: methods are written in capitals (%s), and httpd takes this for "
                "another method",
                section->directive, method, upper(cmd->pool, method));
        }
    }
    return NULL;
}

const char *la_place_of_rule(cmd_parms *cmd)
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

/* Looks at the configuration once it is read: directives that need each other, and sections that name providers but let
 * everybody in. What one line says wrong is found where the line is read. In the parent.
 */
#include "httpd/check.h"

#include "httpd/config.h"
#include "provider/host.h"

#include <http_config.h>
#include <http_log.h>

APLOG_USE_MODULE(llama_auth);

static int begins(const char *text, const char *prefix)
{
    return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

/* Whether one of these lines, or one inside them, is a Require of httpd's or of ours that can refuse somebody. */
static int requires(const ap_directive_t *line)
{
    for (; line; line = line->next) {
        if (begins(line->directive, "Require") &&
            !(strcasecmp(line->directive, "Require") == 0 && begins(line->args, "all granted")) &&
            !(strcasecmp(line->directive, "Require") != 0 && strcasecmp(line->args, "none") == 0)) {
            return 1;
        }
        if (line->first_child && requires(line->first_child)) {
            return 1;
        }
    }
    return 0;
}

static int serves_metadata(const ap_directive_t *line)
{
    for (; line; line = line->next) {
        if (strcasecmp(line->directive, "SetHandler") == 0 && begins(line->args, "llama-auth-")) {
            return 1;
        }
    }
    return 0;
}

/* Whether this section or one around it requires something. */
static int guarded(const ap_directive_t *section)
{
    for (; section; section = section->parent) {
        if (requires(section->first_child)) {
            return 1;
        }
    }
    return 0;
}

static void warn_unguarded(server_rec *s, const ap_directive_t *line)
{
    for (; line; line = line->next) {
        const ap_directive_t *section = line->parent;

        if (strcasecmp(line->directive, "LlamaAuthUse") == 0 && section &&
            !serves_metadata(section->first_child) && !guarded(section)) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                         LA_LOGNO(0046) "%s:%d: LlamaAuthUse in a section without Require, "
                                        "RequireScope or RequireAttribute: nobody is refused there",
                         line->filename, line->line_num);
        }
        if (line->first_child) {
            warn_unguarded(s, line->first_child);
        }
    }
}

int la_check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    const char *error = la_config_check_cache(s);

    (void)pconf;
    (void)plog;
    (void)ptemp;
    if (error) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, LA_LOGNO(0047) "%s", error);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    warn_unguarded(s, ap_conftree);
    return OK;
}

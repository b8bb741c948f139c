/* httpd merges SetHandler lines of the server's configuration and of an .htaccess, and copies the
 * pointer to the parsed line. The parent collects those of the configuration once it is read; a
 * request's line that is none of them comes from an .htaccess. */
#include "httpd/handler.h"

#include "httpd/config/collected.h"

#include <ap_expr.h>
#include <http_config.h>
#include <http_core.h>

static void collect(ap_conf_vector_t *section);

static void collect_all(const apr_array_header_t *sections)
{
    for (int i = 0; sections && i < sections->nelts; i++) {
        collect(APR_ARRAY_IDX(sections, i, ap_conf_vector_t *));
    }
}

/* The line of a section, and those of the <Files> and <If> sections inside it. */
static void collect(ap_conf_vector_t *section)
{
    const core_dir_config *core = section ? ap_get_core_module_config(section) : NULL;

    if (!core) {
        return;
    }
    if (core->expr_handler) {
        APR_ARRAY_PUSH(la_collected.handlers, const ap_expr_info_t *) = core->expr_handler;
    }
    collect_all(core->sec_file);
    collect_all(core->sec_if);
}

static int collect_lines(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    (void)plog;
    (void)ptemp;
    (void)pconf;
    for (; s; s = s->next) {
        const core_server_config *core = ap_get_core_module_config(s->module_config);

        collect(s->lookup_defaults);
        collect_all(core->sec_dir);
        collect_all(core->sec_url);
    }
    return OK;
}

int la_handler_is(const request_rec *r, const char *name)
{
    return r->handler && strcmp(r->handler, name) == 0;
}

static int is_collected(const ap_expr_info_t *line)
{
    int i;

    for (i = 0; i < la_collected.handlers->nelts &&
                APR_ARRAY_IDX(la_collected.handlers, i, const ap_expr_info_t *) != line;
         i++) {}
    return i < la_collected.handlers->nelts;
}

int la_handler_is_servers(request_rec *r, const char *name)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    const char *error = NULL;
    const char *value;

    if (!la_handler_is(r, name) || !core->expr_handler || !is_collected(core->expr_handler)) {
        return 0;
    }
    value = ap_expr_str_exec(r, core->expr_handler, &error);
    return !error && value && strcasecmp(value, name) == 0;
}

void la_handler_register(void)
{
    ap_hook_post_config(collect_lines, NULL, NULL, APR_HOOK_MIDDLE);
}

/* Looks at the configuration once it is read: directives that need each other, and sections that do
 * not do what they look like. What one line says wrong is found where the line is read. In the
 * parent.
 */
#include "httpd/config/config_check.h"

#include "httpd/config/config.h"
#include "httpd/config/lines.h"
#include "httpd/config/place.h"
#include "httpd/config/registry.h"
#include "httpd/field.h"
#include "io/server.h"

#include <apr_strings.h>
#include <http_config.h>
#include <http_log.h>

APLOG_USE_MODULE(llama_auth);

static int begins(const char *text, const char *prefix)
{
    return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

static void warn(server_rec *s, const ap_directive_t *line, const char *text)
{
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, LA_LOGNO(0046) "%s:%d: %s", line->filename,
                 line->line_num, text);
}

/* ---- what lines say ---- */

/* Whether a line is a Require of httpd's or of ours that can refuse somebody. */
static int can_refuse(const ap_directive_t *line)
{
    if (!begins(line->directive, "Require")) {
        return 0;
    }
    return la_line_is(line, "Require") ? !begins(line->args, "all granted")
                                       : strcasecmp(line->args, "none") != 0;
}

/* Whether a line needs a caller of ours. */
static int is_rule(const ap_directive_t *line)
{
    return (la_line_is(line, "RequireScope") || la_line_is(line, "RequireAttribute")) &&
           can_refuse(line);
}

/* What AuthType says: Bearer, another type, or an expression, which may say either. */
typedef enum type_e { TYPE_NONE, TYPE_BEARER, TYPE_OTHER, TYPE_EXPRESSION } type_e;

static type_e type_of(apr_pool_t *pool, const ap_directive_t *line)
{
    const char *args = line->args;
    const char *type;

    if (!la_line_is(line, "AuthType")) {
        return TYPE_NONE;
    }
    type = ap_getword_conf(pool, &args);
    if (strstr(type, "%{")) {
        return TYPE_EXPRESSION;
    }
    return strcasecmp(type, "Bearer") == 0 ? TYPE_BEARER : TYPE_OTHER;
}

/* The AuthType among a section's own lines. */
static type_e type_among(apr_pool_t *pool, const ap_directive_t *line)
{
    type_e type = TYPE_NONE;

    for (; line; line = line->next) {
        type_e here = type_of(pool, line);

        type = here != TYPE_NONE ? here : type;
    }
    return type;
}

/* Whether one of these lines, or one inside them, can refuse somebody. */
static int requires(const ap_directive_t *line)
{
    for (; line; line = line->next) {
        if (can_refuse(line) || (line->first_child && requires(line->first_child))) {
            return 1;
        }
    }
    return 0;
}

static int is_served_by_us(const ap_directive_t *line)
{
    for (; line; line = line->next) {
        if (la_line_is(line, "SetHandler") && begins(line->args, "llama-auth-")) {
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

/* ---- a server's lines ---- */

/* What stands anywhere among a server's lines. Sections merge by the path of a request, so that no
 * section can be judged by its own lines alone; what stands nowhere is missing everywhere. */
typedef struct lines_t {
    int use;
    int bearer; /* AuthType Bearer, or an expression */
} lines_t;

static void count_lines(apr_pool_t *pool, const ap_directive_t *line, lines_t *lines)
{
    for (; line; line = line->next) {
        type_e type = type_of(pool, line);

        if (la_line_is(line, "<VirtualHost")) {
            continue; /* a server of its own */
        }
        lines->use |= la_line_is(line, "LlamaAuthUse");
        lines->bearer |= type == TYPE_BEARER || type == TYPE_EXPRESSION;
        count_lines(pool, line->first_child, lines);
    }
}

/* The first line that needs a LlamaAuthUse. */
static const ap_directive_t *find_need(apr_pool_t *pool, const ap_directive_t *line)
{
    const ap_directive_t *found = NULL;

    for (; line && !found; line = line->next) {
        if (is_rule(line) || type_of(pool, line) == TYPE_BEARER) {
            return line;
        }
        found = la_line_is(line, "<VirtualHost") ? NULL : find_need(pool, line->first_child);
    }
    return found;
}

/* ---- a section with LlamaAuthUse ---- */

/* httpd's own Require in a <Limit> of methods that no client sends: it refuses nobody. */
static void check_limits(server_rec *s, apr_pool_t *pool, const ap_directive_t *line)
{
    for (; line; line = line->next) {
        const char *fault = la_place_of_limit(pool, line);

        if (fault && requires(line->first_child)) {
            warn(s, line, fault);
        }
    }
}

static void check_use(server_rec *s, apr_pool_t *pool, const ap_directive_t *use,
                      const lines_t *lines)
{
    const ap_directive_t *section = use->parent;
    const ap_directive_t *own = section->first_child;
    int served = is_served_by_us(own);

    check_limits(s, pool, own);
    if (!served && !guarded(section)) {
        warn(s, use,
             "LlamaAuthUse in a section without Require, RequireScope or RequireAttribute: nobody "
             "is refused there");
    }
    if (type_among(pool, own) == TYPE_OTHER) {
        warn(s, use,
             "LlamaAuthUse beside an AuthType that is not Bearer: its providers are never asked "
             "there");
    } else if (!served && !lines->bearer) {
        warn(s, use, "LlamaAuthUse, and AuthType Bearer nowhere: its providers are never asked");
    }
}

static void check_uses(server_rec *s, apr_pool_t *pool, const ap_directive_t *line,
                       const lines_t *lines)
{
    for (; line; line = line->next) {
        if (la_line_is(line, "LlamaAuthUse") && line->parent) {
            check_use(s, pool, line, lines);
        }
        if (!la_line_is(line, "<VirtualHost")) {
            check_uses(s, pool, line->first_child, lines);
        }
    }
}

/* ---- a section with LlamaAuthResource ---- */

static const la_provider_t *find_provider(const char *name)
{
    const apr_array_header_t *providers = la_registry_providers();
    int i;

    for (i = 0; i < providers->nelts; i++) {
        const la_provider_t *provider = APR_ARRAY_IDX(providers, i, la_provider_entry_t).provider;

        if (strcmp(provider->name, name) == 0) {
            return provider;
        }
    }
    return NULL;
}

static int has_issuer(const la_provider_t *provider)
{
    return provider->type->issuer && provider->type->issuer(provider);
}

static int knows_audience(const la_provider_t *provider)
{
    return provider->type->checks_audience || la_provider_is_set(provider, "Audience");
}

/* Warns of each of these providers that takes tokens which were issued for others. Returns whether
 * one of them has an issuer, which is who issues tokens for the resource. */
static int check_providers(server_rec *s, apr_pool_t *pool, const ap_directive_t *resource,
                           const char *names, int served)
{
    int found = 0;

    while (*names) {
        const la_provider_t *provider = find_provider(ap_getword_conf(pool, &names));

        if (provider && !served && !knows_audience(provider)) {
            warn(
                s, resource,
                apr_psprintf(pool,
                             "LlamaAuthResource beside provider %s, of which no Audience is known: "
                             "it accepts tokens that were issued for other resources",
                             provider->name));
        }
        found |= provider && has_issuer(provider);
    }
    return found;
}

/* What a resource's own requests must not do. */
static void check_tokens(server_rec *s, apr_pool_t *pool, const ap_directive_t *resource,
                         const apr_array_header_t *around)
{
    const ap_directive_t *forward = la_lines_in_force(around, "LlamaAuthForwardToken");
    const ap_directive_t *sources = la_lines_in_force(around, "LlamaAuthTokenSource");
    const char *rest = sources ? sources->args : "";

    if (!forward || !la_line_has_word(pool, forward, "off")) {
        warn(s, resource,
             "LlamaAuthResource without LlamaAuthForwardToken off: the token goes on to the "
             "backend, which MCP forbids");
    }
    while (*rest) {
        if (begins(ap_getword_conf(pool, &rest), "query:")) {
            warn(s, sources,
                 "LlamaAuthTokenSource query: beside LlamaAuthResource: MCP forbids tokens in the "
                 "query string, where logs and browsers keep them");
        }
    }
}

static void check_resource(server_rec *s, apr_pool_t *pool, const ap_directive_t *tree,
                           const ap_directive_t *resource)
{
    const ap_directive_t *section = resource->parent;
    apr_array_header_t *around = la_lines_around(pool, tree, section);
    const ap_directive_t *use = la_lines_in_force(around, "LlamaAuthUse");
    int served = is_served_by_us(section->first_child);
    int found = check_providers(s, pool, resource, use ? use->args : "", served);

    if ((use || served) && !found && !la_lines_in_force(around, "LlamaAuthResourceServer")) {
        warn(
            s, resource,
            "LlamaAuthResource beside providers without an Issuer, and no LlamaAuthResourceServer: "
            "its metadata names no authorization server, and clients cannot find one");
    }
    if (la_line_has_word(pool, resource, "offline_access")) {
        warn(s, resource,
             "LlamaAuthResource with the scope offline_access, which clients ask for themselves: "
             "it says nothing of this resource");
    }
    if (!served) {
        check_tokens(s, pool, resource, around);
    }
}

static void check_resources(server_rec *s, apr_pool_t *pool, const ap_directive_t *tree,
                            const ap_directive_t *line)
{
    for (; line; line = line->next) {
        if (la_line_is(line, "LlamaAuthResource") && line->parent) {
            check_resource(s, pool, tree, line);
        }
        if (!la_line_is(line, "<VirtualHost")) {
            check_resources(s, pool, tree, line->first_child);
        }
    }
}

/* ---- a section with LlamaAuthBackendToken or LlamaAuthForward ---- */

/* The header that a line of either directive sets. */
static const char *header_of(apr_pool_t *pool, const ap_directive_t *line)
{
    const char *args = line->args;
    const char *header =
        la_line_is(line, "LlamaAuthForward") ? ap_getword_conf(pool, &args) : "Authorization";

    while (la_line_is(line, "LlamaAuthBackendToken") && *args) {
        const char *word = ap_getword_conf(pool, &args);

        header = begins(word, "header:") ? word + sizeof("header:") - 1 : header;
    }
    return header;
}

/* The LlamaAuthForward in force that gives the backend another credential than `token` does. */
static const ap_directive_t *find_clash(apr_pool_t *pool, const apr_array_header_t *around,
                                        const ap_directive_t *token)
{
    int i;

    for (i = 0; i < around->nelts; i++) {
        const ap_directive_t *line = APR_ARRAY_IDX(around, i, const ap_directive_t *);

        for (; (line = la_lines_find(line, "LlamaAuthForward")) != NULL; line = line->next) {
            const char *header = header_of(pool, line);

            if (la_field_is_same(header, "Authorization") ||
                la_field_is_same(header, header_of(pool, token))) {
                return line;
            }
        }
    }
    return NULL;
}

/* Returns 0, after it logged it, where a section's lines and those around clash. What only
 * merging for a request shows is refused then (backend_token.c). */
static int check_backend(server_rec *s, apr_pool_t *pool, const ap_directive_t *tree,
                         const ap_directive_t *section)
{
    apr_array_header_t *around = la_lines_around(pool, tree, section);
    const ap_directive_t *token = la_lines_in_force(around, "LlamaAuthBackendToken");
    const ap_directive_t *clash =
        token && !la_line_has_word(pool, token, "none") ? find_clash(pool, around, token) : NULL;

    if (clash) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s,
                     LA_LOGNO(0251) "%s:%d: LlamaAuthBackendToken, and LlamaAuthForward %s at "
                                    "%s:%d: both are the backend's credential, one has to go",
                     token->filename, token->line_num, header_of(pool, clash), clash->filename,
                     clash->line_num);
    }
    return clash == NULL;
}

static int check_backends(server_rec *s, apr_pool_t *pool, const ap_directive_t *tree,
                          const ap_directive_t *line)
{
    int good = 1;

    for (; line && good; line = line->next) {
        const ap_directive_t *lines = line->first_child;

        if (la_line_is(line, "<VirtualHost")) {
            continue;
        }
        if (la_lines_find(lines, "LlamaAuthBackendToken") ||
            la_lines_find(lines, "LlamaAuthForward")) {
            good = check_backend(s, pool, tree, line);
        }
        good = good && check_backends(s, pool, tree, lines);
    }
    return good;
}

/* Checks a server's lines. lines: what stands in the main server, which virtual hosts inherit.
 * Returns 0 after it logged an error. */
static int check_server(server_rec *s, apr_pool_t *pool, const ap_directive_t *tree, lines_t lines)
{
    const ap_directive_t *need = find_need(pool, tree);

    count_lines(pool, tree, &lines);
    if (need && !lines.use) {
        warn(s, need,
             apr_psprintf(
                 pool, "%s, and LlamaAuthUse nowhere: each request there is answered with 500",
                 type_of(pool, need) == TYPE_BEARER ? "AuthType Bearer" : need->directive));
    }
    check_uses(s, pool, tree, &lines);
    check_resources(s, pool, tree, tree);
    return check_backends(s, pool, tree, tree);
}

static int check_tree(server_rec *s, apr_pool_t *pool)
{
    const lines_t none = {0};
    const ap_directive_t *line;
    lines_t main_lines = {0};
    int good = check_server(s, pool, ap_conftree, none);

    count_lines(pool, ap_conftree, &main_lines);
    for (line = ap_conftree; line; line = line->next) {
        if (la_line_is(line, "<VirtualHost")) {
            good &= check_server(s, pool, line->first_child, main_lines);
        }
    }
    return good;
}

/* The cache's lines together. Returns 0 after it logged what is wrong. */
static int check_cache(server_rec *s, apr_pool_t *pool)
{
    const char *error = la_cache_lines_check(&la_config_server(s)->cache);
    const ap_directive_t *line = la_lines_find(ap_conftree, "LlamaAuthCacheShared");

    if (error) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, LA_LOGNO(0047) "%s%s",
                     line ? apr_psprintf(pool, "%s:%d: ", line->filename, line->line_num) : "",
                     error);
    }
    return error == NULL;
}

int la_config_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    (void)pconf;
    (void)plog;
    return check_cache(s, ptemp) && check_tree(s, ptemp) ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

/* Looks at the whole configuration once it is read, in the parent: at directives that need each
 * other, and at sections that do not do what they seem to. What is wrong with one line alone is
 * found when the line is read. */
#include "httpd/hooks.h"

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

/* One server that is checked: the main server or a virtual host. */
typedef struct check_t {
    server_rec *s;
    apr_pool_t *pool;
    const ap_directive_t *tree; /* its lines */
    int has_use;                /* it or the main server has a LlamaAuthUse anywhere */
    int has_bearer;             /* likewise AuthType Bearer, or an expression */
    int failed;                 /* an error was logged */
} check_t;

static int begins(const char *text, const char *prefix)
{
    return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

static void warn(const check_t *c, const ap_directive_t *line, const char *text)
{
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, c->s, LA_LOGNO(0046) "%s:%d: %s", line->filename,
                 line->line_num, text);
}

/* ---- what lines say ---- */

/* Whether a line is a Require of httpd's or of ours that can refuse somebody. */
static int can_refuse(const ap_directive_t *line)
{
    if (!begins(line->directive, "Require") && !la_line_is(line, "LlamaAuthMcpScope")) {
        return 0;
    }
    return la_line_is(line, "Require") ? !begins(line->args, "all granted")
                                       : strcasecmp(line->args, "none") != 0;
}

/* Whether a line needs a caller of ours. */
static int is_rule(const ap_directive_t *line)
{
    static const char *const rules[] = {"RequireScope", "RequireAttribute", "RequireModel",
                                        "RequireMcp", "LlamaAuthMcpScope"};
    unsigned i = 0;

    while (i < sizeof(rules) / sizeof(rules[0]) && !la_line_is(line, rules[i])) {
        i++;
    }
    return i < sizeof(rules) / sizeof(rules[0]) && can_refuse(line);
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

/* Whether one of these lines, or one inside them, can refuse somebody. */
static int requires(const ap_directive_t *line)
{
    for (; line && !can_refuse(line) && !requires(line->first_child); line = line->next) {}
    return line != NULL;
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
static int is_guarded(const ap_directive_t *section)
{
    for (; section && !requires(section->first_child); section = section->parent) {}
    return section != NULL;
}

/* ---- a section with LlamaAuthUse ---- */

static const la_provider_t *find_provider(const char *name)
{
    for (int i = 0; i < la_registry_count(); i++) {
        if (strcmp(la_registry_at(i)->name, name) == 0) {
            return la_registry_at(i)->provider;
        }
    }
    return NULL;
}

/* httpd's own Require in a <Limit> of methods that no client sends: it refuses nobody. */
static void check_limits(const check_t *c, const ap_directive_t *line)
{
    for (; line; line = line->next) {
        const char *fault = la_place_of_limit(c->pool, line);

        if (fault && requires(line->first_child)) {
            warn(c, line, fault);
        }
    }
}

static int has_tls(void)
{
    return ap_find_linked_module("mod_ssl.c") || ap_find_linked_module("mod_tls.c") ||
           ap_find_linked_module("mod_gnutls.c");
}

/* Why nobody can show what this provider's tokens have to be bound to; NULL if somebody can, as far
 * as the configuration tells. sources: the LlamaAuthTokenSource that holds in the section, or NULL.
 */
static const char *binding_fault(const check_t *c, const la_provider_t *provider,
                                 const ap_directive_t *sources)
{
    if (provider->common.binding == LA_BINDING_MTLS && !has_tls()) {
        return "Binding mtls, and no mod_ssl: nobody has a client certificate here";
    }
    return provider->common.binding == LA_BINDING_DPOP && sources &&
                   !la_line_has_word(c->pool, sources, "Authorization")
               ? "Binding dpop beside a LlamaAuthTokenSource without Authorization: a token under "
                 "the scheme DPoP is taken from there alone"
               : NULL;
}

/* Warns of each provider in use that has to reject every token. */
static void check_bindings(const check_t *c, const ap_directive_t *use)
{
    apr_array_header_t *around = la_lines_around(c->pool, c->tree, use->parent);
    const ap_directive_t *sources = la_lines_effective(around, "LlamaAuthTokenSource");
    const char *names = use->args;

    while (*names) {
        const la_provider_t *provider = find_provider(ap_getword_conf(c->pool, &names));
        const char *fault = provider ? binding_fault(c, provider, sources) : NULL;

        if (fault) {
            warn(c, use,
                 apr_psprintf(c->pool, "LlamaAuthUse of provider %s, which has %s", provider->name,
                              fault));
        }
    }
}

static void check_use(const check_t *c, const ap_directive_t *use)
{
    const ap_directive_t *section = use->parent;
    const ap_directive_t *own = section->first_child;
    const ap_directive_t *type =
        la_lines_effective(la_lines_around(c->pool, c->tree, section), "AuthType");
    int served = is_served_by_us(own);

    if (!served) {
        check_bindings(c, use);
    }
    check_limits(c, own);
    if (!served && !is_guarded(section)) {
        warn(c, use,
             "LlamaAuthUse in a section without Require, RequireScope or RequireAttribute: nobody "
             "is refused there");
    }
    if (type && type_of(c->pool, type) == TYPE_OTHER) {
        warn(c, use,
             "LlamaAuthUse beside an AuthType that is not Bearer: its providers are never asked "
             "there");
    } else if (!served && !c->has_bearer) {
        warn(c, use, "LlamaAuthUse, and AuthType Bearer nowhere: its providers are never asked");
    }
}

/* ---- a section with LlamaAuthResource ---- */

static int knows_audience(const la_provider_t *provider)
{
    return provider->type->checks_audience || la_provider_is_set(provider, "Audience");
}

/* Warns of each of these providers that takes tokens which were issued for others. Returns whether
 * one of them has an issuer, which is who issues tokens for the resource. */
static int check_providers(const check_t *c, const ap_directive_t *resource, const char *names,
                           int served)
{
    int found = 0;

    while (*names) {
        const la_provider_t *provider = find_provider(ap_getword_conf(c->pool, &names));

        if (provider && !served && !knows_audience(provider)) {
            warn(
                c, resource,
                apr_psprintf(c->pool,
                             "LlamaAuthResource beside provider %s, of which no Audience is known: "
                             "it accepts tokens that were issued for other resources",
                             provider->name));
        }
        found |= provider && provider->issuer != NULL;
    }
    return found;
}

/* The effective LlamaAuthBackendToken if it names a secret, else NULL. */
static const ap_directive_t *find_backend_token(apr_pool_t *pool, const apr_array_header_t *around)
{
    const ap_directive_t *token = la_lines_effective(around, "LlamaAuthBackendToken");

    return token && !la_line_has_word(pool, token, "none") ? token : NULL;
}

/* Whether an assertion takes the token's place. */
static int is_token_replaced(apr_pool_t *pool, const apr_array_header_t *around)
{
    for (int i = 0; i < around->nelts; i++) {
        const ap_directive_t *line = APR_ARRAY_IDX(around, i, const ap_directive_t *);

        for (; (line = la_lines_find(line, "LlamaAuthForward")) != NULL; line = line->next) {
            if (la_line_has_word(pool, line, "Authorization")) {
                return 1;
            }
        }
    }
    return 0;
}

static int is_token_forwarded(apr_pool_t *pool, const apr_array_header_t *around)
{
    const ap_directive_t *forward = la_lines_effective(around, "LlamaAuthForwardToken");

    return !find_backend_token(pool, around) && !is_token_replaced(pool, around) &&
           !(forward && la_line_has_word(pool, forward, "off"));
}

static void check_tokens(const check_t *c, const ap_directive_t *resource,
                         const apr_array_header_t *around)
{
    const ap_directive_t *sources = la_lines_effective(around, "LlamaAuthTokenSource");
    const char *rest = sources ? sources->args : "";

    if (is_token_forwarded(c->pool, around)) {
        warn(c, resource,
             "LlamaAuthResource without LlamaAuthForwardToken off: the token goes on to the "
             "backend, which MCP forbids");
    }
    while (*rest) {
        if (begins(ap_getword_conf(c->pool, &rest), "query:")) {
            warn(c, sources,
                 "LlamaAuthTokenSource query: beside LlamaAuthResource: MCP forbids tokens in the "
                 "query string, where logs and browsers keep them");
        }
    }
}

static void check_resource(const check_t *c, const ap_directive_t *resource)
{
    const ap_directive_t *section = resource->parent;
    apr_array_header_t *around = la_lines_around(c->pool, c->tree, section);
    const ap_directive_t *use = la_lines_effective(around, "LlamaAuthUse");
    int served = is_served_by_us(section->first_child);
    int found = check_providers(c, resource, use ? use->args : "", served);

    if ((use || served) && !found && !la_lines_effective(around, "LlamaAuthResourceServer")) {
        warn(
            c, resource,
            "LlamaAuthResource beside providers without an Issuer, and no LlamaAuthResourceServer: "
            "its metadata names no authorization server, and clients cannot find one");
    }
    if (la_line_has_word(c->pool, resource, "offline_access")) {
        warn(c, resource,
             "LlamaAuthResource with the scope offline_access, which clients ask for themselves: "
             "it says nothing of this resource");
    }
    if (!served) {
        check_tokens(c, resource, around);
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

/* The LlamaAuthForward that gives the backend another credential than `token` does, or NULL. */
static const ap_directive_t *find_clash(apr_pool_t *pool, const apr_array_header_t *around,
                                        const ap_directive_t *token)
{
    for (int i = 0; i < around->nelts; i++) {
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

/* An error where a section's lines and those around clash. Clashes that only merging for a request
 * shows are refused then (authz.c). */
static void check_backend(check_t *c, const ap_directive_t *section)
{
    apr_array_header_t *around = la_lines_around(c->pool, c->tree, section);
    const ap_directive_t *token = find_backend_token(c->pool, around);
    const ap_directive_t *clash = token ? find_clash(c->pool, around, token) : NULL;

    if (clash) {
        c->failed = 1;
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, c->s,
                     LA_LOGNO(0251) "%s:%d: LlamaAuthBackendToken, and LlamaAuthForward %s at "
                                    "%s:%d: both are the backend's credential, one has to go",
                     token->filename, token->line_num, header_of(c->pool, clash), clash->filename,
                     clash->line_num);
    }
}

/* ---- all of it ---- */

/* Notes what stands anywhere among these lines. Sections merge by the path of a request, so only
 * what stands nowhere is certainly missing. */
static void note_lines(check_t *c, const ap_directive_t *line)
{
    for (; line; line = line->next) {
        type_e type = type_of(c->pool, line);

        if (!la_line_is(line, "<VirtualHost")) {
            c->has_use |= la_line_is(line, "LlamaAuthUse");
            c->has_bearer |= type == TYPE_BEARER || type == TYPE_EXPRESSION;
            note_lines(c, line->first_child);
        }
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

static void check_need(const check_t *c)
{
    const ap_directive_t *need = c->has_use ? NULL : find_need(c->pool, c->tree);

    if (need) {
        warn(c, need,
             apr_psprintf(c->pool,
                          "%s, and LlamaAuthUse nowhere: each request there is answered with 500",
                          la_line_is(need, "AuthType") ? "AuthType Bearer" : need->directive));
    }
}

/* Checks the section that these lines make, and those in it. */
static void check_section(check_t *c, const ap_directive_t *lines)
{
    const ap_directive_t *section = lines ? lines->parent : NULL;
    const ap_directive_t *line;
    int sends = 0;

    for (line = lines; line; line = line->next) {
        if (section && la_line_is(line, "LlamaAuthUse")) {
            check_use(c, line);
        }
        if (section && la_line_is(line, "LlamaAuthResource")) {
            check_resource(c, line);
        }
        if (la_line_is(line, "SetHandler") && la_line_has_word(c->pool, line, "llama-auth-jwks") &&
            la_collected.signers->nelts == 0) {
            warn(c, line,
                 "SetHandler llama-auth-jwks, and no <LlamaAuthSigner>: there are no keys to "
                 "publish");
        }
        sends |= la_line_is(line, "LlamaAuthBackendToken") || la_line_is(line, "LlamaAuthForward");
        if (!la_line_is(line, "<VirtualHost")) {
            check_section(c, line->first_child);
        }
    }
    if (section && sends) {
        check_backend(c, section);
    }
}

/* Returns 0 after it logged an error. */
static int check_server(check_t c)
{
    note_lines(&c, c.tree);
    check_need(&c);
    check_section(&c, c.tree);
    return !c.failed;
}

static int check_servers(server_rec *s, apr_pool_t *pool)
{
    check_t c = {.s = s, .pool = pool, .tree = ap_conftree};
    const ap_directive_t *line;
    int good = check_server(c);

    note_lines(&c, ap_conftree); /* virtual hosts inherit them */
    for (line = ap_conftree; line; line = line->next) {
        if (la_line_is(line, "<VirtualHost")) {
            c.tree = line->first_child;
            good &= check_server(c);
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
    return check_cache(s, ptemp) && check_servers(s, ptemp) ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

/* The configuration: create, merge, every directive's setter and the command table. What a line
 * means is in a file of its own. Runs while httpd reads its files; setters of directory scope also
 * when a request meets an .htaccess. */
#include "httpd/config/config.h"

#include "access/pattern_rules.h"
#include "httpd/field.h"
#include "httpd/config/place.h"
#include "httpd/config/signers.h"
#include "provider/mask.h"

#include <apr_strings.h>

#include <stddef.h>

#define DEFAULT_OUTAGE_STATUS HTTP_UNAUTHORIZED

#define ONLY_ONCE "may be given only once in a section"

void *la_config_create_server(apr_pool_t *pool, server_rec *server)
{
    la_server_conf_t *conf = apr_pcalloc(pool, sizeof(*conf));

    (void)server;
    conf->cache.bytes = LA_CACHE_BYTES;
    conf->quota_bytes = LA_QUOTAS_BYTES;
    return conf;
}

void *la_config_merge_server(apr_pool_t *pool, void *base, void *add)
{
    const la_server_conf_t *parent = base;
    const la_server_conf_t *child = add;
    la_server_conf_t *merged = apr_pcalloc(pool, sizeof(*merged));

    merged->outage_status = child->outage_status ? child->outage_status : parent->outage_status;
    merged->implied_scopes =
        la_implied_scopes_merge(pool, parent->implied_scopes, child->implied_scopes);
    merged->cache = parent->cache; /* of the main server only */
    merged->quota_bytes = parent->quota_bytes;
    return merged;
}

void *la_config_create_dir(apr_pool_t *pool, char *dir)
{
    (void)dir;
    return apr_pcalloc(pool, sizeof(la_dir_conf_t));
}

/* Most sections have no such lines. */
static const la_policy_t *merge_policy(apr_pool_t *pool, const la_policy_t *parent,
                                       const la_policy_t *child)
{
    return child ? la_policy_merge(pool, parent, child) : parent;
}

/* httpd merges the sections of each request. */
void *la_config_merge_dir(apr_pool_t *pool, void *base, void *add)
{
    const la_dir_conf_t *parent = base;
    const la_dir_conf_t *child = add;
    la_dir_conf_t *merged = apr_palloc(pool, sizeof(*merged));

    merged->use = child->use ? child->use : parent->use;
    merged->scopes = merge_policy(pool, parent->scopes, child->scopes);
    merged->attributes = merge_policy(pool, parent->attributes, child->attributes);
    merged->origins = merge_policy(pool, parent->origins, child->origins);
    merged->models = merge_policy(pool, parent->models, child->models);
    merged->mcp = merge_policy(pool, parent->mcp, child->mcp);
    merged->mcp_scopes = merge_policy(pool, parent->mcp_scopes, child->mcp_scopes);
    merged->model_sources = child->model_sources ? child->model_sources : parent->model_sources;
    merged->model_refusal = child->model_refusal ? child->model_refusal : parent->model_refusal;
    merged->model_list = child->model_list ? child->model_list : parent->model_list;
    merged->body_limit = child->body_limit ? child->body_limit : parent->body_limit;
    merged->cors = child->cors ? child->cors : parent->cors;
    merged->sources = child->sources ? child->sources : parent->sources;
    merged->forwards = child->forwards ? la_forwards_merge(pool, parent->forwards, child->forwards)
                                       : parent->forwards;
    merged->documents = child->documents
                            ? la_errordocs_merge(pool, parent->documents, child->documents)
                            : parent->documents;
    merged->resource = child->resource ? child->resource : parent->resource;
    merged->resource_servers =
        child->resource_servers ? child->resource_servers : parent->resource_servers;
    merged->resource_members =
        child->resource_members
            ? la_resource_merge_members(pool, parent->resource_members, child->resource_members)
            : parent->resource_members;
    merged->backend_token = child->backend_token ? child->backend_token : parent->backend_token;
    merged->quotas = child->quotas ? child->quotas : parent->quotas;
    merged->usage = child->usage ? child->usage : parent->usage;
    merged->forward_token = child->forward_token ? child->forward_token : parent->forward_token;
    merged->env = child->env ? child->env : parent->env;
    merged->preflight = child->preflight ? child->preflight : parent->preflight;
    return merged;
}

const la_server_conf_t *la_config_server(const server_rec *server)
{
    return ap_get_module_config(server->module_config, &llama_auth_module);
}

int la_config_outage_status(const server_rec *server)
{
    int status = la_config_server(server)->outage_status;

    return status ? status : DEFAULT_OUTAGE_STATUS;
}

la_remote_options_t *la_config_remote(const server_rec *main_server)
{
    la_server_conf_t *conf = ap_get_module_config(main_server->module_config, &llama_auth_module);

    return conf->cache.remote_on ? &conf->cache.remote : NULL;
}

static const char *set_use(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    return la_place_error(cmd, la_registry_use(cmd, argc, argv, &((la_dir_conf_t *)dconf)->use));
}

static const char *set_scope_implies(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    la_server_conf_t *conf = ap_get_module_config(cmd->server->module_config, &llama_auth_module);

    (void)dconf;
    return la_place_error(cmd, la_implied_scopes_add(cmd->pool, &conf->implied_scopes, argc,
                                                     (const char *const *)argv));
}

static const char *set_cors(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    la_dir_conf_t *conf = dconf;
    const char *error = ap_check_cmd_context(cmd, NOT_IN_HTACCESS | NOT_IN_LIMIT);

    if (error) {
        return error;
    }
    return la_place_error(cmd, conf->cors ? ONLY_ONCE
                                          : la_cors_parse(cmd->pool, argc, argv, &conf->cors));
}

/* Whether the line is read at startup, and not for a request that met an .htaccess. */
static int at_startup(cmd_parms *cmd)
{
    return ap_check_cmd_context(cmd, NOT_IN_HTACCESS) == NULL;
}

/* Headers that carry the caller are removed from every request, with tokens in them. */
static const char *clash_with_forward(cmd_parms *cmd, const apr_array_header_t *headers)
{
    for (int i = 0; i < headers->nelts; i++) {
        const char *name = APR_ARRAY_IDX(headers, i, const char *);

        if (la_forward_is_reserved(la_slice_of(name))) {
            return apr_psprintf(
                cmd->pool, "%s is the header of a LlamaAuthForward, no client can send it", name);
        }
    }
    return NULL;
}

static const char *set_sources(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    la_dir_conf_t *conf = dconf;
    const char *error =
        conf->sources ? ONLY_ONCE : la_sources_parse(cmd->pool, argc, argv, &conf->sources);

    error = error ? error : clash_with_forward(cmd, la_sources_headers(conf->sources));
    if (!error && at_startup(cmd)) {
        la_sources_announce(conf->sources);
    }
    return la_place_error(cmd, error);
}

static const char *clash_with_source(cmd_parms *cmd, const char *header)
{
    const apr_array_header_t *names = la_collected.token_headers;

    for (int i = 0; i < names->nelts; i++) {
        if (la_field_is_same(APR_ARRAY_IDX(names, i, const char *), header)) {
            return apr_psprintf(cmd->pool,
                                "%s is the header of a LlamaAuthTokenSource; the token in it would "
                                "be removed from every request",
                                header);
        }
    }
    return NULL;
}

static const char *set_forward(cmd_parms *cmd, void *dconf, const char *header, const char *what)
{
    la_dir_conf_t *conf = dconf;
    const la_signer_t *signer = NULL;
    const char *error = clash_with_source(cmd, header);

    error = error ? error : la_signers_named(cmd, what, &signer);
    error = error ? error : la_forwards_add(cmd->pool, &conf->forwards, header, what, signer);
    if (!error && at_startup(cmd)) {
        la_forward_reserve(apr_pstrdup(cmd->pool, header));
    }
    return la_place_error(cmd, error);
}

static const char *set_document(cmd_parms *cmd, void *dconf, const char *status, const char *what)
{
    la_dir_conf_t *conf = dconf;

    if (!at_startup(cmd) && la_errordocs_is_file(what)) {
        return la_place_error(cmd, "file: is for the server's own configuration, since httpd reads "
                                   "more than an .htaccess may show; write the JSON text itself");
    }
    return la_place_error(cmd, la_errordocs_add(cmd->pool, &conf->documents, status, what));
}

static const char *set_resource(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    la_dir_conf_t *conf = dconf;

    return la_place_error(cmd, conf->resource
                                   ? ONLY_ONCE
                                   : la_resource_parse(cmd->pool, argc, argv, &conf->resource));
}

static const char *set_resource_servers(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    la_dir_conf_t *conf = dconf;

    return la_place_error(
        cmd, conf->resource_servers
                 ? ONLY_ONCE
                 : la_resource_parse_servers(cmd->pool, argc, argv, &conf->resource_servers));
}

static const char *set_resource_member(cmd_parms *cmd, void *dconf, const char *name,
                                       const char *value)
{
    la_dir_conf_t *conf = dconf;

    return la_place_error(cmd,
                          la_resource_add_member(cmd->pool, &conf->resource_members, name, value));
}

/* httpd looks at the first word of a switch only. */
static int is_one_word(cmd_parms *cmd)
{
    const char *rest = cmd->directive->args;

    ap_getword_conf(cmd->temp_pool, &rest);
    return !*rest;
}

/* For on|off of directory scope; cmd->info is where in la_dir_conf_t. */
static const char *set_switch(cmd_parms *cmd, void *dconf, int on)
{
    la_switch_e *field = la_place_field(cmd, dconf);

    if (!is_one_word(cmd)) {
        return la_place_error(cmd, "takes on or off, and no more");
    }
    if (*field == (on ? LA_OFF : LA_ON)) {
        return la_place_error(cmd, "is on and off in one section");
    }
    *field = on ? LA_ON : LA_OFF;
    return NULL;
}

static const char *set_outage_status(cmd_parms *cmd, void *dconf, const char *arg)
{
    la_server_conf_t *conf = ap_get_module_config(cmd->server->module_config, &llama_auth_module);

    (void)dconf;
    if (strcmp(arg, "401") != 0 && strcmp(arg, "503") != 0) {
        return "LlamaAuthOutageStatus must be 401 or 503";
    }
    conf->outage_status = *arg == '4' ? HTTP_UNAUTHORIZED : HTTP_SERVICE_UNAVAILABLE;
    return NULL;
}

static const char *set_quota_size(cmd_parms *cmd, void *dconf, const char *arg)
{
    la_server_conf_t *conf = ap_get_module_config(cmd->server->module_config, &llama_auth_module);

    (void)dconf;
    return la_place_error(cmd,
                          cmd->server->is_virtual
                              ? "belongs to the main server: there is one memory for all quotas"
                              : la_quotas_size(cmd->pool, arg, &conf->quota_bytes));
}

static const char *set_quota_use(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    const la_quota_use_t **use = &((la_dir_conf_t *)dconf)->quotas;
    const char *error = ap_check_cmd_context(cmd, NOT_IN_LIMIT);

    if (error) {
        return error;
    }
    return la_place_error(cmd, at_startup(cmd) ? la_quotas_use(cmd, argc, argv, use)
                                               : "is for the server's own configuration");
}

/* Finds the line in the tree that mod_info shows; cmd->directive is const. */
static ap_directive_t *find_line(ap_directive_t *tree, const ap_directive_t *line)
{
    ap_directive_t *found = NULL;

    for (; tree && !found; tree = tree->next) {
        found = tree == line ? tree : find_line(tree->first_child, line);
    }
    return found;
}

/* shown: the arguments as mod_info may show them; NULL where they hold no secret. */
static void hide_secret(cmd_parms *cmd, const char *shown)
{
    ap_directive_t *line = shown ? find_line(ap_conftree, cmd->directive) : NULL;

    if (line) {
        line->args = shown;
    }
}

/* Where the cache's lines go; NULL in a virtual host. */
static la_cache_conf_t *get_cache_conf(cmd_parms *cmd)
{
    la_server_conf_t *conf = ap_get_module_config(cmd->server->module_config, &llama_auth_module);

    return cmd->server->is_virtual ? NULL : &conf->cache;
}

static const char *refuse_in_host(cmd_parms *cmd)
{
    return apr_pstrcat(cmd->pool, cmd->cmd->name,
                       " belongs to the main server: there is one cache for all", NULL);
}

static const char *set_cache_size(cmd_parms *cmd, void *dconf, const char *arg)
{
    la_cache_conf_t *conf = get_cache_conf(cmd);

    (void)dconf;
    return conf ? la_place_error(cmd, la_cache_lines_size(cmd->pool, arg, conf))
                : refuse_in_host(cmd);
}

static const char *set_cache_shared(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    la_cache_conf_t *conf = get_cache_conf(cmd);

    (void)dconf;
    hide_secret(cmd, la_mask_redis(cmd->pool, argc, (const char *const *)argv));
    return conf ? la_place_error(cmd, la_cache_lines_shared(cmd->pool, argc, argv, conf))
                : refuse_in_host(cmd);
}

static const char *set_cache_secret(cmd_parms *cmd, void *dconf, const char *first,
                                    const char *older)
{
    la_cache_conf_t *conf = get_cache_conf(cmd);

    (void)dconf;
    return conf ? la_place_error(cmd, la_cache_lines_secret(cmd->pool, first, older, conf))
                : refuse_in_host(cmd);
}

static const char *set_backend_token(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    la_dir_conf_t *conf = dconf;
    const char *error = ap_check_cmd_context(cmd, NOT_IN_HTACCESS | NOT_IN_LIMIT);

    if (error) {
        return error;
    }
    error = conf->backend_token ? ONLY_ONCE
                                : la_backend_parse(cmd->pool, argc, argv, &conf->backend_token);
    if (!error && conf->backend_token->secret) {
        hide_secret(cmd, la_mask_option(cmd->pool, "SECRET", argc, (const char *const *)argv));
    }
    return la_place_error(cmd, error);
}

static const char *set_model_list(cmd_parms *cmd, void *dconf, const char *arg)
{
    la_switch_e *field = &((la_dir_conf_t *)dconf)->model_list;
    const char *error = ap_check_cmd_context(cmd, NOT_IN_LIMIT);
    int is_known = strcasecmp(arg, "filter") == 0 || strcasecmp(arg, "off") == 0;

    *field = strcasecmp(arg, "filter") == 0 ? LA_ON : LA_OFF;
    return error ? error : la_place_error(cmd, is_known ? NULL : "takes filter or off");
}

#define FIELD(field) (void *)offsetof(la_dir_conf_t, field)
#define RULE(field, add, is_servers)                                                               \
    &(la_rule_t)                                                                                   \
    {                                                                                              \
        offsetof(la_dir_conf_t, field), add, is_servers                                            \
    }

const command_rec la_config_commands[] = {
    AP_INIT_RAW_ARGS("<LlamaAuthProvider", la_registry_section, NULL, RSRC_CONF,
                     "defines a provider that validates tokens: its name and its type"),
    AP_INIT_RAW_ARGS("<LlamaAuthQuota", la_quotas_section, NULL, RSRC_CONF,
                     "defines a quota: how much a caller may use"),
    AP_INIT_RAW_ARGS("<LlamaAuthSigner", la_signers_section, NULL, RSRC_CONF,
                     "defines a signer, which tells backends who the caller is"),
    AP_INIT_TAKE1("LlamaAuthQuotaSize", set_quota_size, NULL, RSRC_CONF,
                  "size of the memory in which quotas are counted (K, M, G)"),
    AP_INIT_TAKE_ARGV("LlamaAuthQuotaUse", set_quota_use, NULL, OR_AUTHCFG,
                      "the quotas that hold here, or none"),
    AP_INIT_FLAG("LlamaAuthUsage", set_switch, FIELD(usage), ACCESS_CONF,
                 "whether the tokens used are read from LLM answers"),
    AP_INIT_TAKE1("LlamaAuthOutageStatus", set_outage_status, NULL, RSRC_CONF,
                  "status when no provider could answer: 401 or 503"),
    AP_INIT_TAKE1("LlamaAuthCacheSize", set_cache_size, NULL, RSRC_CONF,
                  "size of the shared-memory cache (K, M, G), or off"),
    AP_INIT_TAKE_ARGV(
        "LlamaAuthCacheShared", set_cache_shared, NULL, RSRC_CONF,
        "redis[s]://[[user]:password@]host[:port][/db], unix:/path or "
        "redis+sentinel://[[user]:password@]host[:port],.../NAME[/db], then timeout=, "
        "connect_timeout=, prefix=, cafile=, certfile=, keyfile=; or none"),
    AP_INIT_TAKE12("LlamaAuthCacheSecret", set_cache_secret, NULL, RSRC_CONF,
                   "file:PATH with the secret for LlamaAuthCacheShared, and file:PATH of an older "
                   "one that still reads"),
    AP_INIT_TAKE_ARGV("LlamaAuthScopeImplies", set_scope_implies, NULL, RSRC_CONF,
                      "a scope, and the scopes that whoever has it has too"),
    AP_INIT_TAKE_ARGV("LlamaAuthUse", set_use, NULL, OR_AUTHCFG, "the providers to ask, in order"),
    AP_INIT_TAKE_ARGV("RequireScope", la_place_set_rule, RULE(scopes, la_policy_add_scopes, 0),
                      OR_AUTHCFG, "[all|any] and the scopes a caller must have, or none"),
    AP_INIT_TAKE_ARGV("RequireAttribute", la_place_set_rule,
                      RULE(attributes, la_policy_add_attribute, 0), OR_AUTHCFG,
                      "a category and values of which a caller must have one, or none"),
    AP_INIT_TAKE_ARGV("RequireOrigin", la_place_set_rule, RULE(origins, la_policy_add_origins, 1),
                      RSRC_CONF | ACCESS_CONF, "origins of pages that may send requests, or none"),
    AP_INIT_TAKE_ARGV("RequireModel", la_place_set_rule, RULE(models, la_policy_add_models, 0),
                      OR_AUTHCFG,
                      "patterns of the models that may be named, attribute:CATEGORY, or none"),
    AP_INIT_TAKE_ARGV("LlamaAuthModelSource", la_body_set_sources, FIELD(model_sources), OR_AUTHCFG,
                      "where a request names its model: body:NAME, path:REGEX, query:NAME"),
    AP_INIT_TAKE1("LlamaAuthModelList", set_model_list, NULL, OR_AUTHCFG,
                  "filter: lists of models show what RequireModel allows; or off"),
    AP_INIT_TAKE1("LlamaAuthModelRefusal", la_body_set_refusal, FIELD(model_refusal), OR_AUTHCFG,
                  "status when a model is not allowed: 403 or 404"),
    AP_INIT_TAKE_ARGV("RequireMcp", la_place_set_rule, RULE(mcp, la_policy_add_operations, 0),
                      OR_AUTHCFG, "MCP operations that may be called, attribute:CATEGORY, or none"),
    AP_INIT_TAKE_ARGV("LlamaAuthMcpScope", la_place_set_rule,
                      RULE(mcp_scopes, la_policy_add_operation_scopes, 0), OR_AUTHCFG,
                      "an MCP operation and the scopes that it needs, or none"),
    AP_INIT_TAKE1("LlamaAuthBodyLimit", la_body_set_limit, FIELD(body_limit),
                  RSRC_CONF | ACCESS_CONF,
                  "how much of a body is read where a rule needs it (K, M, G)"),
    AP_INIT_TAKE_ARGV("LlamaAuthCors", set_cors, NULL, RSRC_CONF | ACCESS_CONF,
                      "origins of pages that may read answers, or * or off"),
    AP_INIT_TAKE_ARGV("LlamaAuthTokenSource", set_sources, NULL, OR_AUTHCFG,
                      "where the token is: Authorization, header:NAME, query:NAME, cookie:NAME"),
    AP_INIT_TAKE2("LlamaAuthForward", set_forward, NULL, OR_AUTHCFG,
                  "a request header for the backend, and what it says: principal, client_id, "
                  "provider, model, attributes, "
                  "attribute:CATEGORY, json:CATEGORY, one:CATEGORY, assertion:SIGNER"),
    AP_INIT_TAKE_ARGV("LlamaAuthBackendToken", set_backend_token, NULL, ACCESS_CONF,
                      "the backend's own credential (file:PATH, env:NAME or literal), then "
                      "header:NAME and always; or none"),
    AP_INIT_FLAG("LlamaAuthForwardToken", set_switch, FIELD(forward_token), OR_AUTHCFG,
                 "whether the token goes on to the backend"),
    AP_INIT_FLAG("LlamaAuthEnv", set_switch, FIELD(env), OR_AUTHCFG,
                 "whether LLAMA_AUTH_* environment variables are set"),
    AP_INIT_FLAG("LlamaAuthPreflight", set_switch, FIELD(preflight), OR_AUTHCFG,
                 "whether a CORS preflight is let through without a token"),
    AP_INIT_TAKE2("LlamaAuthErrorDocument", set_document, NULL, OR_AUTHCFG,
                  "a status or default, and a JSON text, file:PATH or llama, ogx, openai, "
                  "anthropic, mcp, problem"),
    AP_INIT_TAKE_ARGV("LlamaAuthResource", set_resource, NULL, OR_AUTHCFG,
                      "the protected resource's URL (RFC 9728), and its scopes"),
    AP_INIT_TAKE_ARGV("LlamaAuthResourceServer", set_resource_servers, NULL, OR_AUTHCFG,
                      "issuers that the resource's metadata names as its authorization servers"),
    AP_INIT_TAKE2("LlamaAuthResourceMember", set_resource_member, NULL, OR_AUTHCFG,
                  "the name and the value of one more member of the resource's metadata"),
    {0}};

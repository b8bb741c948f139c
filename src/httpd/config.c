/* The configuration: create, merge, every directive's setter and the one command table.
 * What a provider's options mean is in src/provider; here are only the lines that carry them.
 * Runs while httpd reads its files; setters of directory scope also when a request meets an .htaccess.
 */
#include "httpd/config.h"

#include "core/cache.h"

#include <apr_lib.h>
#include <apr_strings.h>

extern module AP_MODULE_DECLARE_DATA llama_auth_module;

#define DEFAULT_OUTAGE_STATUS HTTP_UNAUTHORIZED
#define DEFAULT_CACHE_BYTES   ((apr_size_t)32 * 1024 * 1024)

/* Providers of the configuration that is in force (or being read). */
static apr_array_header_t *registry;

void *la_config_create_server(apr_pool_t *pool, server_rec *server)
{
    la_server_conf_t *conf = apr_pcalloc(pool, sizeof(*conf));

    (void)server;
    conf->cache_bytes = DEFAULT_CACHE_BYTES;
    return conf;
}

void *la_config_merge_server(apr_pool_t *pool, void *base, void *add)
{
    const la_server_conf_t *parent = base;
    const la_server_conf_t *child = add;
    la_server_conf_t *merged = apr_pcalloc(pool, sizeof(*merged));

    merged->outage_status = child->outage_status ? child->outage_status : parent->outage_status;
    merged->cache_bytes = parent->cache_bytes;
    return merged;
}

void *la_config_create_dir(apr_pool_t *pool, char *dir)
{
    (void)dir;
    return apr_pcalloc(pool, sizeof(la_dir_conf_t));
}

void *la_config_merge_dir(apr_pool_t *pool, void *base, void *add)
{
    const la_dir_conf_t *parent = base;
    const la_dir_conf_t *child = add;
    la_dir_conf_t *merged = apr_pcalloc(pool, sizeof(*merged));

    merged->use = child->use ? child->use : parent->use;
    merged->scopes = la_policy_merge(pool, parent->scopes, child->scopes);
    merged->attributes = la_policy_merge(pool, parent->attributes, child->attributes);
    return merged;
}

void la_config_reset(apr_pool_t *pconf)
{
    registry = apr_array_make(pconf, 8, sizeof(la_provider_entry_t));
}

const apr_array_header_t *la_config_providers(void)
{
    return registry;
}

const la_dir_conf_t *la_config_dir(const request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &llama_auth_module);
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

apr_size_t la_config_cache_bytes(const server_rec *main_server)
{
    return la_config_server(main_server)->cache_bytes;
}

/* Whether a provider defined on one server can be used, or clashes, on another: its own and the main server's. */
static int visible(const server_rec *defined_on, const server_rec *server)
{
    return defined_on == server || !defined_on->is_virtual;
}

/* The provider of that name as `server` sees it, or NULL. Names keep their case. */
static const la_provider_entry_t *find_provider(const server_rec *server, const char *name)
{
    int i;

    for (i = 0; i < registry->nelts; i++) {
        const la_provider_entry_t *entry = &APR_ARRAY_IDX(registry, i, la_provider_entry_t);

        if (visible(entry->server, server) && strcmp(entry->provider->name, name) == 0) {
            return entry;
        }
    }
    return NULL;
}

/* The entry whose name a new provider on `server` would take. A main server's provider may not take
 * a virtual host's name either: which of them a section meant would depend on the order of lines. */
static const la_provider_entry_t *clash(const server_rec *server, const char *name)
{
    int i;

    for (i = 0; i < registry->nelts; i++) {
        const la_provider_entry_t *entry = &APR_ARRAY_IDX(registry, i, la_provider_entry_t);

        if ((visible(entry->server, server) || visible(server, entry->server)) &&
            strcmp(entry->provider->name, name) == 0) {
            return entry;
        }
    }
    return NULL;
}

/* Splits a line's arguments as httpd does: white space, quotes, backslashes. */
static apr_array_header_t *split(apr_pool_t *pool, const char *arguments)
{
    apr_array_header_t *words = apr_array_make(pool, 4, sizeof(const char *));

    while (*arguments) {
        APR_ARRAY_PUSH(words, const char *) = ap_getword_conf(pool, &arguments);
    }
    return words;
}

static const char *unknown_type(apr_pool_t *pool, const char *name)
{
    apr_array_header_t *names = la_provider_type_names(pool);
    const char *nearest = la_option_nearest(names, name);

    return nearest ? apr_psprintf(pool,
                                  "<LlamaAuthProvider>: %s is not a type of provider, "
                                  "did you mean %s?",
                                  name, nearest)
                   : apr_psprintf(pool,
                                  "<LlamaAuthProvider>: %s is not a type of provider; there are %s",
                                  name, apr_array_pstrcat(pool, names, ' '));
}

/* A name stands in notes, logs and metrics, so it is kept plain. */
static int plain_name(const char *name)
{
    const char *p;

    for (p = name; *p; p++) {
        if (!apr_isalnum(*p) && !strchr("_.-", *p)) {
            return 0;
        }
    }
    return p != name;
}

/* Makes the provider that a section's first line announces: "NAME TYPE>". */
static const char *open_section(cmd_parms *cmd, const char *arg, la_provider_t **provider)
{
    const char *end = ap_strrchr_c(arg, '>');
    const la_provider_entry_t *other;
    const la_provider_type_t *type;
    apr_array_header_t *words;
    const char *name;

    if (!end) {
        return apr_pstrcat(cmd->pool, cmd->cmd->name, "> directive missing closing '>'", NULL);
    }
    words = split(cmd->temp_pool, apr_pstrmemdup(cmd->temp_pool, arg, (apr_size_t)(end - arg)));
    if (words->nelts != 2) {
        return "<LlamaAuthProvider> takes a name and a type: <LlamaAuthProvider corp custom>";
    }
    name = APR_ARRAY_IDX(words, 0, const char *);
    if (!plain_name(name)) {
        return "<LlamaAuthProvider>: a name is made of letters, digits, '_', '.' and '-'";
    }
    other = clash(cmd->server, name);
    if (other) {
        return apr_psprintf(cmd->pool, "<LlamaAuthProvider>: %s is already defined at %s:%d", name,
                            other->filename, other->line);
    }
    type = la_provider_type_find(APR_ARRAY_IDX(words, 1, const char *));
    if (!type) {
        return unknown_type(cmd->pool, APR_ARRAY_IDX(words, 1, const char *));
    }
    *provider = la_provider_make(cmd->pool, name, type);
    return NULL;
}

static const char *set_option(cmd_parms *cmd, la_provider_t *provider, const ap_directive_t *line)
{
    apr_array_header_t *words;

    if (line->first_child || *line->directive == '<') {
        return apr_psprintf(cmd->pool, "%s: a section cannot stand inside <LlamaAuthProvider>",
                            line->directive);
    }
    words = split(cmd->temp_pool, line->args);
    return la_provider_set(provider, cmd->pool, line->directive, words->nelts,
                           (const char *const *)words->elts);
}

/* <LlamaAuthProvider NAME TYPE>. Its lines are options, not directives: they are walked here, so that
 * a directive of httpd inside is an error instead of taking effect on the server. */
static const char *provider_section(cmd_parms *cmd, void *dconf, const char *arg)
{
    la_provider_t *provider = NULL;
    la_provider_entry_t *entry;
    ap_directive_t *line;
    const char *error = open_section(cmd, arg, &provider);

    (void)dconf;
    if (!provider) {
        return error;
    }
    for (line = cmd->directive->first_child; line; line = line->next) {
        error = set_option(cmd, provider, line);
        if (error) {
            cmd->err_directive = line;
            return error;
        }
    }
    error = la_provider_finish(provider, cmd->pool);
    if (error) {
        return apr_psprintf(cmd->pool, "<LlamaAuthProvider %s %s>: %s", provider->name,
                            provider->type->name, error);
    }
    entry = apr_array_push(registry);
    entry->provider = provider;
    entry->server = cmd->server;
    entry->filename = cmd->directive->filename;
    entry->line = cmd->directive->line_num;
    return NULL;
}

static const char *unknown_provider(cmd_parms *cmd, const char *name)
{
    apr_array_header_t *names = apr_array_make(cmd->temp_pool, 8, sizeof(const char *));
    const char *nearest;
    int i;

    for (i = 0; i < registry->nelts; i++) {
        const la_provider_entry_t *entry = &APR_ARRAY_IDX(registry, i, la_provider_entry_t);

        if (visible(entry->server, cmd->server)) {
            APR_ARRAY_PUSH(names, const char *) = entry->provider->name;
        }
    }
    nearest = la_option_nearest(names, name);
    return nearest
               ? apr_psprintf(cmd->pool, "LlamaAuthUse: there is no provider %s, did you mean %s?",
                              name, nearest)
               : apr_psprintf(cmd->pool,
                              "LlamaAuthUse: there is no provider %s; a <LlamaAuthProvider> "
                              "must stand before its use",
                              name);
}

static int listed(la_provider_t *const *providers, int count, const la_provider_t *provider)
{
    int i;

    for (i = 0; i < count; i++) {
        if (providers[i] == provider) {
            return 1;
        }
    }
    return 0;
}

static const char *set_use(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    la_dir_conf_t *conf = dconf;
    la_provider_t **providers =
        apr_pcalloc(cmd->pool, ((apr_size_t)argc + 1) * sizeof(la_provider_t *));
    la_use_t *use = apr_pcalloc(cmd->pool, sizeof(*use));
    int i;

    if (argc == 0) {
        return "LlamaAuthUse takes the names of providers";
    }
    if (conf->use) {
        return "LlamaAuthUse may be given only once in a section; it takes several names";
    }
    for (i = 0; i < argc; i++) {
        const la_provider_entry_t *entry = find_provider(cmd->server, argv[i]);

        if (!entry) {
            return unknown_provider(cmd, argv[i]);
        }
        if (listed(providers, i, entry->provider)) {
            return apr_psprintf(cmd->pool, "LlamaAuthUse: %s is named twice", argv[i]);
        }
        providers[i] = entry->provider;
    }
    use->count = argc;
    use->providers = providers;
    conf->use = use;
    return NULL;
}

static const char *in_directive(cmd_parms *cmd, const char *error)
{
    return error ? apr_psprintf(cmd->pool, "%s: %s", cmd->cmd->name, error) : NULL;
}

static const char *set_scope(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    la_dir_conf_t *conf = dconf;

    return in_directive(cmd,
                        la_policy_add_scopes(cmd->pool, &conf->scopes, (la_methods_t)cmd->limited,
                                             argc, (const char *const *)argv));
}

static const char *set_attribute(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    la_dir_conf_t *conf = dconf;

    return in_directive(cmd, la_policy_add_attribute(cmd->pool, &conf->attributes,
                                                     (la_methods_t)cmd->limited, argc,
                                                     (const char *const *)argv));
}

static const char *set_outage_status(cmd_parms *cmd, void *dconf, const char *arg)
{
    la_server_conf_t *conf = ap_get_module_config(cmd->server->module_config, &llama_auth_module);

    (void)dconf;
    if (strcmp(arg, "401") == 0) {
        conf->outage_status = HTTP_UNAUTHORIZED;
    } else if (strcmp(arg, "503") == 0) {
        conf->outage_status = HTTP_SERVICE_UNAVAILABLE;
    } else {
        return "LlamaAuthOutageStatus must be 401 or 503";
    }
    return NULL;
}

static const char *set_cache_size(cmd_parms *cmd, void *dconf, const char *arg)
{
    la_server_conf_t *conf = ap_get_module_config(cmd->server->module_config, &llama_auth_module);
    apr_size_t least = la_cache_bytes_min();

    (void)dconf;
    if (cmd->server->is_virtual) {
        return "LlamaAuthCacheSize belongs to the main server: there is one cache for all";
    }
    if (strcasecmp(arg, "off") == 0) {
        conf->cache_bytes = 0;
        return NULL;
    }
    if (!la_option_parse_size(arg, &conf->cache_bytes)) {
        return apr_psprintf(cmd->pool, "LlamaAuthCacheSize: '%s' is no size: write 64M, 1G or off",
                            arg);
    }
    if (conf->cache_bytes < least) {
        return apr_psprintf(
            cmd->pool, "LlamaAuthCacheSize: %s is too small, the least is %" APR_SIZE_T_FMT "K",
            arg, (least + 1023) / 1024);
    }
    return NULL;
}

const command_rec la_config_commands[] = {
    AP_INIT_RAW_ARGS("<LlamaAuthProvider", provider_section, NULL, RSRC_CONF,
                     "defines a provider that validates tokens: its name and its type"),
    AP_INIT_TAKE1("LlamaAuthOutageStatus", set_outage_status, NULL, RSRC_CONF,
                  "status when no provider could answer: 401 or 503"),
    AP_INIT_TAKE1("LlamaAuthCacheSize", set_cache_size, NULL, RSRC_CONF,
                  "size of the shared-memory cache (K, M, G), or off"),
    AP_INIT_TAKE_ARGV("LlamaAuthUse", set_use, NULL, OR_AUTHCFG, "the providers to ask, in order"),
    AP_INIT_TAKE_ARGV("RequireScope", set_scope, NULL, OR_AUTHCFG,
                      "[all|any] and the scopes a caller must have, or none"),
    AP_INIT_TAKE_ARGV("RequireAttribute", set_attribute, NULL, OR_AUTHCFG,
                      "a category and values of which a caller must have one, or none"),
    {NULL}};

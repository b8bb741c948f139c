/* The providers of the configuration: <LlamaAuthProvider> sections, and finding a provider by its
 * name. What an option means is in src/provider; here are only the lines that carry them. Filled
 * while httpd reads its files, constant afterwards.
 */
#include "httpd/config/registry.h"

#include "provider/section.h"

#include <apr_lib.h>
#include <apr_strings.h>

const apr_array_header_t *la_registry_providers(void)
{
    return la_collected.providers;
}

/* Whether a provider defined on one server can be used, or clashes, on another: its own and the
 * main server's. */
static int visible(const server_rec *defined_on, const server_rec *server)
{
    return defined_on == server || !defined_on->is_virtual;
}

/* The provider of that name as `server` sees it, or NULL. Names keep their case. */
static const la_provider_entry_t *find(const server_rec *server, const char *name)
{
    int i;

    for (i = 0; i < la_collected.providers->nelts; i++) {
        const la_provider_entry_t *entry =
            &APR_ARRAY_IDX(la_collected.providers, i, la_provider_entry_t);

        if (visible(entry->server, server) && strcmp(entry->provider->name, name) == 0) {
            return entry;
        }
    }
    return NULL;
}

/* The entry whose name a new provider on `server` would take. A main server's provider may not take
 * a virtual host's name either: which of them a section meant would depend on the order of lines.
 */
static const la_provider_entry_t *clash(const server_rec *server, const char *name)
{
    int i;

    for (i = 0; i < la_collected.providers->nelts; i++) {
        const la_provider_entry_t *entry =
            &APR_ARRAY_IDX(la_collected.providers, i, la_provider_entry_t);

        if ((visible(entry->server, server) || visible(server, entry->server)) &&
            strcmp(entry->provider->name, name) == 0) {
            return entry;
        }
    }
    return NULL;
}

/* How many providers before this one have the label. */
static int taken(const char *label, int before)
{
    int count = 0;
    int i;

    for (i = 0; i < before; i++) {
        count +=
            strcmp(APR_ARRAY_IDX(la_collected.providers, i, la_provider_entry_t).label, label) == 0;
    }
    return count;
}

void la_registry_label(apr_pool_t *pconf)
{
    int i;

    for (i = 0; i < la_collected.providers->nelts; i++) {
        la_provider_entry_t *entry = &APR_ARRAY_IDX(la_collected.providers, i, la_provider_entry_t);
        const char *host = entry->server->server_hostname;

        entry->label = entry->provider->name;
        if (entry->server->is_virtual) {
            entry->label = apr_psprintf(pconf, "%s@%s:%d", entry->provider->name, host ? host : "",
                                        entry->server->port);
        }
        if (taken(entry->label, i)) {
            entry->label = apr_psprintf(pconf, "%s#%d", entry->label, i);
        }
    }
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
    if (end[1 + strspn(end + 1, " \t")]) {
        return "<LlamaAuthProvider>: nothing may follow its '>'; each option stands on a line of "
               "its "
               "own";
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

/* Sets an option and hides a secret in its line: mod_info and DUMP_CONFIG show lines as they are in
 * the tree. */
static const char *set_option(cmd_parms *cmd, la_provider_t *provider, ap_directive_t *line)
{
    apr_array_header_t *words;
    const char *shown;
    const char *error;

    if (line->first_child || *line->directive == '<') {
        return apr_psprintf(cmd->pool, "%s: a section cannot stand inside <LlamaAuthProvider>",
                            line->directive);
    }
    words = split(cmd->temp_pool, line->args);
    error = la_provider_set(provider, cmd->pool, line->directive, words->nelts,
                            (const char *const *)words->elts);
    shown = la_provider_shown(provider, cmd->pool, line->directive, words->nelts,
                              (const char *const *)words->elts);
    if (shown) {
        line->args = shown;
    }
    return error;
}

/* The line whose option an error of the section as a whole begins with; the section's own where it
 * has no such line, as when an option is missing. */
static const ap_directive_t *blamed(const ap_directive_t *section, const char *error)
{
    const ap_directive_t *line;

    for (line = section->first_child; line; line = line->next) {
        apr_size_t len = strlen(line->directive);

        if (strncasecmp(line->directive, error, len) == 0 && !apr_isalnum(error[len])) {
            return line;
        }
    }
    return section;
}

/* <LlamaAuthProvider NAME TYPE>. Its lines are options, not directives: they are walked here, so
 * that a directive of httpd inside is an error instead of taking effect on the server. */
const char *la_registry_section(cmd_parms *cmd, void *dconf, const char *arg)
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
    error = la_section_check(provider, cmd->pool);
    error = error ? error : la_provider_finish(provider, cmd->pool);
    if (error) {
        cmd->err_directive = blamed(cmd->directive, error);
        return apr_psprintf(cmd->pool, "<LlamaAuthProvider %s %s> of %s:%d: %s", provider->name,
                            provider->type->name, cmd->directive->filename,
                            cmd->directive->line_num, error);
    }
    entry = apr_array_push(la_collected.providers);
    entry->provider = provider;
    entry->server = cmd->server;
    entry->filename = cmd->directive->filename;
    entry->line = cmd->directive->line_num;
    return NULL;
}

static const char *unknown(cmd_parms *cmd, const char *name)
{
    apr_array_header_t *names = apr_array_make(cmd->temp_pool, 8, sizeof(const char *));
    const char *nearest;
    int i;

    for (i = 0; i < la_collected.providers->nelts; i++) {
        const la_provider_entry_t *entry =
            &APR_ARRAY_IDX(la_collected.providers, i, la_provider_entry_t);

        if (visible(entry->server, cmd->server)) {
            APR_ARRAY_PUSH(names, const char *) = entry->provider->name;
        }
    }
    nearest = la_option_nearest(names, name);
    return nearest
               ? apr_psprintf(cmd->pool, "there is no provider %s, did you mean %s?", name, nearest)
               : apr_psprintf(cmd->pool,
                              "there is no provider %s; a <LlamaAuthProvider> "
                              "must stand before its use",
                              name);
}

static int is_listed(la_provider_t *const *providers, int count, const la_provider_t *provider)
{
    while (count > 0 && providers[count - 1] != provider) {
        count--;
    }
    return count > 0;
}

const char *la_registry_use(cmd_parms *cmd, int argc, char *const argv[], const la_use_t **use)
{
    la_provider_t **providers = apr_pcalloc(cmd->pool, ((apr_size_t)argc + 1) * sizeof(*providers));
    la_use_t *made = apr_pcalloc(cmd->pool, sizeof(*made));

    if (argc == 0) {
        return "takes the names of providers";
    }
    if (*use) {
        return "may be given only once in a section; it takes several names";
    }
    for (int i = 0; i < argc; i++) {
        const la_provider_entry_t *entry = find(cmd->server, argv[i]);

        if (!entry) {
            return unknown(cmd, argv[i]);
        }
        if (is_listed(providers, i, entry->provider)) {
            return apr_psprintf(cmd->pool, "%s is named twice", argv[i]);
        }
        providers[i] = entry->provider;
    }
    made->count = argc;
    made->providers = providers;
    *use = made;
    return NULL;
}

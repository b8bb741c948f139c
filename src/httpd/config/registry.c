/* Reads <LlamaAuthProvider> sections, and finds their providers by name. src/provider knows what an
 * option means.
 */
#include "httpd/config/registry.h"

#include "httpd/config/lines.h"
#include "provider/section.h"

#include <apr_lib.h>
#include <apr_strings.h>

const apr_array_header_t *la_registry_providers(void)
{
    return la_collected.providers;
}

/* The provider of that name that `server` sees, or NULL. Names keep their case.
 *
 * both_ways: also one that does not see it, but that would see a provider of `server`. A main
 * server's provider may not have a virtual host's name: which of them a section meant would depend
 * on the order of lines.
 */
static const la_provider_entry_t *find_entry(const server_rec *server, const char *name,
                                             int both_ways)
{
    for (int i = 0; i < la_collected.providers->nelts; i++) {
        const la_provider_entry_t *entry =
            &APR_ARRAY_IDX(la_collected.providers, i, la_provider_entry_t);

        if (strcmp(entry->provider->name, name) == 0 &&
            (la_line_is_visible(entry->server, server) ||
             (both_ways && la_line_is_visible(server, entry->server)))) {
            return entry;
        }
    }
    return NULL;
}

/* Whether one of the first `count` providers has the label. */
static int is_label_taken(const char *label, int count)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(APR_ARRAY_IDX(la_collected.providers, i, la_provider_entry_t).label, label) ==
            0) {
            return 1;
        }
    }
    return 0;
}

void la_registry_label(apr_pool_t *pconf)
{
    for (int i = 0; i < la_collected.providers->nelts; i++) {
        la_provider_entry_t *entry = &APR_ARRAY_IDX(la_collected.providers, i, la_provider_entry_t);
        const char *host = entry->server->server_hostname;

        entry->label = entry->provider->name;
        if (entry->server->is_virtual) {
            entry->label = apr_psprintf(pconf, "%s@%s:%d", entry->provider->name, host ? host : "",
                                        entry->server->port);
        }
        if (is_label_taken(entry->label, i)) {
            entry->label = apr_psprintf(pconf, "%s#%d", entry->label, i);
        }
    }
}

/* What to say behind "there is no such name": the nearest of those that there are, or `else_text`.
 */
static const char *suggest(apr_pool_t *pool, const apr_array_header_t *names, const char *name,
                           const char *else_text)
{
    const char *nearest = la_option_nearest(names, name);

    return nearest ? apr_psprintf(pool, ", did you mean %s?", nearest) : else_text;
}

static const char *refuse_type(apr_pool_t *pool, const char *name)
{
    apr_array_header_t *names = la_provider_type_names(pool);

    return apr_pstrcat(
        pool, "<LlamaAuthProvider>: ", name, " is not a type of provider",
        suggest(pool, names, name,
                apr_pstrcat(pool, "; there are ", apr_array_pstrcat(pool, names, ' '), NULL)),
        NULL);
}

/* Names stand in notes, logs and metrics, so they are plain. */
static int is_plain_name(const char *name)
{
    const char *p;

    for (p = name; apr_isalnum(*p) || (*p && strchr("_.-", *p)); p++) {}
    return p != name && !*p;
}

/* Makes the provider of a section's first line: "NAME TYPE>". */
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
               "its own";
    }
    words =
        la_line_words(cmd->temp_pool, apr_pstrmemdup(cmd->temp_pool, arg, (apr_size_t)(end - arg)));
    if (words->nelts != 2) {
        return "<LlamaAuthProvider> takes a name and a type: <LlamaAuthProvider corp custom>";
    }
    name = APR_ARRAY_IDX(words, 0, const char *);
    if (!is_plain_name(name)) {
        return "<LlamaAuthProvider>: a name is made of letters, digits, '_', '.' and '-'";
    }
    other = find_entry(cmd->server, name, 1);
    if (other) {
        return apr_psprintf(cmd->pool, "<LlamaAuthProvider>: %s is already defined at %s:%d", name,
                            other->filename, other->line);
    }
    type = la_provider_type_find(APR_ARRAY_IDX(words, 1, const char *));
    if (!type) {
        return refuse_type(cmd->pool, APR_ARRAY_IDX(words, 1, const char *));
    }
    *provider = la_provider_make(cmd->pool, name, type);
    return NULL;
}

/* Sets an option, and hides a secret in its line, which mod_info and DUMP_CONFIG show. */
static const char *set_option(cmd_parms *cmd, la_provider_t *provider, ap_directive_t *line)
{
    apr_array_header_t *words;
    const char *shown;
    const char *error;

    if (line->first_child || *line->directive == '<') {
        return apr_psprintf(cmd->pool, "%s: a section cannot stand inside <LlamaAuthProvider>",
                            line->directive);
    }
    words = la_line_words(cmd->temp_pool, line->args);
    error = la_provider_set(provider, cmd->pool, line->directive, words->nelts,
                            (const char *const *)words->elts);
    shown = la_provider_shown(provider, cmd->pool, line->directive, words->nelts,
                              (const char *const *)words->elts);
    if (shown) {
        line->args = shown;
    }
    return error;
}

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
        cmd->err_directive = la_line_blamed(cmd->directive, error);
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

static const char *refuse_name(cmd_parms *cmd, const char *name)
{
    apr_array_header_t *names = apr_array_make(cmd->temp_pool, 8, sizeof(const char *));

    for (int i = 0; i < la_collected.providers->nelts; i++) {
        const la_provider_entry_t *entry =
            &APR_ARRAY_IDX(la_collected.providers, i, la_provider_entry_t);

        if (la_line_is_visible(entry->server, cmd->server)) {
            APR_ARRAY_PUSH(names, const char *) = entry->provider->name;
        }
    }
    return apr_pstrcat(
        cmd->pool, "there is no provider ", name,
        suggest(cmd->pool, names, name, "; a <LlamaAuthProvider> must stand before its use"), NULL);
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
    la_provider_t **providers =
        apr_pcalloc(cmd->pool, ((apr_size_t)argc + 1) * sizeof(la_provider_t *));
    la_use_t *made = apr_pcalloc(cmd->pool, sizeof(*made));

    if (argc == 0) {
        return "takes the names of providers";
    }
    if (*use) {
        return "may be given only once in a section; it takes several names";
    }
    for (int i = 0; i < argc; i++) {
        const la_provider_entry_t *entry = find_entry(cmd->server, argv[i], 0);

        if (!entry) {
            return refuse_name(cmd, argv[i]);
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

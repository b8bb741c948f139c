/* Reads <LlamaAuthProvider> sections. What an option means is in src/provider. */
#include "httpd/config/registry.h"

#include "httpd/config/entries.h"
#include "provider/option.h"
#include "provider/section.h"

#include <apr_lib.h>
#include <apr_strings.h>

const apr_array_header_t *la_registry_providers(void)
{
    return la_collected.providers;
}

int la_registry_count(void)
{
    return la_collected.providers->nelts;
}

const la_entry_t *la_registry_at(int i)
{
    return &APR_ARRAY_IDX(la_collected.providers, i, la_entry_t);
}

static const char *refuse_type(apr_pool_t *pool, const char *name)
{
    apr_array_header_t *names = la_provider_type_names(pool);
    const char *nearest = la_option_nearest(names, name);

    return apr_pstrcat(pool, "<LlamaAuthProvider>: ", name, " is not a type of provider",
                       nearest ? ", did you mean " : "; there are ",
                       nearest ? nearest : apr_array_pstrcat(pool, names, ' '), nearest ? "?" : "",
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
    const apr_array_header_t *words = la_entries_words(cmd, arg);
    const la_entry_t *other;
    const la_provider_type_t *type;
    const char *name;

    if (!ap_strrchr_c(arg, '>')) {
        return apr_pstrcat(cmd->pool, cmd->cmd->name, "> directive missing closing '>'", NULL);
    }
    if (!words) {
        return "<LlamaAuthProvider>: nothing may follow its '>'; each option stands on a line of "
               "its own";
    }
    if (words->nelts != 2) {
        return "<LlamaAuthProvider> takes a name and a type: <LlamaAuthProvider corp custom>";
    }
    name = APR_ARRAY_IDX(words, 0, const char *);
    if (!is_plain_name(name)) {
        return "<LlamaAuthProvider>: a name is made of letters, digits, '_', '.' and '-'";
    }
    other = la_entries_find(cmd, la_collected.providers, name, 1);
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
static const char *set_option(cmd_parms *cmd, void *provider, ap_directive_t *line,
                              const apr_array_header_t *words)
{
    const char *const *arguments = (const char *const *)words->elts;
    const char *error =
        la_provider_set(provider, cmd->pool, line->directive, words->nelts, arguments);
    const char *shown =
        la_provider_shown(provider, cmd->pool, line->directive, words->nelts, arguments);

    line->args = shown ? shown : line->args;
    return error;
}

const char *la_registry_section(cmd_parms *cmd, void *dconf, const char *arg)
{
    la_provider_t *provider = NULL;
    const char *error = open_section(cmd, arg, &provider);

    (void)dconf;
    if (!provider) {
        return error;
    }
    error = la_entries_read(cmd, set_option, provider);
    if (error) {
        return error;
    }
    error = la_section_check(provider, cmd->pool);
    error = error ? error : la_provider_finish(provider, cmd->pool);
    if (error) {
        la_entries_blame(cmd, error);
        return apr_psprintf(cmd->pool, "<LlamaAuthProvider %s %s> of %s:%d: %s", provider->name,
                            provider->type->name, cmd->directive->filename,
                            cmd->directive->line_num, error);
    }
    la_entries_add(cmd, la_collected.providers, provider->name)->provider = provider;
    return NULL;
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
        const la_entry_t *entry = la_entries_find(cmd, la_collected.providers, argv[i], 0);

        if (!entry) {
            return apr_pstrcat(
                cmd->pool, "there is no provider ", argv[i],
                la_entries_suggest(cmd, la_collected.providers, argv[i],
                                   "; a <LlamaAuthProvider> must stand before its use"),
                NULL);
        }
        if (la_entries_is_repeated(argv, i)) {
            return apr_psprintf(cmd->pool, "%s is named twice", argv[i]);
        }
        providers[i] = entry->provider;
    }
    *made = (la_use_t){argc, providers};
    *use = made;
    return NULL;
}

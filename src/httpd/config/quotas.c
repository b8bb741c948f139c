/* Reads <LlamaAuthQuota> sections and LlamaAuthQuotaUse lines. Runs while httpd reads its files.
 */
#include "httpd/config/quotas.h"

#include "httpd/config/lines.h"
#include "base/units.h"
#include "provider/option.h"
#include "shm/meter.h"

#include <ap_expr.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <http_log.h>

APLOG_USE_MODULE(llama_auth);

#define BYTES_MAX ((apr_size_t)1 << 36)

static la_quota_entry_t *entry_at(int i)
{
    return &APR_ARRAY_IDX(la_collected.quotas, i, la_quota_entry_t);
}

static int is_label_taken(const char *label, int count)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(entry_at(i)->label, label) == 0) {
            return 1;
        }
    }
    return 0;
}

void la_quotas_label(apr_pool_t *pconf)
{
    for (int i = 0; i < la_collected.quotas->nelts; i++) {
        la_quota_entry_t *entry = entry_at(i);
        const server_rec *server = entry->server;

        entry->label = entry->quota->name;
        if (server->is_virtual) {
            entry->label =
                apr_psprintf(pconf, "%s@%s:%d", entry->label,
                             server->server_hostname ? server->server_hostname : "", server->port);
        }
        if (is_label_taken(entry->label, i)) {
            entry->label = apr_psprintf(pconf, "%s#%d", entry->label, i);
        }
        la_quota_name_limits(pconf, entry->quota, entry->label);
    }
}

const apr_array_header_t *la_quotas_named(apr_pool_t *pool, la_slice_t name)
{
    apr_array_header_t *found = apr_array_make(pool, 1, sizeof(const la_quota_t *));

    for (int i = 0; i < la_collected.quotas->nelts; i++) {
        if (la_slice_is(name, entry_at(i)->quota->name) || la_slice_is(name, entry_at(i)->label)) {
            APR_ARRAY_PUSH(found, const la_quota_t *) = entry_at(i)->quota;
        }
    }
    return found;
}

const apr_array_header_t *la_quotas_by(apr_pool_t *pool, la_quota_by_e by)
{
    apr_array_header_t *found = apr_array_make(pool, 1, sizeof(const la_quota_t *));

    for (int i = 0; i < la_collected.quotas->nelts; i++) {
        if (entry_at(i)->quota->by == by) {
            APR_ARRAY_PUSH(found, const la_quota_t *) = entry_at(i)->quota;
        }
    }
    return found;
}

static const la_quota_entry_t *find(const server_rec *server, const char *name)
{
    for (int i = 0; i < la_collected.quotas->nelts; i++) {
        if (la_line_is_visible(entry_at(i)->server, server) &&
            strcmp(entry_at(i)->quota->name, name) == 0) {
            return entry_at(i);
        }
    }
    return NULL;
}

/* ---- a section ---- */

/* The name that a section's first line announces: "NAME>". */
static const char *read_name(cmd_parms *cmd, const char *arg, const char **name)
{
    const char *end = ap_strrchr_c(arg, '>');
    apr_array_header_t *words;
    const char *error;

    if (!end || end[1 + strspn(end + 1, " \t")]) {
        return "<LlamaAuthQuota NAME> takes a name and ends with '>'; each option stands on a line "
               "of its own";
    }
    words =
        la_line_words(cmd->temp_pool, apr_pstrmemdup(cmd->temp_pool, arg, (apr_size_t)(end - arg)));
    if (words->nelts != 1) {
        return "<LlamaAuthQuota> takes one name: <LlamaAuthQuota fair>";
    }
    *name = APR_ARRAY_IDX(words, 0, const char *);
    error = la_quota_check_name(cmd->pool, *name);
    for (int i = 0; i < la_collected.quotas->nelts && !error; i++) {
        const la_quota_entry_t *other = entry_at(i);

        if ((la_line_is_visible(other->server, cmd->server) || !cmd->server->is_virtual) &&
            strcmp(other->quota->name, *name) == 0) {
            error = apr_psprintf(cmd->pool, "%s is already defined", *name);
        }
    }
    return error ? apr_psprintf(cmd->pool, "<LlamaAuthQuota>: %s", error) : NULL;
}

static const char *set_option(cmd_parms *cmd, la_quota_t *quota, const ap_directive_t *line)
{
    apr_array_header_t *words;

    if (line->first_child || *line->directive == '<') {
        return apr_psprintf(cmd->pool, "%s: a section cannot stand inside <LlamaAuthQuota>",
                            line->directive);
    }
    words = la_line_words(cmd->temp_pool, line->args);
    return la_quota_option(cmd->pool, quota, line->directive, words->nelts,
                           (const char *const *)words->elts);
}

/* Compiles `When`. Attributes are read while a request is served, so no module may answer before.
 */
static const char *compile_when(cmd_parms *cmd, la_quota_t *quota)
{
    const char *error = NULL;

    if (quota->when) {
        quota->when_compiled = ap_expr_parse_cmd(cmd, quota->when, 0, &error, NULL);
    }
    return error ? apr_psprintf(cmd->pool, "When: %s", error) : NULL;
}

const char *la_quotas_section(cmd_parms *cmd, void *dconf, const char *arg)
{
    const char *name = NULL;
    const char *error = read_name(cmd, arg, &name);
    la_quota_t *quota;

    (void)dconf;
    if (error) {
        return error;
    }
    quota = la_quota_make(cmd->pool, name);
    for (const ap_directive_t *line = cmd->directive->first_child; line; line = line->next) {
        error = set_option(cmd, quota, line);
        if (error) {
            cmd->err_directive = line;
            return error;
        }
    }
    error = compile_when(cmd, quota);
    error = error ? error : la_quota_check(cmd->pool, quota);
    if (error) {
        cmd->err_directive = la_line_blamed(cmd->directive, error);
        return apr_psprintf(cmd->pool, "<LlamaAuthQuota %s>: %s", name, error);
    }
    APR_ARRAY_PUSH(la_collected.quotas, la_quota_entry_t) =
        (la_quota_entry_t){.quota = quota, .server = cmd->server};
    return NULL;
}

/* ---- a use ---- */

static const char *find_unknown(cmd_parms *cmd, const char *name)
{
    apr_array_header_t *names = apr_array_make(cmd->temp_pool, 8, sizeof(const char *));
    const char *nearest;

    for (int i = 0; i < la_collected.quotas->nelts; i++) {
        if (la_line_is_visible(entry_at(i)->server, cmd->server)) {
            APR_ARRAY_PUSH(names, const char *) = entry_at(i)->quota->name;
        }
    }
    nearest = la_option_nearest(names, name);
    return nearest
               ? apr_psprintf(cmd->pool, "there is no quota %s, did you mean %s?", name, nearest)
               : apr_psprintf(cmd->pool,
                              "there is no quota %s; a <LlamaAuthQuota> must stand before its "
                              "use",
                              name);
}

const char *la_quotas_use(cmd_parms *cmd, int argc, char *const argv[], const la_quota_use_t **use)
{
    const la_quota_t **named =
        apr_pcalloc(cmd->pool, ((apr_size_t)argc + 1) * sizeof(const la_quota_t *));
    la_quota_use_t *made = apr_pcalloc(cmd->pool, sizeof(*made));

    if (*use) {
        return "may be given only once in a section; it takes several names";
    }
    if (argc == 0) {
        return "takes the names of quotas, or none";
    }
    made->quotas = named;
    *use = made;
    if (argc == 1 && strcasecmp(argv[0], "none") == 0) {
        return NULL;
    }
    for (int i = 0; i < argc; i++) {
        const la_quota_entry_t *entry = find(cmd->server, argv[i]);

        if (!entry) {
            return find_unknown(cmd, argv[i]);
        }
        for (int j = 0; j < i; j++) {
            if (named[j] == entry->quota) {
                return apr_psprintf(cmd->pool, "%s is named twice", argv[i]);
            }
        }
        named[i] = entry->quota;
    }
    made->count = argc;
    return NULL;
}

const char *la_quotas_size(apr_pool_t *pool, const char *arg, apr_size_t *bytes)
{
    return la_units_size(arg, bytes) && *bytes >= LA_METERS_BYTES_MIN && *bytes <= BYTES_MAX
               ? NULL
               : apr_psprintf(pool, "'%s' is no size from 64K to 64G", arg);
}

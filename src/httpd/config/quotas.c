/* Reads <LlamaAuthQuota> sections and LlamaAuthQuotaUse lines. */
#include "httpd/config/quotas.h"

#include "httpd/config/entries.h"
#include "base/units.h"
#include "shm/meter.h"

#include <ap_expr.h>
#include <http_log.h>
#include <apr_strings.h>

APLOG_USE_MODULE(llama_auth);

#define BYTES_MAX ((apr_size_t)1 << 36)

static la_entry_t *entry_at(int i)
{
    return &APR_ARRAY_IDX(la_collected.quotas, i, la_entry_t);
}

void la_quotas_label(apr_pool_t *pconf)
{
    la_entries_label(pconf, la_collected.quotas);
    for (int i = 0; i < la_collected.quotas->nelts; i++) {
        la_quota_name_limits(pconf, entry_at(i)->quota, entry_at(i)->label);
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

/* The name that a section's first line announces: "NAME>". */
static const char *read_name(cmd_parms *cmd, const char *arg, const char **name)
{
    const apr_array_header_t *words = la_entries_words(cmd, arg);
    const char *error;

    if (!words) {
        return "<LlamaAuthQuota NAME> takes a name and ends with '>'; each option stands on a line "
               "of its own";
    }
    if (words->nelts != 1) {
        return "<LlamaAuthQuota> takes one name: <LlamaAuthQuota fair>";
    }
    *name = APR_ARRAY_IDX(words, 0, const char *);
    error = la_quota_check_name(cmd->pool, *name);
    if (!error && la_entries_find(cmd, la_collected.quotas, *name, 1)) {
        error = apr_psprintf(cmd->pool, "%s is already defined", *name);
    }
    return error ? apr_psprintf(cmd->pool, "<LlamaAuthQuota>: %s", error) : NULL;
}

static const char *set_option(cmd_parms *cmd, void *quota, ap_directive_t *line,
                              const apr_array_header_t *words)
{
    return la_quota_option(cmd->pool, quota, line->directive, words->nelts,
                           (const char *const *)words->elts);
}

/* Compiles `When`, which is evaluated while a request is served. */
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
    error = la_entries_read(cmd, set_option, quota);
    if (error) {
        return error;
    }
    error = compile_when(cmd, quota);
    error = error ? error : la_quota_check(cmd->pool, quota);
    if (error) {
        la_entries_blame(cmd, error);
        return apr_psprintf(cmd->pool, "<LlamaAuthQuota %s>: %s", name, error);
    }
    la_entries_add(cmd, la_collected.quotas, quota->name)->quota = quota;
    return NULL;
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
        const la_entry_t *entry = la_entries_find(cmd, la_collected.quotas, argv[i], 0);

        if (!entry) {
            return apr_pstrcat(cmd->pool, "there is no quota ", argv[i],
                               la_entries_suggest(cmd, la_collected.quotas, argv[i],
                                                  "; a <LlamaAuthQuota> must stand before its use"),
                               NULL);
        }
        if (la_entries_is_repeated(argv, i)) {
            return apr_psprintf(cmd->pool, "%s is named twice", argv[i]);
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

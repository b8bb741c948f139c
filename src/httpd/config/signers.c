/* Reads <LlamaAuthSigner> sections. */
#include "httpd/config/signers.h"

#include "httpd/config/entries.h"
#include "io/server.h"

#include <apr_strings.h>
#include <http_log.h>

APLOG_USE_MODULE(llama_auth);

#define ASSERTION_PREFIX "assertion:"

/* The name that a section's first line announces: "NAME>". */
static const char *read_name(cmd_parms *cmd, const char *arg, const char **name)
{
    const apr_array_header_t *words = la_entries_words(cmd, arg);
    const la_entry_t *other;
    const char *error;

    if (!words) {
        return "<LlamaAuthSigner NAME> takes a name and ends with '>'; each option stands on a "
               "line of its own";
    }
    if (words->nelts != 1) {
        return "<LlamaAuthSigner> takes one name: <LlamaAuthSigner internal>";
    }
    *name = APR_ARRAY_IDX(words, 0, const char *);
    error = la_signer_check_name(cmd->pool, *name);
    other = error ? NULL : la_entries_find(cmd, la_collected.signers, *name, 1);
    if (other) {
        error = apr_psprintf(cmd->pool, "%s is already defined at %s:%d", *name, other->filename,
                             other->line);
    }
    return error ? apr_psprintf(cmd->pool, "<LlamaAuthSigner>: %s", error) : NULL;
}

static const char *set_option(cmd_parms *cmd, void *signer, ap_directive_t *line,
                              const apr_array_header_t *words)
{
    return la_signer_option(cmd->pool, signer, line->directive, words->nelts,
                            (const char *const *)words->elts);
}

const char *la_signers_section(cmd_parms *cmd, void *dconf, const char *arg)
{
    const char *name = NULL;
    const char *error = read_name(cmd, arg, &name);
    la_signer_t *signer;

    (void)dconf;
    if (error) {
        return error;
    }
    signer = la_signer_make(cmd->pool, name, (uint32_t)la_collected.signers->nelts);
    error = la_entries_read(cmd, set_option, signer);
    if (error) {
        return error;
    }
    error = la_signer_check(cmd->pool, signer);
    if (error) {
        return apr_psprintf(cmd->pool, "<LlamaAuthSigner %s> %s", name, error);
    }
    la_entries_add(cmd, la_collected.signers, signer->name)->signer = signer;
    return NULL;
}

void la_signers_announce(const server_rec *main_server)
{
    for (int i = 0; i < la_collected.signers->nelts; i++) {
        const la_entry_t *entry = &APR_ARRAY_IDX(la_collected.signers, i, la_entry_t);
        unsigned held;
        const la_signing_key_t *key = la_signer_hold(entry->signer, apr_time_now(), &held);

        ap_log_error(APLOG_MARK, APLOG_INFO, 0, main_server,
                     LA_LOGNO(0373) "signer %s, %s:%d: %s, kid %s", entry->signer->name,
                     entry->filename, entry->line, key->algorithm, key->kid);
        la_signer_release(entry->signer, held);
    }
}

apr_array_header_t *la_signers_seen(apr_pool_t *pool, const server_rec *server)
{
    apr_array_header_t *seen = apr_array_make(pool, 2, sizeof(const la_signer_t *));

    for (int i = 0; i < la_collected.signers->nelts; i++) {
        const la_entry_t *entry = &APR_ARRAY_IDX(la_collected.signers, i, la_entry_t);

        if (la_entries_sees(server, entry)) {
            APR_ARRAY_PUSH(seen, const la_signer_t *) = entry->signer;
        }
    }
    return seen;
}

const char *la_signers_named(cmd_parms *cmd, const char *what, const la_signer_t **signer)
{
    const char *name = what + strlen(ASSERTION_PREFIX);
    const la_entry_t *entry;

    *signer = NULL;
    if (strncasecmp(what, ASSERTION_PREFIX, strlen(ASSERTION_PREFIX)) != 0) {
        return NULL;
    }
    if (!*name) {
        return "assertion: takes a signer's name, as in LlamaAuthForward Authorization "
               "assertion:internal";
    }
    if (ap_check_cmd_context(cmd, NOT_IN_HTACCESS)) {
        return "assertion: is for the server's own configuration: who has an assertion is believed "
               "to be its caller";
    }
    entry = la_entries_find(cmd, la_collected.signers, name, 0);
    *signer = entry ? entry->signer : NULL;
    return entry
               ? NULL
               : apr_pstrcat(cmd->pool, "there is no signer ", name,
                             la_entries_suggest(cmd, la_collected.signers, name,
                                                "; a <LlamaAuthSigner> must stand before its use"),
                             NULL);
}

/* Reads <LlamaAuthSigner> sections, and finds their signers by name. Runs while httpd reads its
 * files. */
#include "httpd/config/signers.h"

#include "httpd/config/lines.h"
#include "io/server.h"
#include "provider/option.h"

#include <apr_strings.h>
#include <http_log.h>

APLOG_USE_MODULE(llama_auth);

#define ASSERTION_PREFIX "assertion:"

static const la_signer_entry_t *entry_at(int i)
{
    return &APR_ARRAY_IDX(la_collected.signers, i, la_signer_entry_t);
}

/* ---- a section ---- */

/* A main server's signer may not have a virtual host's name: which of them a line meant would
 * depend on the order of lines. */
static const char *check_name(cmd_parms *cmd, const char *name)
{
    const char *error = la_signer_check_name(cmd->pool, name);

    for (int i = 0; i < la_collected.signers->nelts && !error; i++) {
        const la_signer_entry_t *other = entry_at(i);

        if ((la_line_is_visible(other->server, cmd->server) ||
             la_line_is_visible(cmd->server, other->server)) &&
            strcmp(other->signer->name, name) == 0) {
            error = apr_psprintf(cmd->pool, "%s is already defined at %s:%d", name, other->filename,
                                 other->line);
        }
    }
    return error;
}

/* The name that a section's first line announces: "NAME>". */
static const char *read_name(cmd_parms *cmd, const char *arg, const char **name)
{
    const char *end = ap_strrchr_c(arg, '>');
    apr_array_header_t *words;
    const char *error;

    if (!end || end[1 + strspn(end + 1, " \t")]) {
        return "<LlamaAuthSigner NAME> takes a name and ends with '>'; each option stands on a "
               "line of its own";
    }
    words =
        la_line_words(cmd->temp_pool, apr_pstrmemdup(cmd->temp_pool, arg, (apr_size_t)(end - arg)));
    if (words->nelts != 1) {
        return "<LlamaAuthSigner> takes one name: <LlamaAuthSigner internal>";
    }
    *name = APR_ARRAY_IDX(words, 0, const char *);
    error = check_name(cmd, *name);
    return error ? apr_psprintf(cmd->pool, "<LlamaAuthSigner>: %s", error) : NULL;
}

static const char *set_option(cmd_parms *cmd, la_signer_t *signer, const ap_directive_t *line)
{
    apr_array_header_t *words;

    if (line->first_child || *line->directive == '<') {
        return apr_psprintf(cmd->pool, "%s: a section cannot stand inside <LlamaAuthSigner>",
                            line->directive);
    }
    words = la_line_words(cmd->temp_pool, line->args);
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
    for (const ap_directive_t *line = cmd->directive->first_child; line; line = line->next) {
        error = set_option(cmd, signer, line);
        if (error) {
            cmd->err_directive = line;
            return error;
        }
    }
    error = la_signer_check(cmd->pool, signer);
    if (error) {
        return apr_psprintf(cmd->pool, "<LlamaAuthSigner %s> %s", name, error);
    }
    APR_ARRAY_PUSH(la_collected.signers, la_signer_entry_t) =
        (la_signer_entry_t){.signer = signer,
                            .server = cmd->server,
                            .filename = cmd->directive->filename,
                            .line = cmd->directive->line_num};
    return NULL;
}

void la_signers_announce(const server_rec *main_server)
{
    for (int i = 0; i < la_collected.signers->nelts; i++) {
        const la_signer_entry_t *entry = entry_at(i);
        unsigned held;
        const la_signing_key_t *key = la_signer_hold(entry->signer, apr_time_now(), &held);

        ap_log_error(APLOG_MARK, APLOG_INFO, 0, main_server,
                     LA_LOGNO(0373) "signer %s, %s:%d: %s, kid %s", entry->signer->name,
                     entry->filename, entry->line, key->algorithm, key->kid);
        la_signer_release(entry->signer, held);
    }
}

/* ---- a use ---- */

apr_array_header_t *la_signers_seen(apr_pool_t *pool, const server_rec *server)
{
    apr_array_header_t *seen = apr_array_make(pool, 2, sizeof(const la_signer_t *));

    for (int i = 0; i < la_collected.signers->nelts; i++) {
        if (la_line_is_visible(entry_at(i)->server, server)) {
            APR_ARRAY_PUSH(seen, const la_signer_t *) = entry_at(i)->signer;
        }
    }
    return seen;
}

static const char *refuse_name(cmd_parms *cmd, const char *name, const apr_array_header_t *seen)
{
    apr_array_header_t *names = apr_array_make(cmd->temp_pool, 4, sizeof(const char *));
    const char *nearest;

    for (int i = 0; i < seen->nelts; i++) {
        APR_ARRAY_PUSH(names, const char *) = APR_ARRAY_IDX(seen, i, const la_signer_t *)->name;
    }
    nearest = la_option_nearest(names, name);
    return nearest
               ? apr_psprintf(cmd->pool, "there is no signer %s, did you mean %s?", name, nearest)
               : apr_psprintf(cmd->pool,
                              "there is no signer %s; a <LlamaAuthSigner> must stand before its "
                              "use",
                              name);
}

const char *la_signers_named(cmd_parms *cmd, const char *what, const la_signer_t **signer)
{
    const char *name = what + strlen(ASSERTION_PREFIX);
    apr_array_header_t *seen;

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
    seen = la_signers_seen(cmd->temp_pool, cmd->server);
    for (int i = 0; i < seen->nelts; i++) {
        const la_signer_t *one = APR_ARRAY_IDX(seen, i, const la_signer_t *);

        if (strcmp(one->name, name) == 0) {
            *signer = one;
            return NULL;
        }
    }
    return refuse_name(cmd, name, seen);
}

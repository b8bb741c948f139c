/* What the sections that define something by name have in common. */
#include "httpd/config/entries.h"

#include "provider/option.h"

#include <apr_lib.h>
#include <apr_strings.h>

static la_entry_t *entry_at(const apr_array_header_t *entries, int i)
{
    return &APR_ARRAY_IDX(entries, i, la_entry_t);
}

/* Splits as httpd does: white space, quotes, backslashes. */
static apr_array_header_t *split(apr_pool_t *pool, const char *arguments)
{
    apr_array_header_t *words = apr_array_make(pool, 4, sizeof(const char *));

    while (*arguments) {
        APR_ARRAY_PUSH(words, const char *) = ap_getword_conf(pool, &arguments);
    }
    return words;
}

apr_array_header_t *la_entries_words(cmd_parms *cmd, const char *arg)
{
    const char *end = ap_strrchr_c(arg, '>');

    return end && !end[1 + strspn(end + 1, " \t")]
               ? split(cmd->temp_pool, apr_pstrmemdup(cmd->temp_pool, arg, (apr_size_t)(end - arg)))
               : NULL;
}

const char *la_entries_read(cmd_parms *cmd, la_entries_set_fn *set, void *defined)
{
    for (ap_directive_t *line = cmd->directive->first_child; line; line = line->next) {
        const char *error = line->first_child || *line->directive == '<'
                                ? apr_psprintf(cmd->pool, "%s: a section cannot stand inside %s>",
                                               line->directive, cmd->cmd->name)
                                : set(cmd, defined, line, split(cmd->temp_pool, line->args));

        if (error) {
            cmd->err_directive = line;
            return error;
        }
    }
    return NULL;
}

void la_entries_blame(cmd_parms *cmd, const char *error)
{
    const ap_directive_t *line = cmd->directive->first_child;

    while (line && (strncasecmp(line->directive, error, strlen(line->directive)) != 0 ||
                    apr_isalnum(error[strlen(line->directive)]))) {
        line = line->next;
    }
    cmd->err_directive = line ? line : cmd->directive;
}

la_entry_t *la_entries_add(cmd_parms *cmd, apr_array_header_t *entries, const char *name)
{
    la_entry_t *entry = apr_array_push(entries);

    *entry = (la_entry_t){.name = name,
                          .server = cmd->server,
                          .filename = cmd->directive->filename,
                          .line = cmd->directive->line_num};
    return entry;
}

int la_entries_sees(const server_rec *server, const la_entry_t *entry)
{
    return entry->server == server || !entry->server->is_virtual;
}

const la_entry_t *la_entries_find(cmd_parms *cmd, const apr_array_header_t *entries,
                                  const char *name, int both_ways)
{
    for (int i = 0; i < entries->nelts; i++) {
        const la_entry_t *entry = entry_at(entries, i);

        if (strcmp(entry->name, name) == 0 &&
            (la_entries_sees(cmd->server, entry) || (both_ways && !cmd->server->is_virtual))) {
            return entry;
        }
    }
    return NULL;
}

const char *la_entries_suggest(cmd_parms *cmd, const apr_array_header_t *entries, const char *name,
                               const char *else_text)
{
    apr_array_header_t *names = apr_array_make(cmd->temp_pool, 8, sizeof(const char *));
    const char *nearest;

    for (int i = 0; i < entries->nelts; i++) {
        if (la_entries_sees(cmd->server, entry_at(entries, i))) {
            APR_ARRAY_PUSH(names, const char *) = entry_at(entries, i)->name;
        }
    }
    nearest = la_option_nearest(names, name);
    return nearest ? apr_psprintf(cmd->pool, ", did you mean %s?", nearest) : else_text;
}

int la_entries_is_repeated(char *const words[], int at)
{
    int i = 0;

    while (strcmp(words[i], words[at]) != 0) {
        i++;
    }
    return i < at;
}

static int is_label_taken(const apr_array_header_t *entries, int count, const char *label)
{
    int i = 0;

    while (i < count && strcmp(entry_at(entries, i)->label, label) != 0) {
        i++;
    }
    return i < count;
}

void la_entries_label(apr_pool_t *pconf, apr_array_header_t *entries)
{
    for (int i = 0; i < entries->nelts; i++) {
        la_entry_t *entry = entry_at(entries, i);
        const char *host = entry->server->server_hostname;

        entry->label = entry->server->is_virtual
                           ? apr_psprintf(pconf, "%s@%s:%d", entry->name, host ? host : "",
                                          entry->server->port)
                           : entry->name;
        if (is_label_taken(entries, i, entry->label)) {
            entry->label = apr_psprintf(pconf, "%s#%d", entry->label, i);
        }
    }
}

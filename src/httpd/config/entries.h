/* What sections define by name: <LlamaAuthProvider>, <LlamaAuthQuota> and <LlamaAuthSigner>. Their
 * lines are options, not directives: httpd's directives inside are errors and take no effect. */
#pragma once

#include "httpd/config/collected.h"

#include <http_config.h>

/* The words of a section's first line, of const char *, in cmd->temp_pool; NULL if it does not end
 * with its '>'. */
apr_array_header_t *la_entries_words(cmd_parms *cmd, const char *arg);

/* Sets one option: `line`, whose arguments are `words`, of const char *, in cmd->temp_pool. Returns
 * NULL, or what is wrong. */
typedef const char *la_entries_set_fn(cmd_parms *cmd, void *defined, ap_directive_t *line,
                                      const apr_array_header_t *words);

/* Gives each line of the section to `set`. Returns NULL, or what is wrong with one of them. */
const char *la_entries_read(cmd_parms *cmd, la_entries_set_fn *set, void *defined);

/* Has httpd name the line of the section that an error of its options together begins with; else
 * the section's own. */
void la_entries_blame(cmd_parms *cmd, const char *error);

/* Adds an entry for the section of `cmd`; the caller sets what it defines. name: kept, so it lives
 * as long as the configuration. */
la_entry_t *la_entries_add(cmd_parms *cmd, apr_array_header_t *entries, const char *name);

/* Whether a server can use the entry: it is its own or the main server's. */
int la_entries_sees(const server_rec *server, const la_entry_t *entry);

/* The entry of that name that the server of `cmd` sees, or NULL. Names keep their case.
 * both_ways: also a virtual host's, if `cmd` is the main server's. A main server's may not have the
 * name of one: which of them a line meant would depend on the order of lines. */
const la_entry_t *la_entries_find(cmd_parms *cmd, const apr_array_header_t *entries,
                                  const char *name, int both_ways);

/* What to say behind "there is no such name": the nearest that there is, or `else_text`. */
const char *la_entries_suggest(cmd_parms *cmd, const apr_array_header_t *entries, const char *name,
                               const char *else_text);

/* Whether word `at` stands before it too. */
int la_entries_is_repeated(char *const words[], int at);

/* Gives each entry a label of its own; once the configuration is read, when servers have names. */
void la_entries_label(apr_pool_t *pconf, apr_array_header_t *entries);

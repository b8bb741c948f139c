/* Finding lines in httpd's tree of the configuration. In the parent, once it is read. */
#pragma once

#include <httpd.h>
#include <http_config.h>

/* Whether a line is of that directive; a section's name has its `<` and no `>`. */
int la_line_is(const ap_directive_t *line, const char *name);

/* Whether one of the line's arguments is `word`, in any case. */
int la_line_has_word(apr_pool_t *pool, const ap_directive_t *line, const char *word);

/* The first of these lines that is of that directive, or NULL. */
const ap_directive_t *la_lines_find(const ap_directive_t *lines, const char *name);

/* The lines that hold in a section, as far as the configuration alone shows: its own, those of the
 * sections that it stands in, and those of <Location> and <Directory> sections of a path above it.
 * tree: of the section's server. Returns an array of const ap_directive_t *, each the first line of
 * a section; a later section overrides an earlier one. */
apr_array_header_t *la_lines_around(apr_pool_t *pool, const ap_directive_t *tree,
                                    const ap_directive_t *section);

/* The line of that directive that overrides the others in these sections, or NULL. */
const ap_directive_t *la_lines_effective(const apr_array_header_t *sections, const char *name);

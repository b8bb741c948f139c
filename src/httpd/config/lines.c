/* httpd merges sections when it serves a request; what can be said before that is said here. */
#include "httpd/config/lines.h"

int la_line_is(const ap_directive_t *line, const char *name)
{
    return strcasecmp(line->directive, name) == 0;
}

int la_line_has_word(apr_pool_t *pool, const ap_directive_t *line, const char *word)
{
    const char *args = line->args;

    while (*args) {
        if (strcasecmp(ap_getword_conf(pool, &args), word) == 0) {
            return 1;
        }
    }
    return 0;
}

const ap_directive_t *la_lines_find(const ap_directive_t *lines, const char *name)
{
    for (; lines && !la_line_is(lines, name); lines = lines->next) {}
    return lines;
}

/* The path of a <Location> or <Directory>; NULL for other sections and for regular expressions. */
static const char *path_of(apr_pool_t *pool, const ap_directive_t *section)
{
    const char *args = section->args;
    char *path;

    if (!la_line_is(section, "<Location") && !la_line_is(section, "<Directory")) {
        return NULL;
    }
    path = ap_getword_conf(pool, &args);
    path[strcspn(path, ">")] = '\0';
    return strcmp(path, "~") == 0 ? NULL : path;
}

/* Whether a section applies to every request that another one applies to. <Location "/"> applies to
 * all of them. */
static int covers(apr_pool_t *pool, const ap_directive_t *above, const ap_directive_t *section)
{
    const char *path = path_of(pool, above);
    const char *inner = path_of(pool, section);
    apr_size_t len = path ? strlen(path) : 0;

    if (!path || above == section) {
        return 0;
    }
    if (strcmp(path, "/") == 0 && la_line_is(above, "<Location")) {
        return 1;
    }
    return inner && la_line_is(above, section->directive) && strncmp(inner, path, len) == 0 &&
           (!inner[len] || inner[len] == '/' || (len > 0 && path[len - 1] == '/'));
}

static void add_covering(apr_pool_t *pool, const ap_directive_t *tree,
                         const ap_directive_t *section, apr_array_header_t *sections)
{
    for (; tree; tree = tree->next) {
        if (covers(pool, tree, section)) {
            APR_ARRAY_PUSH(sections, const ap_directive_t *) = tree->first_child;
        }
    }
}

/* The sections that the section stands in, the outermost first, and itself. */
static void add_enclosing(const ap_directive_t *section, apr_array_header_t *sections)
{
    if (section) {
        add_enclosing(section->parent, sections);
        APR_ARRAY_PUSH(sections, const ap_directive_t *) = section->first_child;
    }
}

apr_array_header_t *la_lines_around(apr_pool_t *pool, const ap_directive_t *tree,
                                    const ap_directive_t *section)
{
    apr_array_header_t *sections = apr_array_make(pool, 8, sizeof(const ap_directive_t *));

    if (tree != ap_conftree) {
        add_covering(pool, ap_conftree, section, sections); /* a virtual host inherits them */
    }
    add_covering(pool, tree, section, sections);
    add_enclosing(section, sections);
    return sections;
}

const ap_directive_t *la_lines_effective(const apr_array_header_t *sections, const char *name)
{
    const ap_directive_t *found = NULL;

    for (int i = sections->nelts - 1; i >= 0 && !found; i--) {
        found = la_lines_find(APR_ARRAY_IDX(sections, i, const ap_directive_t *), name);
    }
    return found;
}

/* Parses templates, so that a wrong one stops the start. */
#include "httpd/config/errordocs.h"

#include "io/file.h"
#include "io/server.h"

#include <apr_strings.h>

#include <string.h>

/* Largest template. */
#define TEMPLATE_LIMIT_BYTES ((apr_size_t)64 * 1024)

/* The statuses that the module answers with. */
static const int statuses[] = {400, 401, 403, 404, 413, 415, 429, 500, 502, 503};
#define STATUSES (sizeof(statuses) / sizeof(statuses[0]))

struct la_errordocs_t {
    const la_denial_form_t *forms[STATUSES];
    const la_denial_form_t *fallback; /* `default` */
};

static const char *read_file(apr_pool_t *pool, const char *name, const la_denial_form_t **form)
{
    const char *path = la_host()->path(pool, name);
    la_slice_t text;
    const char *error;

    if (!path) {
        return apr_psprintf(pool, "'%s' is no path", name);
    }
    error = la_file_read(la_file_make(pool, path, TEMPLATE_LIMIT_BYTES), pool, &text);
    error = error ? error : la_denial_form_parse(pool, text, form);
    return error ? apr_pstrcat(pool, path, ": ", error, NULL) : NULL;
}

#define FILE_PREFIX "file:"

int la_errordocs_is_file(const char *what)
{
    return strncmp(what, FILE_PREFIX, sizeof(FILE_PREFIX) - 1) == 0;
}

static const char *read_form(apr_pool_t *pool, const char *what, const la_denial_form_t **form)
{
    *form = la_denial_form_preset(what);
    if (*form) {
        return NULL;
    }
    if (la_errordocs_is_file(what)) {
        return read_file(pool, what + sizeof(FILE_PREFIX) - 1, form);
    }
    if (*what != '{') {
        return apr_psprintf(
            pool,
            "'%s' is no JSON object, no file:PATH and none of llama, ogx, openai, anthropic, "
            "mcp, problem",
            what);
    }
    return la_denial_form_parse(pool, la_slice_of(what), form);
}

/* The index of a status; STATUSES if it has none. */
static apr_size_t find_status(apr_int64_t status)
{
    apr_size_t i = 0;

    while (i < STATUSES && statuses[i] != status) {
        i++;
    }
    return i;
}

/* Where the form for a status (a number, or `default`) is kept; NULL for any other word. */
static const la_denial_form_t **find_form(la_errordocs_t *documents, const char *status)
{
    apr_size_t i = strlen(status) == 3 ? find_status(apr_atoi64(status)) : STATUSES;

    if (strcasecmp(status, "default") == 0) {
        return &documents->fallback;
    }
    return i < STATUSES ? &documents->forms[i] : NULL;
}

const char *la_errordocs_add(apr_pool_t *pool, const la_errordocs_t **documents, const char *status,
                             const char *what)
{
    la_errordocs_t *made = *documents ? apr_pmemdup(pool, *documents, sizeof(*made))
                                      : apr_pcalloc(pool, sizeof(*made));
    const la_denial_form_t **form = find_form(made, status);

    if (!form) {
        return apr_psprintf(pool,
                            "'%s' is none of 400, 401, 403, 404, 413, 415, 429, 500, 502, "
                            "503, default",
                            status);
    }
    if (*form) {
        return apr_psprintf(pool, "%s is named twice in this section", status);
    }
    *documents = made;
    return read_form(pool, what, form);
}

const la_errordocs_t *la_errordocs_merge(apr_pool_t *pool, const la_errordocs_t *parent,
                                         const la_errordocs_t *section)
{
    la_errordocs_t *merged;

    if (!parent || !section || section->fallback) {
        return section ? section : parent;
    }
    merged = apr_pmemdup(pool, parent, sizeof(*merged));
    for (apr_size_t i = 0; i < STATUSES; i++) {
        merged->forms[i] = section->forms[i] ? section->forms[i] : parent->forms[i];
    }
    return merged;
}

const la_denial_form_t *la_errordocs_form(const la_errordocs_t *documents, int status)
{
    apr_size_t i = find_status(status);

    if (!documents) {
        return NULL;
    }
    return i < STATUSES && documents->forms[i] ? documents->forms[i] : documents->fallback;
}

/* LlamaAuthErrorDocument: which form an error document has, by status. */
#pragma once

#include "access/denial_form.h"

/* The lines of one section. Constant. */
typedef struct la_errordocs_t la_errordocs_t;

/* Adds one line to a section's.
 * documents: the lines so far, replaced; may point to NULL. status: 400, 401, 403, 404, 413,
 * 415, 429, 500, 502, 503 or `default`. what: a JSON text, file:PATH (relative to ServerRoot, read
 * now) or a preset's name. Returns NULL, or what is wrong. */
const char *la_errordocs_add(apr_pool_t *pool, const la_errordocs_t **documents, const char *status,
                             const char *what);

/* Whether a line's last word names a file. An .htaccess may not, since httpd reads more files. */
int la_errordocs_is_file(const char *what);

/* A nested section's lines over its parent's; its `default` line replaces all of the parent's.
 * Either may be NULL. */
const la_errordocs_t *la_errordocs_merge(apr_pool_t *pool, const la_errordocs_t *parent,
                                         const la_errordocs_t *section);

/* The form for a status; NULL is the module's own. */
const la_denial_form_t *la_errordocs_form(const la_errordocs_t *documents, int status);

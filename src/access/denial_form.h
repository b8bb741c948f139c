/* The forms of an error document: the presets of spec section 8, and administrators' templates. */
#pragma once

#include "access/denial.h"

/* One form. Constant. */
typedef struct la_denial_form_t la_denial_form_t;

/* What a document may say besides the denial. NULL is empty. */
typedef struct la_denial_context_t {
    const char *realm;
    const char *method;
    const char *path;
    const char *request_id;
    const char *rpc_id; /* of a JSON-RPC request, as JSON; NULL is null */
} la_denial_context_t;

/* The preset of that name in any case (llama, ogx, openai, anthropic, mcp,
 * problem), or NULL. */
const la_denial_form_t *la_denial_form_preset(const char *name);

/* Reads a template: one JSON object. In its string values, not in its names, `%{message}`,
 * `%{status}`, `%{code}`, `%{scope}`, `%{realm}`, `%{method}`, `%{path}` and `%{request_id}` stand
 * for what they name. text: copied. form: in `pool`, NULL on failure. Returns NULL, or what is
 * wrong: no JSON, no object, a placeholder that does not exist or does not end. */
const char *la_denial_form_parse(apr_pool_t *pool, la_slice_t text, const la_denial_form_t **form);

/* A copy of the form in `pool`; presets and NULL are returned as they are. */
const la_denial_form_t *la_denial_form_copy(apr_pool_t *pool, const la_denial_form_t *form);

/* Writes a document, which is valid JSON whatever the values hold.
 * form: NULL is `llama`. content_type: a constant. Returns the text, in `pool`, NUL-terminated. */
la_slice_t la_denial_form_write(apr_pool_t *pool, const la_denial_form_t *form,
                                const la_denial_t *denial, const la_denial_context_t *context,
                                const char **content_type);

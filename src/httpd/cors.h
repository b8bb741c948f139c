/* Browsers: RequireOrigin refuses requests of pages from elsewhere, LlamaAuthCors lets pages read
 * answers (the Fetch standard's CORS protocol). */
#pragma once

#include <httpd.h>

/* Checks RequireOrigin. Returns OK, or the status of a denial that is recorded. */
int la_cors_check_origin(request_rec *r);

/* Remembers the LlamaAuthCors line of the first section, and answers a preflight of an origin that
 * it lists. Returns DECLINED, or the answer's status. */
int la_cors_begin(request_rec *r);

/* Sets the fields that let every page read this answer, instead of LlamaAuthCors's. For handlers
 * whose documents are public. methods: for the answer to a preflight. */
void la_cors_open_to_all(request_rec *r, const char *methods);

/* Hooks insert_filter and insert_error_filter. */
void la_cors_insert_filter(request_rec *r);

/* Registers the output filter; once, with the hooks. */
void la_cors_register(void);

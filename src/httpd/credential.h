/* Finds a request's token, and removes it before the backend sees it. */
#pragma once

#include "access/token.h"
#include "httpd/config/token_sources.h"

/* What a request has as its credential. */
typedef struct la_credential_t {
    la_slice_t token;                /* malformed or too long too; inside the request or its pool */
    la_scheme_e scheme;              /* Bearer for a token that is not in Authorization */
    const la_token_source_t *source; /* where it is; NULL is Authorization */
    int elsewhere;                   /* it is not in Authorization */
} la_credential_t;

/* Finds the request's token, in the query string that the client sent too (query.h). fields: as the
 * client sent them (la_request_fields()). sources: NULL is Authorization alone. dpop: whether the
 * scheme DPoP is one of ours here (binding.h). */
la_token_e la_credential_find(request_rec *r, const apr_table_t *fields,
                              const la_sources_t *sources, int dpop, la_credential_t *found);

/* The name of the field, the parameter or the cookie, for the log. */
const char *la_credential_source(const la_credential_t *found);

/* What the client is told of a credential that is not well-formed; NULL for one in Authorization,
 * whose text is the denial's own. */
const char *la_credential_fault(apr_pool_t *pool, const la_credential_t *found);

/* The query string without tokens; r->args itself if it has none. */
const char *la_credential_query(request_rec *r, const la_sources_t *sources);

/* Hides tokens in the query string from logs, for names that the first hook could not know: those
 * of an .htaccess. */
void la_credential_redact(request_rec *r, const la_sources_t *sources);

/* Removes the credentials from the request: header fields, query parameters and cookies of all
 * sources, and with Authorization the proof for it. */
void la_credential_remove(request_rec *r, const la_sources_t *sources);

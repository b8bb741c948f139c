/* Finding a request's token, and taking it out of the request before the backend sees it. */
#ifndef LA_CREDENTIAL_H
#define LA_CREDENTIAL_H

#include "access/token.h"
#include "httpd/config/token_sources.h"

typedef enum la_credential_e {
    LA_CREDENTIAL_MISSING,
    LA_CREDENTIAL_MALFORMED,
    LA_CREDENTIAL_SEVERAL, /* more than one source has one, or one has several */
    LA_CREDENTIAL_FOUND
} la_credential_e;

/* Finds the request's token, in a query string that of the client's own (query.h): 1 to
 * LA_TOKEN_MAX_BYTES visible ASCII characters but comma, in whatever source.
 *
 * fields:    the header fields as the client sent them (la_request_fields()).
 * sources:   NULL is Authorization alone.
 * token:     on success, points into the request or its pool.
 * elsewhere: on success, whether it was found outside Authorization.
 */
la_credential_e la_credential_find(request_rec *r, const apr_table_t *fields,
                                   const la_sources_t *sources, la_slice_t *token, int *elsewhere);

/* The query string without tokens, for those that are told of it; r->args itself where no source is
 * in it. */
const char *la_credential_query(request_rec *r, const la_sources_t *sources);

/* Keeps a token in the query string out of what is shown and logged of the request, for names that
 * the first hook could not know: those of an .htaccess. */
void la_credential_redact(request_rec *r, const la_sources_t *sources);

/* Takes the credentials out of the request: header fields, query parameters and cookies of all
 * sources. */
void la_credential_remove(request_rec *r, const la_sources_t *sources);

#endif

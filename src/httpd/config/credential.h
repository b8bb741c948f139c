/* Where a request's token is (LlamaAuthTokenSource), and taking it out of the request before the backend sees it. */
#ifndef LA_CREDENTIAL_H
#define LA_CREDENTIAL_H

#include "base/slice.h"
#include "access/token.h"

#include <httpd.h>

/* The sources of one section. Constant. */
typedef struct la_sources_t la_sources_t;

/* Reads the arguments of LlamaAuthTokenSource. Returns NULL, or what is wrong. */
const char *la_sources_parse(apr_pool_t *pool, int count, char *const words[],
                             const la_sources_t **sources);

/* The names of the header fields that the sources are in (`Cookie` too), but for Authorization: array of const char *;
 * NULL for NULL. */
const apr_array_header_t *la_sources_headers(const la_sources_t *sources);

/* The names of the parameters of a query string that the sources are: array of const char *; NULL for NULL. */
const apr_array_header_t *la_sources_queries(const la_sources_t *sources);

/* Whether a token may be in a field of that name, compared as CGI would see it; Cookie too. sources: NULL is Authorization. */
int la_sources_are_in(const la_sources_t *sources, la_slice_t field);

/* Both for all sections of the configuration together: to be emptied before it is read (pconf's memory), added to
 * while it is read, constant afterwards. */
void la_sources_reset(apr_pool_t *pconf);
void la_sources_announce(const la_sources_t *sources);
const apr_array_header_t *la_sources_all_headers(void);
const apr_array_header_t *la_sources_all_queries(void);

/* How a client may send its token, in RFC 9728's words: `header`, `query`. Array of const char * in `pool`. */
apr_array_header_t *la_sources_bearer_methods(apr_pool_t *pool, const la_sources_t *sources);

typedef enum la_credential_e {
    LA_CREDENTIAL_MISSING,
    LA_CREDENTIAL_MALFORMED,
    LA_CREDENTIAL_SEVERAL, /* more than one source has one, or one has several */
    LA_CREDENTIAL_FOUND
} la_credential_e;

/* Finds the request's token, in a query string that of the client's own (query.h): 1 to LA_TOKEN_MAX_BYTES visible ASCII characters but comma, in whatever source.
 *
 * fields:    the header fields as the client sent them (la_request_fields()).
 * sources:   NULL is Authorization alone.
 * token:     on success, points into the request or its pool.
 * elsewhere: on success, whether it was found outside Authorization.
 */
la_credential_e la_credential_find(request_rec *r, const apr_table_t *fields,
                                   const la_sources_t *sources, la_slice_t *token, int *elsewhere);

/* The query string without tokens, for those that are told of it; r->args itself where no source is in it. */
const char *la_credential_query(request_rec *r, const la_sources_t *sources);

/* Keeps a token in the query string out of what is shown and logged of the request, for names that the first hook could not
 * know: those of an .htaccess. */
void la_credential_redact(request_rec *r, const la_sources_t *sources);

/* Takes the credentials out of the request: header fields, query parameters and cookies of all sources. */
void la_credential_remove(request_rec *r, const la_sources_t *sources);

#endif

/* Where a request's token may be (LlamaAuthTokenSource). */
#pragma once

#include "base/slice.h"

#include <httpd.h>

typedef enum la_token_place_e {
    LA_PLACE_AUTHORIZATION,
    LA_PLACE_HEADER,
    LA_PLACE_QUERY,
    LA_PLACE_COOKIE
} la_token_place_e;

typedef struct la_token_source_t {
    la_token_place_e kind;
    const char *name;  /* of the header, the parameter or the cookie; empty for Authorization */
    const char *field; /* the header field that it is in, or NULL */
} la_token_source_t;

/* The sources of one section. Constant. */
typedef struct la_sources_t {
    int count;
    la_token_source_t *sources;
    apr_array_header_t *headers; /* names of fields, of const char *; Cookie too */
    apr_array_header_t *queries; /* names of parameters */
} la_sources_t;

/* Reads the arguments of LlamaAuthTokenSource. Returns NULL, or what is wrong. */
const char *la_sources_parse(apr_pool_t *pool, int count, char *const words[],
                             const la_sources_t **sources);

/* The names of the header fields that the sources are in (`Cookie` too), except Authorization:
 * array of const char *; NULL for NULL. */
const apr_array_header_t *la_sources_headers(const la_sources_t *sources);

/* The names of the query parameters that the sources are, likewise. */
const apr_array_header_t *la_sources_queries(const la_sources_t *sources);

/* Whether a token, or the proof for one, may be in a field of that name, compared as CGI would see
 * it. sources: NULL is Authorization. */
int la_sources_are_in(const la_sources_t *sources, la_slice_t field);

/* Adds the names to those of all sections (collected.h), while the configuration is read. */
void la_sources_announce(const la_sources_t *sources);

/* How a client may send its token (RFC 9728: `header`, `query`), of const char *, in `pool`. */
apr_array_header_t *la_sources_bearer_methods(apr_pool_t *pool, const la_sources_t *sources);

/* The URI of an HTTP request as two sides that do not know each other write it, made comparable
 * (RFC 3986 sections 6.2.2 and 6.2.3). Any thread. */
#pragma once

#include "base/slice.h"

#include <apr_pools.h>

/* An http or https URI in its normal form, without query and fragment. */
typedef struct la_uri_t {
    const char *scheme; /* "http" or "https" */
    la_slice_t host;    /* in lower case; IPv6 in brackets */
    int port;           /* the scheme's own if the URI names none */
    la_slice_t path;    /* begins with `/` */
} la_uri_t;

/* The scheme's own port. */
int la_uri_default_port(const char *scheme);

/* Splits a URI and normalises its parts: the case of scheme and host, the scheme's own port,
 * escapes of unreserved characters (undone) and the case of the others, dot segments, an empty
 * path. Query and fragment are left out. Bytes beyond ASCII in the path count as if they were
 * escaped.
 *
 * uri: its parts live in `pool`. Returns NULL, or what is wrong: not http or https, a user, no host
 * or no port number, white space or control characters.
 */
const char *la_uri_parse(apr_pool_t *pool, la_slice_t text, la_uri_t *uri);

/* A path as la_uri_parse() makes it of one, in `pool`. Data is NULL if it does not begin with `/`,
 * or if it has white space or control characters. path: up to its query or fragment, if any. */
la_slice_t la_uri_path(apr_pool_t *pool, la_slice_t path);

/* A host in lower case, with its escapes undone, in `pool`. */
la_slice_t la_uri_host(apr_pool_t *pool, la_slice_t host);

/* A URI as text, in `pool`. */
const char *la_uri_text(apr_pool_t *pool, const la_uri_t *uri);

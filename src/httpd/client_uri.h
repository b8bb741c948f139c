/* The URI by which the client asked, against which a DPoP proof's `htu` is compared. */
#pragma once

#include "base/uri.h"

#include <httpd.h>

/* Whether a URI names what the client asked for with the first request of the chain: its path is
 * that of the request line, and its origin is ours. Ours are that of LlamaAuthResource where it
 * holds, else ServerName, each ServerAlias without wildcards, and the host that the client named if
 * it fits one with wildcards, with the port that the client named. The scheme is https where TLS
 * ends here, or where `UseCanonicalName On` and `ServerName https://...` say so; then ServerName's
 * port counts too.
 *
 * request: a request_rec, the one whose section holds. For la_dpop_terms_t. */
int la_client_uri_is(const void *request, const la_uri_t *uri);

/* One of the URIs that la_client_uri_is() agrees to, for the log. In the request's pool. */
const char *la_client_uri_text(request_rec *r);

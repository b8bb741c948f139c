/* What holds for a request in its section: is it ours, do rules apply, is it a preflight. */
#pragma once

#include "access/policy.h"

#include <httpd.h>

/* Whether `AuthType Bearer` holds here. */
int la_section_is_bearer(request_rec *r);

/* The methods whose rules hold for a request: its own, and the one that the client sent, which
 * differs if httpd shows an error page or includes a page (GET). HEAD counts as GET. */
la_methods_t la_section_methods(request_rec *r);

/* Whether a rule on callers (RequireScope, RequireModel and their like) applies to this request. */
int la_section_has_rules(request_rec *r);

/* Whether the fields of a client's request announce a body, for HEAD too. */
int la_section_has_body(const request_rec *r);

/* Whether a field may make a backend take the request for another method. */
int la_section_overrides_method(const request_rec *r);

/* Whether this is the Fetch standard's CORS-preflight request, and nothing that could be more: no
 * body, and no field that could make a backend take it for a request of another method. */
int la_section_looks_like_preflight(request_rec *r);

/* Whether this is a CORS preflight that LlamaAuthPreflight lets through without a caller. */
int la_section_is_preflight(request_rec *r);

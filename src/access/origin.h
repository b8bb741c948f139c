/* Web origins (RFC 6454): a scheme, a host and a port, as an Origin field or a line of the
 * configuration names them. Text only; any thread. */
#pragma once

#include "base/slice.h"

#include <apr_pools.h>

/* The form in which two origins are compared: `null`, or scheme://host[:port] in lower case and
 * without the scheme's default port. IPv6 addresses get inet_ntop()'s form. In `pool`; NULL if the
 * text is anything else: a list, with a path or a user, not ASCII, more than 300 characters. */
const char *la_origin_normalize(apr_pool_t *pool, const char *text);

/* What is wrong with an origin that an administrator wrote, for an error message, or NULL; then
 * *origin is its normal form. Both live in `pool`. */
const char *la_origin_parse(apr_pool_t *pool, const char *text, const char **origin);

/* Whether two URLs name the same resource (RFC 3986 section 6.2): the same origin, a path of `/`
 * alone being none, and the rest byte for byte. Texts that are no URLs, or have a user, are the
 * same only byte for byte. Works in `pool`. */
int la_origin_is_same_url(apr_pool_t *pool, la_slice_t a, la_slice_t b);

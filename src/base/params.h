/* Named values in query strings and Cookie fields, where tokens may come instead of in
 * Authorization: finding and removing them. */
#pragma once

#include "base/slice.h"

#include <apr_pools.h>
#include <apr_tables.h>

/* Whether a text is a token of RFC 9110 section 5.6.2: the name of a header field or a cookie. */
int la_params_is_name(const char *text);

/* Decodes application/x-www-form-urlencoded: `+` is a space, %XX a byte, and a `%` that begins no
 * escape stands for itself. In `pool`, closed with a NUL. */
la_slice_t la_params_decode(apr_pool_t *pool, la_slice_t text);

/* Cuts the next parameter off a query string; without `=` its value is empty. `name` and `value`
 * are as they were written. rest: NULL is empty. Returns 0 at the end. */
int la_params_next(const char **rest, la_slice_t *name, la_slice_t *value);

/* How many parameters of a query string have that name, decoded, and a value that is not empty.
 * query: without `?`; NULL is empty. value: of the first one, decoded, in `pool`; it may hold any
 * byte. Empty when there is none. */
int la_params_query(apr_pool_t *pool, const char *query, const char *name, la_slice_t *value);

/* The query string without the parameters of those names; NULL when none is left. In `pool`, or
 * `query` itself when it has none of them. names: of const char *; NULL is empty. */
const char *la_params_query_without(apr_pool_t *pool, const char *query,
                                    const apr_array_header_t *names);

/* How many cookies of a Cookie field (RFC 6265 section 4.2.1) have exactly that name and a value
 * that is not empty. field: NULL is empty. value: of the first one, without the quotes around it;
 * points into `field`. */
int la_params_cookie(const char *field, const char *name, la_slice_t *value);

/* The Cookie field without the cookies of that name; NULL when none is left. In `pool`, or `field`
 * itself when it has none of them. */
const char *la_params_cookie_without(apr_pool_t *pool, const char *field, const char *name);

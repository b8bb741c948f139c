/* Query strings (application/x-www-form-urlencoded) written as JSON. */
#pragma once

#include "base/json.h"

#include <apr_pools.h>

/* Appends the parameters of a query string as an object of lists: `tag=a&n=1&tag=b` becomes
 * {"tag":["a","b"],"n":["1"]}. Leaves out parameters without a value. Bytes that are not UTF-8
 * become U+FFFD, and names that are the same then are one. Linear in time and memory. query:
 * NUL-terminated, without `?`. */
void la_form_write(la_json_writer_t *writer, const char *query, apr_pool_t *pool);

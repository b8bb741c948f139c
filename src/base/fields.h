/* Header fields in a table: removing some, and removing names from a Connection field. Both are
 * linear in time and memory. */
#pragma once

#include "base/slice.h"

#include <apr_tables.h>

/* Whether to remove a field of that name. */
typedef int la_fields_test_fn(const void *context, la_slice_t name);

/* Removes the entries that the test names, from number `first` on. The others keep their order,
 * keys and values. pool: for a copy, made only when something is removed. */
void la_fields_remove(apr_table_t *fields, int first, la_fields_test_fn *test, const void *context,
                      apr_pool_t *pool);

/* The value of a Connection field without the options that the test names; NULL when none is left.
 * In `pool`, or `value` itself when nothing is removed. Options end as in mod_proxy, which removes
 * the fields that they name from a request: at commas, semicolons and white space, but not inside
 * quotes. */
const char *la_fields_connection_without(apr_pool_t *pool, const char *value,
                                         la_fields_test_fn *test, const void *context);

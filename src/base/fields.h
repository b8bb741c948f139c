/* Header fields as they are in a table: taking some out, and taking names out of a Connection
 * field. Both in time and memory that grow no faster than what a client sent.
 */
#ifndef LA_FIELDS_H
#define LA_FIELDS_H

#include "base/slice.h"

#include <apr_tables.h>

/* Whether a field of that name is to go. */
typedef int la_fields_test_fn(const void *context, la_slice_t name);

/* Removes entries of a table: those that the test names, among the entries from number `first` on.
 * The order of the others stays; keys and values stay where they are.
 *
 * pool: for a moment's copy, made only where something is removed.
 */
void la_fields_remove(apr_table_t *fields, int first, la_fields_test_fn *test, const void *context,
                      apr_pool_t *pool);

/* The value of a Connection field without the options that the test names; NULL when none is left.
 * In `pool`, or `value` itself where nothing is removed.
 *
 * Options end where mod_proxy ends them, which takes the fields that they name off a request: at
 * commas, semicolons and white space, but not inside quotes.
 */
const char *la_fields_connection_without(apr_pool_t *pool, const char *value,
                                         la_fields_test_fn *test, const void *context);

#endif

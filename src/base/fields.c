#include "base/fields.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <string.h>

/* apr_table_unset() reads the whole table for each name; filling the table again reads it once. */
void la_fields_remove(apr_table_t *fields, int first, la_fields_test_fn *test, const void *context,
                      apr_pool_t *pool)
{
    const apr_array_header_t *array = apr_table_elts(fields);
    const apr_table_entry_t *entries = (const apr_table_entry_t *)array->elts;
    int count = array->nelts;
    int kept = first;

    while (kept < count && !test(context, la_slice_of(entries[kept].key))) {
        kept++;
    }
    if (kept == count) {
        return;
    }
    entries = apr_pmemdup(pool, entries, (apr_size_t)count * sizeof(*entries));
    apr_table_clear(fields);
    for (int i = 0; i < count; i++) {
        if (i < kept || !test(context, la_slice_of(entries[i].key))) {
            apr_table_addn(fields, entries[i].key, entries[i].val);
        }
    }
}

/* ---- Connection ---- */

static int separates(char c)
{
    return c == ',' || c == ';' || apr_isspace(c);
}

/* Cuts the next option off `*rest`. Returns 0 at the end. */
static int next_option(const char **rest, la_slice_t *option)
{
    const char *p = *rest;

    for (; separates(*p); p++) {}
    option->data = p;
    while (*p && !separates(*p)) {
        if (*p++ == '"') {
            p += strcspn(p, "\"");
            p += *p == '"';
        }
    }
    option->len = (apr_size_t)(p - option->data);
    *rest = p;
    return option->len > 0;
}

static const char *join_others(apr_pool_t *pool, const char *value, la_fields_test_fn *test,
                               const void *context)
{
    char *kept = apr_palloc(pool, strlen(value) + 1);
    char *end = kept;
    la_slice_t option;

    while (next_option(&value, &option)) {
        if (!test(context, option)) {
            if (end > kept) {
                *end++ = ',';
            }
            memcpy(end, option.data, option.len);
            end += option.len;
        }
    }
    *end = '\0';
    return end > kept ? kept : NULL;
}

const char *la_fields_connection_without(apr_pool_t *pool, const char *value,
                                         la_fields_test_fn *test, const void *context)
{
    const char *rest = value;
    la_slice_t option;

    while (next_option(&rest, &option)) {
        if (test(context, option)) {
            return join_others(pool, value, test, context);
        }
    }
    return value;
}

#include "base/form.h"

#include "base/hash.h"
#include "base/params.h"

#include <apr_hash.h>
#include <apr_tables.h>

/* One parameter: its name as JSON, and its values as they came, `"a","b"`. */
typedef struct param_t {
    la_slice_t name;
    la_json_writer_t values;
} param_t;

typedef struct params_t {
    apr_pool_t *pool;
    apr_hash_t *by_name;
    apr_array_header_t *in_order; /* of param_t *, by first appearance */
} params_t;

/* The parameter of that name. Compares names as JSON: bytes that are not UTF-8 all become U+FFFD,
 * and an object has a name only once. */
static param_t *find_param(params_t *params, la_slice_t name)
{
    la_json_writer_t json;
    param_t *param;

    la_json_writer_init(&json, params->pool);
    la_json_write_string(&json, name);
    param = apr_hash_get(params->by_name, json.data, (apr_ssize_t)json.len);
    if (!param) {
        param = apr_palloc(params->pool, sizeof(*param));
        param->name = (la_slice_t){json.data, json.len};
        la_json_writer_init(&param->values, params->pool);
        apr_hash_set(params->by_name, json.data, (apr_ssize_t)json.len, param);
        APR_ARRAY_PUSH(params->in_order, param_t *) = param;
    }
    return param;
}

static void add_pair(params_t *params, la_slice_t name, la_slice_t value)
{
    param_t *param = find_param(params, la_params_decode(params->pool, name));

    if (param->values.len > 0) {
        la_json_write_raw(&param->values, LA_SLICE(","));
    }
    la_json_write_string(&param->values, la_params_decode(params->pool, value));
}

void la_form_write(la_json_writer_t *writer, const char *query, apr_pool_t *pool)
{
    params_t params = {pool, apr_hash_make_custom(pool, la_hash_keyed),
                       apr_array_make(pool, 8, sizeof(param_t *))};
    la_slice_t name;
    la_slice_t value;

    while (la_params_next(&query, &name, &value)) {
        if (value.len > 0) {
            add_pair(&params, name, value);
        }
    }
    la_json_write_raw(writer, LA_SLICE("{"));
    for (int i = 0; i < params.in_order->nelts; i++) {
        const param_t *param = APR_ARRAY_IDX(params.in_order, i, param_t *);

        if (i > 0) {
            la_json_write_raw(writer, LA_SLICE(","));
        }
        la_json_write_raw(writer, param->name);
        la_json_write_raw(writer, LA_SLICE(":["));
        la_json_write_raw(writer, (la_slice_t){param->values.data, param->values.len});
        la_json_write_raw(writer, LA_SLICE("]"));
    }
    la_json_write_raw(writer, LA_SLICE("}"));
}

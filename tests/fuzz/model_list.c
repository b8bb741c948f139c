/* Lists of models: what is left is a list again, and names no model that may not stay. */
#include "access/model_list.h"
#include "base/json.h"

#include "fuzz.h"

static int is_short(void *baton, apr_pool_t *pool, la_slice_t model)
{
    (void)baton;
    (void)pool;
    return model.len < 4;
}

static void check_list(const la_json_t *root, const char *list, const char *name, const char *other)
{
    const la_json_t *items;
    const la_json_t *member;
    la_slice_t text;

    if (!la_json_member(root, list, &items)) {
        return;
    }
    for (apr_size_t i = 0; i < la_json_count(items); i++) {
        const la_json_t *item = la_json_item(items, i);

        HOLDS(la_json_member(item, name, &member) ||
              (other && la_json_member(item, other, &member)));
        HOLDS(la_json_string(member, &text) && text.len > 0 && text.len < 4);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char *copy = exact(data, size);
    la_slice_t filtered;
    const la_json_t *root;

    if (!la_model_list_filter(pool, (la_slice_t){copy, size}, is_short, NULL, &filtered)) {
        HOLDS(la_json_parse(pool, filtered, &root) == NULL);
        HOLDS(la_json_type(root) == LA_JSON_OBJECT);
        check_list(root, "data", "id", NULL);
        check_list(root, "models", "name", "model");
    }
    free(copy);
    apr_pool_destroy(pool);
    return 0;
}

/* Changes of a key file that httpd accepts, perhaps with members that it does not know: untouched
 * items keep their bytes, and the result is again such a file. */
#include "keys/edit.h"
#include "provider/static_keys.h"

#include "fuzz.h"

static const la_static_keys_t *parse(la_slice_t text, apr_pool_t *pool)
{
    static const la_provider_common_t common;
    static const la_static_keys_form_t form = {.common = &common, .lenient = 1};
    la_static_keys_t *keys;

    return la_static_keys_parse(text, &form, pool, pool, &keys) ? NULL : keys;
}

static const la_api_key_t *key_at(const la_static_keys_t *keys, int i)
{
    return APR_ARRAY_IDX(la_static_keys_all(keys), i, const la_api_key_t *);
}

static void check_same(la_slice_t text, apr_pool_t *pool)
{
    la_edit_t edit;

    HOLDS(!la_edit_open(pool, text, &edit));
    HOLDS(la_slice_equals(la_edit_text(&edit), text));
}

/* Disables all keys except the first, which is removed. */
static void check_changed(la_slice_t text, const la_static_keys_t *keys, apr_pool_t *pool)
{
    int count = la_static_keys_all(keys)->nelts;
    const la_static_keys_t *then;
    la_edit_t edit;

    HOLDS(!la_edit_open(pool, text, &edit));
    for (int i = 0; i < count; i++) {
        la_edit_item_t *item = la_edit_item(&edit, key_at(keys, i)->position);

        item->removed = i == 0;
        item->text = la_edit_set(pool, item->text, "disabled", "true");
    }
    then = parse(la_edit_text(&edit), pool);
    HOLDS(then && la_static_keys_all(then)->nelts == (count > 0 ? count - 1 : 0));
    for (int i = 1; i < count; i++) {
        HOLDS(key_at(then, i - 1)->disabled);
        HOLDS(memcmp(key_at(then, i - 1)->digest, key_at(keys, i)->digest, LA_DIGEST_BYTES) == 0);
    }
}

/* Adds a key, unless it is there already. */
static void check_added(la_slice_t text, const la_static_keys_t *keys, apr_pool_t *pool)
{
    static const unsigned char zeros[LA_DIGEST_BYTES];
    const la_static_keys_t *then;
    la_edit_t edit;

    if (la_static_keys_find(keys, zeros)) {
        return;
    }
    HOLDS(!la_edit_open(pool, text, &edit));
    APR_ARRAY_PUSH(edit.added, const char *) =
        "{\"sha256\":\"0000000000000000000000000000000000000000000000000000000000000000\","
        "\"principal\":\"p\"}";
    then = parse(la_edit_text(&edit), pool);
    HOLDS(then && la_static_keys_all(then)->nelts == la_static_keys_all(keys)->nelts + 1);
    HOLDS(la_static_keys_find(then, zeros));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char *bytes = exact(data, size);
    la_slice_t text = {bytes, size};
    const la_static_keys_t *keys = parse(text, pool);
    la_edit_t edit;

    if (keys && !la_edit_open(pool, text, &edit)) {
        check_same(text, pool);
        check_changed(text, keys, pool);
        check_added(text, keys, pool);
    }
    free(bytes);
    apr_pool_destroy(pool);
    return 0;
}

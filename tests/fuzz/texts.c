/* Small parsers of what clients and endpoints send: query strings, cookies, Connection, times,
 * Cache-Control, scopes, origins, nonces. */
#include "base/units.h"
#include "access/origin.h"
#include "base/fields.h"
#include "base/form.h"
#include "io/cache_control.h"
#include "base/json.h"
#include "base/params.h"
#include "lookup/nonce.h"
#include "lookup/purge.h"
#include "shm/purge_log.h"
#include "base/timestamp.h"
#include "provider/option.h"

#include "fuzz.h"

static void try_params(apr_pool_t *pool, const char *text)
{
    la_slice_t value;
    const char *rest;
    apr_array_header_t *names = apr_array_make(pool, 1, sizeof(const char *));
    int count = la_params_query(pool, text, "key", &value);

    APR_ARRAY_PUSH(names, const char *) = "key";
    rest = la_params_query_without(pool, text, names);
    HOLDS(count >= 0 && la_params_query(pool, rest, "key", &value) == 0);
    count = la_params_cookie(text, "key", &value);
    rest = la_params_cookie_without(pool, text, "key");
    HOLDS(count >= 0 && la_params_cookie(rest, "key", &value) == 0);
}

/* Sees each option, and counts them in `context`. */
static int count_key(const void *context, la_slice_t name)
{
    int is_key = name.len == 3 && memcmp(name.data, "key", 3) == 0;

    HOLDS(name.len > 0);
    *(int *)(uintptr_t)context += is_key;
    return is_key;
}

static void try_connection(apr_pool_t *pool, const char *text)
{
    int count = 0;
    const char *rest = la_fields_connection_without(pool, text, count_key, &count);

    HOLDS((count > 0) == (rest != text));
    count = 0;
    HOLDS(!rest || (strlen(rest) <= strlen(text) &&
                    la_fields_connection_without(pool, rest, count_key, &count) == rest));
}

static void try_form(apr_pool_t *pool, const char *text)
{
    la_json_writer_t writer;
    const la_json_t *parsed;

    la_json_writer_init(&writer, pool);
    la_form_write(&writer, text, pool);
    HOLDS(is_field_value(writer.data, writer.len));
    /* A NUL in a member's name is JSON, but none that we read. */
    HOLDS(strstr(writer.data, "\\u0000") ||
          la_json_parse(pool, (la_slice_t){writer.data, writer.len}, &parsed) == NULL);
}

static void try_origin(apr_pool_t *pool, const char *text)
{
    const char *origin;
    const char *fault = la_origin_parse(pool, text, &origin);

    HOLDS((fault == NULL) == (origin != NULL));
    if (origin) {
        HOLDS(strcmp(la_origin_normalize(pool, origin), origin) == 0);
        HOLDS(is_field_value(origin, strlen(origin)));
    }
}

/* A foreign text is no nonce; one that was made for its time is, and no other of that time. */
static void try_nonce(apr_pool_t *pool, const char *text)
{
    static const unsigned char key[LA_NONCE_KEY_BYTES] = "a key that the fuzzer cannot use";
    la_shared_t shared = {.nonce_key = key};
    char made[LA_NONCE_LEN + 1];
    uint64_t at = strlen(text) == LA_NONCE_LEN
                      ? strtoull(apr_pstrmemdup(pool, text, 16), NULL, 16) & (UINT64_MAX >> 2)
                      : 0;

    if (at == 0) {
        HOLDS(la_nonce_check(&shared, la_slice_of(text), 0) == LA_NONCE_BAD);
        return;
    }
    la_nonce_make(&shared, (apr_time_t)at, made);
    HOLDS(la_nonce_check(&shared, la_slice_of(made), (apr_time_t)at) == LA_NONCE_GOOD);
    HOLDS((la_nonce_check(&shared, la_slice_of(text), (apr_time_t)at) == LA_NONCE_GOOD) ==
          (strcmp(text, made) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char *text = exact_text(data, size);
    apr_interval_time_t us;
    apr_size_t bytes;
    apr_time_t time;
    la_purge_t purge;

    try_params(pool, text);
    try_form(pool, text);
    try_connection(pool, text);
    try_origin(pool, text);
    try_nonce(pool, text);
    if (la_timestamp_parse(la_slice_of(text), &time)) {
        HOLDS(time > APR_INT64_C(-62200000000000000) && time < APR_INT64_C(260000000000000000));
    }
    if (la_cache_control_read(text, &us)) {
        HOLDS(us >= 0);
    }
    if (la_units_duration(text, &us)) {
        HOLDS(us >= 0);
    }
    if (la_units_size(text, &bytes)) {
        HOLDS(strlen(text) > 0);
    }
    la_purge_parse(la_slice_of(text), &purge);
    free(text);
    apr_pool_destroy(pool);
    return 0;
}

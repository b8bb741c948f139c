/* The command line of llama-auth-keys, one word a line: what is accepted is sound. */
#include "keys/options.h"

#include "base/json_scan.h"

#include "fuzz.h"

#define WORDS_MAX 32

static void check_text(const char *text)
{
    apr_size_t len = text ? strlen(text) : 0;

    HOLDS(text && len > 0);
    while (len > 0) {
        unsigned code;
        apr_size_t width = la_utf8_decode((const unsigned char *)text, len, &code);

        HOLDS(code >= 0x20 && code != 0x7f && code != LA_NOT_UTF8);
        text += width;
        len -= width;
    }
}

static void check_add(const la_key_options_t *options)
{
    check_text(options->id);
    check_text(options->principal);
    HOLDS(!options->sha256 || strlen(options->sha256) == 64);
    HOLDS(options->prefix && strlen(options->prefix) <= 32);
    HOLDS(options->expires >= 0 && options->not_before >= 0);
    if (options->note) {
        check_text(options->note);
    }
    for (int i = 0; i < options->attributes->nelts; i++) {
        const la_key_attribute_t *attribute =
            &APR_ARRAY_IDX(options->attributes, i, la_key_attribute_t);

        check_text(attribute->category);
        for (int j = 0; j < attribute->values->nelts; j++) {
            check_text(APR_ARRAY_IDX(attribute->values, j, const char *));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    la_slice_t rest = {(const char *)data, size};
    apr_pool_t *pool = fuzz_pool();
    char *words[WORDS_MAX];
    la_key_options_t options;
    const char *error;
    int count = 0;

    while (rest.len > 0 && count < WORDS_MAX) {
        la_slice_t line = take_line(&rest);

        words[count++] = exact_text(line.data, line.len);
    }
    error = la_key_options_parse(pool, count, (const char *const *)words,
                                 APR_TIME_C(1798761600000000), &options);
    if (!error && options.verb != LA_KEYS_HELP) {
        HOLDS(options.file && *options.file);
        HOLDS(options.overlap_us >= 0 && options.expiring_us >= -1);
        if (options.verb == LA_KEYS_ADD) {
            check_add(&options);
        }
    }
    for (int i = 0; i < count; i++) {
        free(words[i]);
    }
    apr_pool_destroy(pool);
    return 0;
}

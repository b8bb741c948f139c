/* api_key.c: keys made of given random bytes, and what a token looks like. The expected texts come
 * from another program (Python's zlib.crc32 and divmod). */
#include "support.h"

#include "provider/api_key.h"

typedef struct make_case_t {
    const char *name;
    const char *prefix;
    int first; /* byte i is (first + step * i) mod 256 */
    int step;
    const char *key;
} make_case_t;

static make_case_t make_cases[] = {
    {"make: counted", "lla_", 1, 1, "lla_0Eoh211G4c8wtVWM00my5rsNSFlKgaWqQ4mb8gdEqno07m8bq"},
    {"make: zeros", "lla_", 0, 0, "lla_00000000000000000000000000000000000000000003I7woH"},
    {"make: the largest", "acme-prod_", 255, 0,
     "acme-prod_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp11I9kni"},
    {"make: no prefix", "", 17, 41, "45HvSegpCF2zFOtwbq4kkowqzk8AswYXOTZf0jJaUuG3Y0P3i"},
};

static void test_make(void **state)
{
    const make_case_t *row = *state;
    unsigned char bytes[LA_API_KEY_RANDOM_BYTES];
    apr_pool_t *pool = new_pool();
    const char *key;

    for (int i = 0; i < LA_API_KEY_RANDOM_BYTES; i++)
        bytes[i] = (unsigned char)(row->first + row->step * i);
    key = la_api_key_make(pool, row->prefix, bytes);
    assert_string_equal(key, row->key);
    assert_int_equal(la_api_key_form(slice_of_text(key)), LA_API_KEY_SOUND);
    apr_pool_destroy(pool);
}

/* Each single character that is wrong shows, in the prefix too. */
static void test_mistyped(void **state)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    apr_pool_t *pool = new_pool();
    char *key = apr_pstrdup(pool, make_cases[0].key);

    (void)state;
    for (size_t i = 0; i < strlen(key); i++) {
        char kept = key[i];

        for (const char *c = digits; *c; c++) {
            key[i] = *c;
            assert_int_equal(la_api_key_form(slice_of_text(key)), *c == kept ? LA_API_KEY_SOUND
                                                                  : kept == '_'
                                                                      ? LA_API_KEY_OTHER
                                                                      : LA_API_KEY_MISTYPED);
        }
        key[i] = kept;
    }
    apr_pool_destroy(pool);
}

typedef struct form_case_t {
    const char *name;
    const char *token;
    la_api_key_form_e form;
} form_case_t;

#define ZEROS "0000000000000000000000000000000000000000000000000"

static form_case_t form_cases[] = {
    {"form: empty", "", LA_API_KEY_OTHER},
    {"form: the prefix alone", "lla_", LA_API_KEY_OTHER},
    {"form: 64 hex digits", "6d7aae45627d48368e3d4e027c4404a2bd31b0a35db975a2b1bcfdcf68ff32a4",
     LA_API_KEY_OTHER},
    {"form: 49 characters", ZEROS, LA_API_KEY_OTHER},
    {"form: with a prefix", "x_" ZEROS, LA_API_KEY_MISTYPED},
    {"form: one too many", "x_" ZEROS "0", LA_API_KEY_OTHER},
    {"form: the longest prefix", "0123456789012345678901234567890_" ZEROS, LA_API_KEY_MISTYPED},
    {"form: a prefix too long", "01234567890123456789012345678901_" ZEROS, LA_API_KEY_OTHER},
    {"form: another character", "x_" ZEROS "-", LA_API_KEY_OTHER},
};

static void test_form(void **state)
{
    const form_case_t *row = *state;

    assert_int_equal(la_api_key_form(slice_of_text(row->token)), row->form);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(make_cases); i++)
        add(make_cases[i].name, test_make, &make_cases[i]);
    for (size_t i = 0; i < ROWS(form_cases); i++)
        add(form_cases[i].name, test_form, &form_cases[i]);
    add("mistyped", test_mistyped, NULL);
    return finish("api_key");
}

/* base64url.c: strictly, and bytes have one spelling. */
#include "support.h"

#include "base/base64url.h"

#include "jose.h"

typedef struct good_case_t {
    const char *name;
    const char *text;
    la_slice_t bytes;
} good_case_t;

static good_case_t good_cases[] = {
    {"empty", "", {"", 0}},
    {"RFC 4648: f", "Zg", {"f", 1}},
    {"RFC 4648: fo", "Zm8", {"fo", 2}},
    {"RFC 4648: foo", "Zm9v", {"foo", 3}},
    {"RFC 4648: foob", "Zm9vYg", {"foob", 4}},
    {"RFC 4648: fooba", "Zm9vYmE", {"fooba", 5}},
    {"RFC 4648: foobar", "Zm9vYmFy", {"foobar", 6}},
    {"RFC 7515 appendix C", "A-z_4ME", {"\x03\xec\xff\xe0\xc1", 5}},
    {"NUL", "AA", {"\0", 1}},
    {"two NUL", "AAA", {"\0\0", 2}},
    {"three NUL", "AAAA", {"\0\0\0", 3}},
    {"all bits", "____", {"\xff\xff\xff", 3}},
    {"all bits of one byte", "_w", {"\xff", 1}},
    {"all bits of two bytes", "__8", {"\xff\xff", 2}},
    {"the whole alphabet",
     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
     {"\x00\x10\x83\x10\x51\x87\x20\x92\x8b\x30\xd3\x8f\x41\x14\x93\x51\x55\x97\x61\x96\x9b\x71\xd7"
      "\x9f\x82\x18\xa3\x92\x59\xa7\xa2\x9a\xab\xb2\xdb\xaf\xc3\x1c\xb3\xd3\x5d\xb7\xe3\x9e\xbb\xf3"
      "\xdf\xbf",
      48}},
};

typedef struct bad_case_t {
    const char *name;
    la_slice_t text;
} bad_case_t;

#define BAD(text) LA_SLICE(text)

static bad_case_t bad_cases[] = {
    {"one character", BAD("A")},
    {"five characters", BAD("Zm9vY")},
    {"padding", BAD("Zg==")},
    {"padding of one", BAD("Zm8=")},
    {"padding alone", BAD("====")},
    {"padding in the middle", BAD("Zg==Zg==")},
    {"plus", BAD("A+z_")},
    {"slash", BAD("A/z_")},
    {"space in front", BAD(" Zm9")},
    {"space behind", BAD("Zm9 ")},
    {"line end", BAD("Zm9v\n")},
    {"line end in the middle", BAD("Zm9v\r\nYmFy")},
    {"tab", BAD("Zm\t9")},
    {"dot", BAD("Zm9v.YmFy")},
    {"NUL", BAD("Zm9v\0YmF")},
    {"NUL at the end", BAD("Zm9v\0")},
    {"a byte beyond ASCII", BAD("Zm9\xc3")},
    {"the byte 255", BAD("\xff\xff\xff\xff")},
    {"UTF-8", BAD("Zm\xc3\xa9")},
    {"before A", BAD("@@@@")},
    {"after Z", BAD("[[[[")},
    {"before a", BAD("````")},
    {"after z", BAD("{{{{")},
    {"after 9", BAD("::::")},
    {"before -", BAD(",,,,")},
    {"before 0", BAD("/000")},
    {"unused bits of one byte: lowest", BAD("Zh")},
    {"unused bits of one byte: highest", BAD("Zo")},
    {"unused bits of one byte: all", BAD("Zv")},
    {"unused bits of two bytes: lowest", BAD("Zm9")},
    {"unused bits of two bytes: highest", BAD("Zm-")},
    {"unused bits after a full group", BAD("Zm9vYh")},
};

/* The text in a block of exactly its size, so that ASan sees a read beyond it. */
static int decode(apr_pool_t *pool, la_slice_t text, la_slice_t *bytes)
{
    char *tight = malloc(text.len > 0 ? text.len : 1);
    int decoded;

    assert_non_null(tight);
    memcpy(tight, text.data, text.len);
    decoded = la_base64url_decode(pool, (la_slice_t){tight, text.len}, bytes);
    free(tight);
    return decoded;
}

static void test_good(void **state)
{
    const good_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_slice_t bytes;

    assert_int_equal(decode(pool, slice_of_text(row->text), &bytes), 1);
    assert_int_equal(bytes.len, row->bytes.len);
    assert_memory_equal(bytes.data, row->bytes.data, bytes.len);
    assert_int_equal(bytes.data[bytes.len], '\0');
    apr_pool_destroy(pool);
}

static void test_bad(void **state)
{
    const bad_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_slice_t bytes = {"x", 1};

    assert_int_equal(decode(pool, row->text, &bytes), 0);
    assert_int_equal(bytes.len, 0);
    assert_non_null(bytes.data);
    apr_pool_destroy(pool);
}

/* There and back, for every length up to some hundreds. */
static void test_lengths(void **state)
{
    unsigned char bytes[300];
    apr_pool_t *pool = new_pool();

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 167 + 13);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        la_slice_t back;

        assert_int_equal(decode(pool, slice_of_text(encode_base64url(pool, bytes, len)), &back), 1);
        assert_int_equal(back.len, len);
        assert_memory_equal(back.data, bytes, len);
    }
    apr_pool_destroy(pool);
}

/* The RFCs' texts the other way, into a block of exactly their size. */
static void test_encode(void **state)
{
    const good_case_t *row = *state;
    size_t len = strlen(row->text);
    char *text = malloc(LA_BASE64URL_CHARS(row->bytes.len) + 1);

    assert_non_null(text);
    assert_int_equal(LA_BASE64URL_CHARS(row->bytes.len), len);
    assert_int_equal(la_base64url_encode(row->bytes, text), len);
    assert_string_equal(text, row->text);
    free(text);
}

/* What is encoded is decoded to the same, whatever the length. */
static void test_encode_lengths(void **state)
{
    char bytes[300];
    char text[LA_BASE64URL_CHARS(sizeof(bytes)) + 1];
    apr_pool_t *pool = new_pool();

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 167 + 13);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        la_slice_t back;

        la_base64url_encode((la_slice_t){bytes, len}, text);
        assert_string_equal(text, encode_base64url(pool, (const unsigned char *)bytes, len));
        assert_int_equal(decode(pool, slice_of_text(text), &back), 1);
        assert_int_equal(back.len, len);
        assert_memory_equal(back.data, bytes, len);
    }
    apr_pool_destroy(pool);
}

/* Of all texts of two characters, each byte has one. */
static void test_one_spelling(void **state)
{
    apr_pool_t *pool = new_pool();
    int spellings[256] = {0};

    (void)state;
    for (int first = 0; first < 256; first++) {
        for (int second = 0; second < 256; second++) {
            char text[2] = {(char)first, (char)second};
            la_slice_t bytes;

            if (decode(pool, (la_slice_t){text, 2}, &bytes)) {
                assert_int_equal(bytes.len, 1);
                spellings[(unsigned char)*bytes.data]++;
            }
        }
        apr_pool_clear(pool);
    }
    for (int byte = 0; byte < 256; byte++)
        assert_int_equal(spellings[byte], 1);
    apr_pool_destroy(pool);
}

int main(void)
{
    apr_pool_t *names;

    start();
    names = new_pool();
    for (size_t i = 0; i < ROWS(good_cases); i++)
        add(good_cases[i].name, test_good, &good_cases[i]);
    for (size_t i = 0; i < ROWS(good_cases); i++) {
        const char *name = good_cases[i].name;

        add(apr_psprintf(names, "encode: %s", name), test_encode, &good_cases[i]);
    }
    for (size_t i = 0; i < ROWS(bad_cases); i++)
        add(bad_cases[i].name, test_bad, &bad_cases[i]);
    add("every length", test_lengths, NULL);
    add("encode: every length", test_encode_lengths, NULL);
    add("one spelling", test_one_spelling, NULL);
    return finish("base64url");
}

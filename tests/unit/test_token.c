/* Tests of src/access/token.c. */
#include "access/token.h"

#include <apr_general.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pthread.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* ---- Authorization -------------------------------------------------------------- */

typedef struct header_row_t {
    const char *name;
    const char *value;
    la_token_e verdict;
    const char *token;
} header_row_t;

static const header_row_t header_rows[] = {
    {"header: none", NULL, LA_TOKEN_MISSING, ""},
    {"header: empty", "", LA_TOKEN_MISSING, ""},
    {"header: a space", " ", LA_TOKEN_MISSING, ""},
    {"header: blanks", " \t \t", LA_TOKEN_MISSING, ""},
    {"header: token", "Bearer abc", LA_TOKEN_FOUND, "abc"},
    {"header: one character", "Bearer a", LA_TOKEN_FOUND, "a"},
    {"header: lower case", "bearer abc", LA_TOKEN_FOUND, "abc"},
    {"header: upper case", "BEARER abc", LA_TOKEN_FOUND, "abc"},
    {"header: mixed case", "bEaReR aBc", LA_TOKEN_FOUND, "aBc"},
    {"header: many spaces", "Bearer     abc", LA_TOKEN_FOUND, "abc"},
    {"header: every sign but comma", "Bearer !\"#$%&'()*+-./:;<=>?@[\\]^_`{|}~", LA_TOKEN_FOUND,
     "!\"#$%&'()*+-./:;<=>?@[\\]^_`{|}~"},
    {"header: JWT", "Bearer eyJ0.eyJ1-_.c2ln", LA_TOKEN_FOUND, "eyJ0.eyJ1-_.c2ln"},
    {"header: the scheme's name as token", "Bearer Bearer", LA_TOKEN_FOUND, "Bearer"},
    {"header: scheme alone", "Bearer", LA_TOKEN_MALFORMED, ""},
    {"header: scheme and a space", "Bearer ", LA_TOKEN_MALFORMED, ""},
    {"header: scheme and spaces", "Bearer    ", LA_TOKEN_MALFORMED, ""},
    {"header: scheme and a tab", "Bearer\tabc", LA_TOKEN_MALFORMED, ""},
    {"header: scheme, space, tab", "Bearer \tabc", LA_TOKEN_MALFORMED, ""},
    {"header: Basic", "Basic dXNlcjpwdw==", LA_TOKEN_MALFORMED, ""},
    {"header: Digest", "Digest username=\"x\"", LA_TOKEN_MALFORMED, ""},
    {"header: token without scheme", "abc", LA_TOKEN_MALFORMED, ""},
    {"header: half a scheme", "Bear abc", LA_TOKEN_MALFORMED, ""},
    {"header: longer scheme", "Bearers abc", LA_TOKEN_MALFORMED, ""},
    {"header: no space", "Bearerabc", LA_TOKEN_MALFORMED, ""},
    {"header: colon", "Bearer: abc", LA_TOKEN_MALFORMED, ""},
    {"header: leading space", " Bearer abc", LA_TOKEN_MALFORMED, ""},
    {"header: trailing space", "Bearer abc ", LA_TOKEN_MALFORMED, ""},
    {"header: trailing tab", "Bearer abc\t", LA_TOKEN_MALFORMED, ""},
    {"header: inner space", "Bearer abc def", LA_TOKEN_MALFORMED, ""},
    {"header: inner tab", "Bearer abc\tdef", LA_TOKEN_MALFORMED, ""},
    {"header: comma", "Bearer abc,def", LA_TOKEN_MALFORMED, ""},
    {"header: repeated", "Bearer abc, Bearer def", LA_TOKEN_MALFORMED, ""},
    {"header: empty and repeated", ", Bearer abc", LA_TOKEN_MALFORMED, ""},
    {"header: only a comma", "Bearer ,", LA_TOKEN_MALFORMED, ""},
    {"header: newline", "Bearer abc\ndef", LA_TOKEN_MALFORMED, ""},
    {"header: carriage return", "Bearer abc\r", LA_TOKEN_MALFORMED, ""},
    {"header: U+0001", "Bearer abc\x01", LA_TOKEN_MALFORMED, ""},
    {"header: DEL", "Bearer abc\x7f", LA_TOKEN_MALFORMED, ""},
    {"header: 0x80", "Bearer abc\x80", LA_TOKEN_MALFORMED, ""},
    {"header: UTF-8", "Bearer \xc3\xa9", LA_TOKEN_MALFORMED, ""},
    {"header: 0xff", "Bearer \xff", LA_TOKEN_MALFORMED, ""},
    {"header: non-ASCII scheme",
     "B\xc3\xa9"
     "arer abc",
     LA_TOKEN_MALFORMED, ""},
};

static const header_row_t dpop_rows[] = {
    {"DPoP: token", "DPoP abc", LA_TOKEN_FOUND, "abc"},
    {"DPoP: lower case", "dpop abc", LA_TOKEN_FOUND, "abc"},
    {"DPoP: upper case", "DPOP abc", LA_TOKEN_FOUND, "abc"},
    {"DPoP: many spaces", "DPoP    abc", LA_TOKEN_FOUND, "abc"},
    {"DPoP: Bearer as token", "DPoP Bearer", LA_TOKEN_FOUND, "Bearer"},
    {"DPoP: scheme alone", "DPoP", LA_TOKEN_MALFORMED, ""},
    {"DPoP: scheme and a space", "DPoP ", LA_TOKEN_MALFORMED, ""},
    {"DPoP: scheme and a tab", "DPoP\tabc", LA_TOKEN_MALFORMED, ""},
    {"DPoP: half a scheme", "DPo abc", LA_TOKEN_MALFORMED, ""},
    {"DPoP: longer scheme", "DPoPs abc", LA_TOKEN_MALFORMED, ""},
    {"DPoP: no space", "DPoPabc", LA_TOKEN_MALFORMED, ""},
    {"DPoP: repeated", "DPoP abc, DPoP def", LA_TOKEN_MALFORMED, ""},
    {"DPoP: and Bearer", "DPoP abc, Bearer def", LA_TOKEN_MALFORMED, ""},
    {"DPoP: inner space", "DPoP abc def", LA_TOKEN_MALFORMED, ""},
};

/* The scheme DPoP is one of ours only where somebody asks for it. */
static void test_dpop(void **state)
{
    const header_row_t *row = *state;
    la_slice_t token;
    la_scheme_e scheme;

    assert_int_equal(la_token_from_authorization(row->value, 1, &token, &scheme), row->verdict);
    if (row->verdict == LA_TOKEN_FOUND) {
        assert_true(la_slice_is(token, row->token));
        assert_int_equal(scheme, LA_SCHEME_DPOP);
    }
    assert_int_equal(la_token_from_authorization(row->value, 0, &token, &scheme),
                     LA_TOKEN_MALFORMED);
    assert_int_equal(token.len, 0);
    assert_int_equal(scheme, LA_SCHEME_OTHER);
    assert_int_equal(la_token_from_authorization("Bearer abc", 1, &token, &scheme), LA_TOKEN_FOUND);
    assert_int_equal(scheme, LA_SCHEME_BEARER);
}

/* Calls with a copy of the value that ends where it ends, so that ASan sees a step too far. */
static la_token_e cut(const char *value, size_t len, const char *wanted, size_t wanted_len)
{
    char *copy = value != NULL ? malloc(len + 1) : NULL;
    la_slice_t token = {NULL, 77};
    la_scheme_e scheme;
    la_token_e verdict;

    if (copy != NULL)
        memcpy(copy, value, len + 1);
    verdict = la_token_from_authorization(copy, 0, &token, &scheme);
    assert_true(verdict != LA_TOKEN_FOUND || scheme == LA_SCHEME_BEARER);
    assert_non_null(token.data);
    assert_true(token.len == 0 || token.data + token.len == copy + len);
    if (verdict == LA_TOKEN_FOUND || verdict == LA_TOKEN_TOO_LONG) {
        assert_int_equal(token.len, wanted_len);
        assert_memory_equal(token.data, wanted, wanted_len);
    }
    free(copy);
    return verdict;
}

static void test_header(void **state)
{
    const header_row_t *row = *state;
    size_t len = row->value != NULL ? strlen(row->value) : 0;

    assert_int_equal(cut(row->value, len, row->token, strlen(row->token)), row->verdict);
}

/* Every byte at every place of tokens around the block length. */
static void test_every_byte(void **state)
{
    char value[7 + 70 + 1] = "Bearer ";

    (void)state;
    for (size_t len = 1; len <= 70; len += len < 62 ? 6 : 1) {
        memset(value + 7, 'x', len);
        value[7 + len] = '\0';
        for (size_t at = 0; at < len; at++) {
            for (int byte = 1; byte < 256; byte++) {
                int bad = byte < 0x21 || byte > 0x7e || byte == ',';

                if (byte == ' ' && at == 0 && len > 1)
                    continue; /* one more space behind the scheme */
                value[7 + at] = (char)byte;
                assert_int_equal(cut(value, 7 + len, value + 7, len),
                                 bad ? LA_TOKEN_MALFORMED : LA_TOKEN_FOUND);
            }
            value[7 + at] = 'x';
        }
    }
}

typedef struct length_row_t {
    const char *name;
    size_t spaces;
    size_t len;
    la_token_e verdict;
} length_row_t;

static const length_row_t length_rows[] = {
    {"length: 900", 1, 900, LA_TOKEN_FOUND},
    {"length: 16,383", 1, 16383, LA_TOKEN_FOUND},
    {"length: 16,384", 1, 16384, LA_TOKEN_FOUND},
    {"length: 16,384 behind 500 spaces", 500, 16384, LA_TOKEN_FOUND},
    {"length: 16,385", 1, 16385, LA_TOKEN_TOO_LONG},
    {"length: 100,000", 1, 100000, LA_TOKEN_TOO_LONG},
};

static void test_length(void **state)
{
    const length_row_t *row = *state;
    size_t start = 6 + row->spaces;
    char *value = malloc(start + row->len + 1);

    memcpy(value, "Bearer", 6);
    memset(value + 6, ' ', row->spaces);
    memset(value + start, 'x', row->len);
    value[start + row->len] = '\0';
    assert_int_equal(cut(value, start + row->len, value + start, row->len), row->verdict);
    free(value);
}

/* ---- faults --------------------------------------------------------------------- */

typedef struct fault_row_t {
    const char *name;
    const char *value;
    const char *fault;
} fault_row_t;

static const fault_row_t fault_rows[] = {
    {"fault: another scheme", "Basic secret", "it is not Bearer and a token"},
    {"fault: nothing behind the scheme", "Bearer  ", "it is not Bearer and a token"},
    {"fault: a blank", "Bearer secret x",
     "byte 7 of 8 is 0x20, and tokens are of visible ASCII characters"},
    {"fault: the last byte", "Bearer secret\xff",
     "byte 7 of 7 is 0xff, and tokens are of visible ASCII characters"},
    {"fault: two fields", "Bearer secret, Bearer secret",
     "there is a comma in it, as if the field had been sent twice"},
};

static void test_fault(void **state)
{
    const fault_row_t *row = *state;
    apr_pool_t *pool;
    la_slice_t token;
    la_scheme_e scheme;

    apr_pool_create(&pool, NULL);
    assert_int_equal(la_token_from_authorization(row->value, 0, &token, &scheme),
                     LA_TOKEN_MALFORMED);
    assert_string_equal(la_token_fault(pool, token), row->fault);
    apr_pool_destroy(pool);
}

/* ---- digests -------------------------------------------------------------------- */

typedef struct digest_row_t {
    const char *name;
    const char *unit;
    size_t count;
    const char *hex;
} digest_row_t;

/* The answers of FIPS 180-4's examples (NIST), as sha256sum gives them too. */
static const digest_row_t digest_rows[] = {
    {"digest: nothing", "", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"digest: abc", "abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"digest: two blocks", "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"digest: a million", "a", 1000000,
     "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
};

static void hex_of(const unsigned char *digest, char hex[65])
{
    for (size_t i = 0; i < LA_DIGEST_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

static void test_digest(void **state)
{
    const digest_row_t *row = *state;
    size_t unit = strlen(row->unit);
    char *text = malloc(unit * row->count + 1);
    unsigned char digest[LA_DIGEST_BYTES];
    char id[LA_CLIENT_ID_LEN + 1];
    char hex[65];

    for (size_t i = 0; i < row->count; i++)
        memcpy(text + i * unit, row->unit, unit);
    assert_int_equal(la_digest_sha256((la_slice_t){text, unit * row->count}, digest), APR_SUCCESS);
    hex_of(digest, hex);
    assert_string_equal(hex, row->hex);
    memset(id, 'z', sizeof(id));
    la_token_client_id(digest, id);
    assert_int_equal(strlen(id), LA_CLIENT_ID_LEN);
    assert_memory_equal(id, row->hex, LA_CLIENT_ID_LEN);
    free(text);
}

static void test_client_id_digits(void **state)
{
    const unsigned char digest[LA_DIGEST_BYTES] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab,
                                                   0xcd, 0xef, 0xf0, 0x0f, 0xff, 0x00,
                                                   0xa9, 0x9a, 0x10, 0x80, 0x77};
    char id[LA_CLIENT_ID_LEN + 1];

    (void)state;
    la_token_client_id(digest, id);
    assert_string_equal(id, "0123456789abcdeff00fff00a99a1080");
}

static int digests_right(void)
{
    unsigned char digest[LA_DIGEST_BYTES];
    char hex[65];

    if (la_digest_sha256(LA_SLICE("abc"), digest) != APR_SUCCESS)
        return 0;
    hex_of(digest, hex);
    return strcmp(hex, digest_rows[1].hex) == 0;
}

static void *digest_often(void *right)
{
    *(int *)right = 1;
    for (int i = 0; i < 2000; i++)
        *(int *)right &= digests_right();
    return NULL;
}

/* Runs first, so that the threads race for the first fetch. */
static void test_threads(void **state)
{
    pthread_t threads[8];
    int right[8] = {0};

    (void)state;
    for (size_t i = 0; i < ROWS(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, digest_often, &right[i]), 0);
    for (size_t i = 0; i < ROWS(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(right[i], 1);
    }
}

static void test_fork(void **state)
{
    int status = -1;
    pid_t child;

    (void)state;
    assert_true(digests_right());
    child = fork();
    if (child == 0)
        _exit(digests_right() ? 0 : 1);
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(digests_right());
}

/* ---- running -------------------------------------------------------------------- */

static struct CMUnitTest tests[128];
static size_t test_count;

static void add(const char *name, CMUnitTestFunction function, const void *row)
{
    tests[test_count++] = (struct CMUnitTest){name, function, NULL, NULL, (void *)(uintptr_t)row};
}

#define ADD_ROWS(rows, function)                                                                   \
    for (size_t i = 0; i < ROWS(rows); i++)                                                        \
    add((rows)[i].name, function, &(rows)[i])

int main(void)
{
    int failed;

    apr_initialize();
    add("digest: threads", test_threads, NULL);
    add("digest: fork", test_fork, NULL);
    ADD_ROWS(header_rows, test_header);
    ADD_ROWS(dpop_rows, test_dpop);
    add("header: every byte at every place", test_every_byte, NULL);
    ADD_ROWS(length_rows, test_length);
    ADD_ROWS(fault_rows, test_fault);
    ADD_ROWS(digest_rows, test_digest);
    add("client id: digits", test_client_id_digits, NULL);
    failed = _cmocka_run_group_tests("token", tests, test_count, NULL, NULL);
    apr_terminate();
    return failed;
}

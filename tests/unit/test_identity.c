/* Tests of src/access/identity.c: what builders take and what blocks hold.
 * How large they may be is test_identity_size.c's, blocks of unknown origin
 * test_identity_check.c's.
 */
#include "access/identity.h"

#include <apr_general.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define S(literal)                                                                                 \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

static apr_pool_t *pool;

static int fresh_pool(void **state)
{
    (void)state;
    return apr_pool_create(&pool, NULL);
}

static int drop_pool(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

static void assert_slice(la_slice_t got, la_slice_t wanted)
{
    assert_int_equal(got.len, wanted.len);
    if (wanted.len > 0)
        assert_memory_equal(got.data, wanted.data, wanted.len);
    assert_int_equal(got.data[got.len], 0);
}

static const la_identity_t *built(la_identity_builder_t *builder)
{
    const la_identity_t *identity;

    assert_null(la_identity_build(builder, pool, &identity));
    assert_int_equal(la_identity_check(identity, la_identity_size(identity)), 1);
    return identity;
}

/* ---- principals and messages ------------------------------------------------- */

typedef struct text_row_t {
    const char *name;
    la_slice_t in;
    la_slice_t out; /* of length 0: refused (principal), or empty (message) */
} text_row_t;

static const text_row_t principal_rows[] = {
    {"principal: plain", S("alice"), S("alice")},
    {"principal: one byte", S("a"), S("a")},
    {"principal: spaces and punctuation", S("CN=Al Ice, \"x\" \\ %41"),
     S("CN=Al Ice, \"x\" \\ %41")},
    {"principal: UTF-8", S("\xc3\xa9\xe4\xb8\xad\xf0\x9f\xa6\x99"),
     S("\xc3\xa9\xe4\xb8\xad\xf0\x9f\xa6\x99")},
    {"principal: U+00A0 is no control", S("a\xc2\xa0z"), S("a\xc2\xa0z")},
    {"principal: U+00BF is no control", S("\xc2\xbf"), S("\xc2\xbf")},
    {"principal: 80..9F after another lead byte", S("\xc3\x80\xe2\x82\xac"),
     S("\xc3\x80\xe2\x82\xac")},
    {"principal: empty", S(""), S("")},
    {"principal: NUL inside", S("a\0b"), S("")},
    {"principal: only NUL", S("\0"), S("")},
    {"principal: newline", S("alice\n"), S("")},
    {"principal: carriage return", S("\ralice"), S("")},
    {"principal: tab", S("a\tb"), S("")},
    {"principal: U+001F", S("a\x1f"), S("")},
    {"principal: DEL", S("a\x7f"), S("")},
    {"principal: U+0080", S("a\xc2\x80"), S("")},
    {"principal: U+0085", S("\xc2\x85z"), S("")},
    {"principal: U+009F", S("a\xc2\x9f"), S("")},
};

static void test_principal(void **state)
{
    const text_row_t *row = *state;
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    const char *fault = la_identity_set_principal(builder, row->in);

    if (row->out.len > 0)
        assert_null(fault);
    else
        assert_non_null(fault);
    assert_slice(la_identity_principal(built(builder)), row->out);
}

static const text_row_t message_rows[] = {
    {"message: plain", S("welcome"), S("welcome")},
    {"message: empty", S(""), S("")},
    {"message: no bytes at all", {NULL, 0}, S("")},
    {"message: UTF-8", S("\xc3\xa9t\xc3\xa9"), S("\xc3\xa9t\xc3\xa9")},
    {"message: CR LF", S("a\r\nb: c"), S("a  b: c")},
    {"message: NUL", S("a\0b"), S("a b")},
    {"message: DEL and tab", S("\x7f\t"), S("  ")},
    {"message: C1 is one space", S("a\xc2\x85z"), S("a z")},
    {"message: U+00A0 stays", S("\xc2\xa0"), S("\xc2\xa0")},
    {"message: cut lead byte stays", S("a\xc2"), S("a\xc2")},
};

static void test_message(void **state)
{
    const text_row_t *row = *state;
    la_identity_builder_t *builder = la_identity_builder_make(pool);

    la_identity_set_message(builder, row->in);
    assert_slice(la_identity_message(built(builder)), row->out);
}

static void test_principal_is_copied(void **state)
{
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    char text[] = "alice";

    (void)state;
    assert_null(la_identity_set_principal(builder, (la_slice_t){text, 5}));
    la_identity_set_message(builder, (la_slice_t){text, 5});
    la_identity_add(builder, (la_slice_t){text, 5}, (la_slice_t){text, 5});
    memcpy(text, "XXXXX", 5);
    assert_slice(la_identity_principal(built(builder)), LA_SLICE("alice"));
    assert_slice(la_identity_message(built(builder)), LA_SLICE("alice"));
    assert_int_equal(la_identity_has(built(builder), LA_SLICE("alice"), LA_SLICE("alice")), 1);
}

static void test_last_principal_holds(void **state)
{
    la_identity_builder_t *builder = la_identity_builder_make(pool);

    (void)state;
    assert_null(la_identity_set_principal(builder, LA_SLICE("alice")));
    assert_null(la_identity_set_principal(builder, LA_SLICE("bob")));
    assert_non_null(la_identity_set_principal(builder, LA_SLICE("\n")));
    assert_slice(la_identity_principal(built(builder)), LA_SLICE("bob"));
}

/* ---- attributes --------------------------------------------------------------- */

/* Rows say what is added as CATEGORY, VALUE pairs up to a NULL category; a NULL value adds the
 * category. */
typedef struct pair_t {
    la_slice_t category;
    la_slice_t value;
} pair_t;

typedef struct note_row_t {
    const char *name;
    pair_t pairs[6];
    const char *json;
    const char *notes[4]; /* name, value, name, value */
} note_row_t;

#define EMPTY                                                                                      \
    {                                                                                              \
        NULL, 0                                                                                    \
    }
#define NOTE "llama_auth.attribute."

static const note_row_t note_rows[] = {
    {"attributes: none", {{EMPTY, EMPTY}}, "{}", {NULL}},
    {"attributes: one",
     {{S("roles"), S("admin")}},
     "{\"roles\":[\"admin\"]}",
     {NOTE "roles", "admin"}},
    {"attributes: empty category", {{S("roles"), EMPTY}}, "{\"roles\":[]}", {NOTE "roles", ""}},
    {"attributes: empty value", {{S("r"), S("")}}, "{\"r\":[\"\"]}", {NOTE "r", ""}},
    {"attributes: two empty values are one",
     {{S("r"), S("")}, {S("r"), S("")}},
     "{\"r\":[\"\"]}",
     {NOTE "r", ""}},
    {"attributes: empty value among others",
     {{S("r"), S("a")}, {S("r"), S("")}},
     "{\"r\":[\"a\",\"\"]}",
     {NOTE "r", "a,"}},
    {"attributes: nameless category", {{S(""), S("a")}}, "{\"\":[\"a\"]}", {NOTE, "a"}},
    {"attributes: order of arrival",
     {{S("b"), S("2")}, {S("a"), S("1")}, {S("b"), S("1")}, {S("b"), S("3")}},
     "{\"b\":[\"2\",\"1\",\"3\"],\"a\":[\"1\"]}",
     {NOTE "b", "2,1,3", NOTE "a", "1"}},
    {"attributes: no duplicates",
     {{S("a"), S("x")}, {S("a"), S("y")}, {S("a"), S("x")}, {S("b"), S("x")}},
     "{\"a\":[\"x\",\"y\"],\"b\":[\"x\"]}",
     {NOTE "a", "x,y", NOTE "b", "x"}},
    {"attributes: category twice, then filled",
     {{S("a"), EMPTY}, {S("b"), EMPTY}, {S("a"), EMPTY}, {S("a"), S("1")}},
     "{\"a\":[\"1\"],\"b\":[]}",
     {NOTE "a", "1", NOTE "b", ""}},
    {"attributes: values differ past a NUL",
     {{S("a"), S("x\0y")}, {S("a"), S("x\0z")}, {S("a"), S("x")}},
     "{\"a\":[\"x\\u0000y\",\"x\\u0000z\",\"x\"]}",
     {NOTE "a", "x%00y,x%00z,x"}},
    {"attributes: categories differ past a NUL",
     {{S("a\0b"), S("1")}, {S("a"), S("2")}},
     "{\"a\\u0000b\":[\"1\"],\"a\":[\"2\"]}",
     {NOTE "a%00b", "1", NOTE "a", "2"}},
    {"notes: comma and percent in a value",
     {{S("a"), S("x,y%z")}},
     "{\"a\":[\"x,y%z\"]}",
     {NOTE "a", "x%2Cy%25z"}},
    {"notes: comma and percent in a name",
     {{S("a,b%"), S("1")}},
     "{\"a,b%\":[\"1\"]}",
     {NOTE "a,b%25", "1"}},
    {"notes: CR LF",
     {{S("a\r"), S("x\r\nSet-Cookie: y")}},
     "{\"a\\r\":[\"x\\r\\nSet-Cookie: y\"]}",
     {NOTE "a%0D", "x%0D%0ASet-Cookie: y"}},
    {"notes: DEL, U+001F and U+0001", {{S("a"), S("\x7f\x1f\x01")}}, NULL, {NOTE "a", "%7F%1F%01"}},
    {"notes: the plain ends of ASCII", {{S("a"), S(" ~")}}, "{\"a\":[\" ~\"]}", {NOTE "a", " ~"}},
    {"notes: non-ASCII",
     {{S("\xc3\xa9"), S("\xe4\xb8\xad")}},
     "{\"\\u00e9\":[\"\\u4e2d\"]}",
     {NOTE "%C3%A9", "%E4%B8%AD"}},
    {"json: quotes and backslash",
     {{S("a\""), S("b\\")}},
     "{\"a\\\"\":[\"b\\\\\"]}",
     {NOTE "a\"", "b\\"}},
};

static la_identity_builder_t *filled(const pair_t *pairs, size_t count)
{
    la_identity_builder_t *builder = la_identity_builder_make(pool);

    for (size_t i = 0; i < count && pairs[i].category.data != NULL; i++) {
        if (pairs[i].value.data == NULL)
            la_identity_add_category(builder, pairs[i].category);
        else
            la_identity_add(builder, pairs[i].category, pairs[i].value);
    }
    return builder;
}

static void test_attributes(void **state)
{
    const note_row_t *row = *state;
    const la_identity_t *identity = built(filled(row->pairs, ROWS(row->pairs)));
    const char *name;
    const char *value;
    size_t count = 0;

    while (count < ROWS(row->notes) / 2 && row->notes[2 * count] != NULL) {
        assert_true(count < la_identity_count(identity));
        la_identity_note(identity, count, &name, &value);
        assert_string_equal(name, row->notes[2 * count]);
        assert_string_equal(value, row->notes[2 * count + 1]);
        count++;
    }
    assert_int_equal(la_identity_count(identity), count);
    if (row->json != NULL)
        assert_slice(la_identity_attributes_json(identity), la_slice_of(row->json));
    for (size_t i = 0; i < ROWS(row->pairs) && row->pairs[i].category.data != NULL; i++) {
        if (row->pairs[i].value.data != NULL)
            assert_int_equal(la_identity_has(identity, row->pairs[i].category, row->pairs[i].value),
                             1);
    }
}

typedef struct has_row_t {
    const char *name;
    la_slice_t category;
    la_slice_t value;
    int has;
} has_row_t;

static const has_row_t has_rows[] = {
    {"has: first", S("scopes"), S("read"), 1},
    {"has: last of a category", S("scopes"), S("write"), 1},
    {"has: other category", S("roles"), S("admin"), 1},
    {"has: last category", S("x"), S("last"), 1},
    {"has: nameless category", S(""), S("value"), 1},
    {"has: empty value", S("x"), S(""), 1},
    {"has: empty value without bytes", S("x"), EMPTY, 1},
    {"has: nameless category without bytes", EMPTY, S("value"), 1},
    {"has: empty value elsewhere", S("scopes"), S(""), 0},
    {"has: value of another category", S("scopes"), S("admin"), 0},
    {"has: value of the next category", S("scopes"), S("ops"), 0},
    {"has: value of the category before", S("roles"), S("write"), 0},
    {"has: no such category", S("teams"), S("admin"), 0},
    {"has: category in another case", S("Scopes"), S("read"), 0},
    {"has: value in another case", S("scopes"), S("Read"), 0},
    {"has: shorter", S("scopes"), S("rea"), 0},
    {"has: longer", S("scopes"), S("read "), 0},
    {"has: same length", S("scopes"), S("reaD"), 0},
    {"has: shorter category", S("scope"), S("read"), 0},
    {"has: with the NUL behind", S("scopes"), S("read\0"), 0},
    {"has: two values as one", S("scopes"), S("read,write"), 0},
    {"has: category without values", S("empty"), S("read"), 0},
    {"has: up to a NUL", S("x"), S("a"), 0},
    {"has: across a NUL", S("x"), S("a\0b"), 1},
};

static const pair_t sample_pairs[] = {
    {S("scopes"), S("read")}, {S("scopes"), S("write")}, {S("empty"), EMPTY},
    {S("roles"), S("admin")}, {S("roles"), S("ops")},    {S(""), S("value")},
    {S("x"), S("a\0b")},      {S("x"), S("")},           {S("x"), S("last")},
};

static la_identity_builder_t *sample_builder(void)
{
    la_identity_builder_t *builder = filled(sample_pairs, ROWS(sample_pairs));

    assert_null(la_identity_set_principal(builder, LA_SLICE("alice")));
    la_identity_set_message(builder, LA_SLICE("hello"));
    return builder;
}

static void test_has(void **state)
{
    const has_row_t *row = *state;

    assert_int_equal(la_identity_has(built(sample_builder()), row->category, row->value), row->has);
}

/* ---- the block ---------------------------------------------------------------- */

static void test_equal_bytes(void **state)
{
    const la_identity_t *one = built(sample_builder());
    const la_identity_t *two;
    apr_size_t size = la_identity_size(one);

    (void)state;
    memset(apr_palloc(pool, 2 * size), 0xa5, 2 * size);
    two = built(sample_builder());
    assert_int_equal(la_identity_size(two), size);
    assert_memory_equal(one, two, size);
}

static void test_builder_goes_on(void **state)
{
    la_identity_builder_t *builder = sample_builder();
    const la_identity_t *before = built(builder);
    const la_identity_t *after;

    (void)state;
    la_identity_add(builder, LA_SLICE("scopes"), LA_SLICE("more"));
    after = built(builder);
    assert_int_equal(la_identity_has(before, LA_SLICE("scopes"), LA_SLICE("more")), 0);
    assert_int_equal(la_identity_has(after, LA_SLICE("scopes"), LA_SLICE("more")), 1);
    assert_int_equal(la_identity_has(after, LA_SLICE("roles"), LA_SLICE("ops")), 1);
}

/* ---- the token's end ------------------------------------------------------------ */

typedef struct end_row_t {
    const char *name;
    apr_time_t end;
    apr_time_t kept;
} end_row_t;

static const end_row_t end_rows[] = {
    {"end: never", 0, 0},
    {"end: a whole second", apr_time_from_sec(1800000000), apr_time_from_sec(1800000000)},
    {"end: rounded down", apr_time_from_sec(1800000000) + 999999, apr_time_from_sec(1800000000)},
    {"end: the first second", 1, apr_time_from_sec(1)},
    {"end: long ago", -apr_time_from_sec(100), apr_time_from_sec(1)},
    {"end: in 2106", apr_time_from_sec(UINT32_MAX), apr_time_from_sec(UINT32_MAX)},
    {"end: later than 2106", INT64_MAX, apr_time_from_sec(UINT32_MAX)},
};

static void test_end(void **state)
{
    const end_row_t *row = *state;
    const la_identity_t *before = built(sample_builder());
    const la_identity_t *after = la_identity_ending(pool, before, row->end);

    assert_int_equal(la_identity_end(before), 0);
    assert_int_equal(la_identity_end(after), row->kept);
    assert_int_equal(la_identity_check(after, la_identity_size(after)), 1);
    assert_int_equal(la_identity_has(after, LA_SLICE("roles"), LA_SLICE("ops")), 1);
    assert_ptr_equal(la_identity_ending(pool, after, row->end), after);
    assert_int_equal(la_identity_end(la_identity_ending(pool, after, 0)), 0);
}

static void test_category_names(void **state)
{
    const la_identity_t *identity = built(sample_builder());

    (void)state;
    assert_true(la_identity_count(identity) > 1);
    for (apr_size_t i = 0; i < la_identity_count(identity); i++)
        assert_int_equal(la_identity_find(identity, la_identity_category(identity, i)), i);
}

/* ---- running ------------------------------------------------------------------ */

/* ---- confirmations ----------------------------------------------------------- */

#define JKT "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
#define X5T "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"

typedef struct confirmation_row_t {
    const char *name;
    la_confirmation_t in;
    int sound; /* kept as it is; else LA_CONFIRM_UNKNOWN and nothing else */
} confirmation_row_t;

static const confirmation_row_t confirmation_rows[] = {
    {"confirmation: jkt", {LA_CONFIRM_JKT, JKT, ""}, 1},
    {"confirmation: x5t#S256", {LA_CONFIRM_X5T, "", X5T}, 1},
    {"confirmation: both", {LA_CONFIRM_JKT | LA_CONFIRM_X5T, JKT, X5T}, 1},
    {"confirmation: unknown", {LA_CONFIRM_UNKNOWN, "", ""}, 1},
    {"confirmation: jkt and unknown", {LA_CONFIRM_JKT | LA_CONFIRM_UNKNOWN, JKT, ""}, 1},
    {"confirmation: no member", {0, "", ""}, 0},
    {"confirmation: no member, but a text", {0, JKT, ""}, 0},
    {"confirmation: another bit", {LA_CONFIRM_JKT | 8, JKT, ""}, 0},
    {"confirmation: a text without its member", {LA_CONFIRM_JKT, JKT, X5T}, 0},
    {"confirmation: a member without its text", {LA_CONFIRM_JKT | LA_CONFIRM_X5T, JKT, ""}, 0},
    {"confirmation: a short text", {LA_CONFIRM_JKT, "AAAA", ""}, 0},
};

static void test_confirmation(void **state)
{
    const confirmation_row_t *row = *state;
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    const la_confirmation_t unknown = {.members = LA_CONFIRM_UNKNOWN};
    const la_identity_t *identity;

    la_identity_add(builder, LA_SLICE("roles"), LA_SLICE("admin"));
    la_identity_set_confirmation(builder, &row->in);
    identity = built(builder);
    assert_non_null(la_identity_confirmation(identity));
    assert_memory_equal(la_identity_confirmation(identity), row->sound ? &row->in : &unknown,
                        sizeof(row->in));
    assert_int_equal(la_identity_has(identity, LA_SLICE("roles"), LA_SLICE("admin")), 1);
}

static void test_no_confirmation(void **state)
{
    (void)state;
    assert_null(la_identity_confirmation(built(la_identity_builder_make(pool))));
}

static void test_last_confirmation_holds(void **state)
{
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    const la_identity_t *first;

    (void)state;
    la_identity_set_confirmation(builder, &confirmation_rows[0].in);
    first = built(builder);
    la_identity_set_confirmation(builder, &confirmation_rows[1].in);
    assert_string_equal(la_identity_confirmation(built(builder))->x5t_s256, X5T);
    assert_int_equal(la_identity_confirmation(built(builder))->members, LA_CONFIRM_X5T);
    assert_string_equal(la_identity_confirmation(first)->jkt, JKT);
}

static struct CMUnitTest tests[128];
static size_t test_count;

static void add(const char *name, CMUnitTestFunction function, const void *row)
{
    tests[test_count++] =
        (struct CMUnitTest){name, function, fresh_pool, drop_pool, (void *)(uintptr_t)row};
}

#define ADD_ROWS(rows, function)                                                                   \
    for (size_t i = 0; i < ROWS(rows); i++)                                                        \
    add((rows)[i].name, function, &(rows)[i])

int main(void)
{
    int failed;

    apr_initialize();
    ADD_ROWS(principal_rows, test_principal);
    add("principal: a copy is kept", test_principal_is_copied, NULL);
    add("principal: the last one holds", test_last_principal_holds, NULL);
    ADD_ROWS(message_rows, test_message);
    ADD_ROWS(note_rows, test_attributes);
    ADD_ROWS(has_rows, test_has);
    ADD_ROWS(confirmation_rows, test_confirmation);
    add("confirmation: none", test_no_confirmation, NULL);
    add("confirmation: the last one holds, in every block", test_last_confirmation_holds, NULL);
    ADD_ROWS(end_rows, test_end);
    add("categories: by name", test_category_names, NULL);
    add("block: equal identities are equal bytes", test_equal_bytes, NULL);
    add("block: a builder goes on after it", test_builder_goes_on, NULL);
    failed = _cmocka_run_group_tests("identity", tests, test_count, NULL, NULL);
    apr_terminate();
    return failed;
}

/* json_members.c: members of a text that comes in parts. The bodies of tests/http/bodies.py are
 * seeds of tests/fuzz/members.c, where json-c says what is right. */
#include "support.h"

#include "base/json_members.h"

enum { MODEL, PARAMS, TASK, TOKENS, MEMBERS };

typedef struct case_t {
    const char *name;
    const char *text;
    const char *error; /* NULL: it is one object */
    int which;         /* the member that is looked at */
    la_member_e kind;
    const char *value;
    int is_ambiguous;
    int is_unusable;
} case_t;

static case_t cases[] = {
    {"a string", "{\"model\":\"m\"}", NULL, MODEL, LA_MEMBER_STRING, "m", 0, 0},
    {"absent", "{\"a\":\"m\"}", NULL, MODEL, LA_MEMBER_ABSENT, "", 0, 0},
    {"null", "{\"model\":null}", NULL, MODEL, LA_MEMBER_OTHER, "", 0, 0},
    {"a list", "{\"model\":[\"m\"]}", NULL, MODEL, LA_MEMBER_OTHER, "", 0, 0},
    {"an object", "{\"model\":{\"model\":\"m\"}}", NULL, MODEL, LA_MEMBER_OBJECT, "", 0, 0},
    {"a number", "{\"max_tokens\": 100 }", NULL, TOKENS, LA_MEMBER_NUMBER, "100", 0, 0},
    {"a number at the end", "{\"max_tokens\":-1.5e+3}", NULL, TOKENS, LA_MEMBER_NUMBER, "-1.5e+3",
     0, 0},
    {"a long number", "{\"max_tokens\":12345678901}", NULL, TOKENS, LA_MEMBER_NUMBER, NULL, 0, 1},
    {"a long string", "{\"model\":\"12345678901\"}", NULL, MODEL, LA_MEMBER_STRING, NULL, 0, 1},
    {"half a pair", "{\"model\":\"\\ud83d\"}", NULL, MODEL, LA_MEMBER_STRING, NULL, 0, 1},
    {"a pair", "{\"model\":\"\\ud83d\\ude00\"}", NULL, MODEL, LA_MEMBER_STRING, "\xF0\x9F\x98\x80",
     0, 0},
    {"twice", "{\"model\":\"a\",\"model\":\"b\"}", NULL, MODEL, LA_MEMBER_STRING, "a", 1, 0},
    {"another case", "{\"MoDeL\":\"a\"}", NULL, MODEL, LA_MEMBER_ABSENT, "", 1, 0},
    {"inside", "{\"params\":{\"taskId\":\"t\"}}", NULL, TASK, LA_MEMBER_STRING, "t", 0, 0},
    {"inside, long s of Go", "{\"param\xC5\xBF\":{}}", NULL, PARAMS, LA_MEMBER_ABSENT, "", 1, 0},
    {"inside, Kelvin of Go", "{\"params\":{\"tas\xE2\x84\xAAId\":\"t\"}}", NULL, TASK,
     LA_MEMBER_ABSENT, "", 1, 0},
    {"not inside", "{\"taskId\":\"t\",\"params\":{}}", NULL, TASK, LA_MEMBER_ABSENT, "", 0, 0},
    {"inside of another", "{\"a\":{\"taskId\":\"t\"},\"params\":{}}", NULL, TASK, LA_MEMBER_ABSENT,
     "", 0, 0},
    {"too deep inside", "{\"params\":{\"a\":{\"taskId\":\"t\"}}}", NULL, TASK, LA_MEMBER_ABSENT, "",
     0, 0},
    {"a list inside", "{\"params\":[{\"taskId\":\"t\"}]}", NULL, TASK, LA_MEMBER_ABSENT, "", 0, 0},
    {"behind an inner object", "{\"params\":{\"a\":{},\"taskId\":\"t\"}}", NULL, TASK,
     LA_MEMBER_STRING, "t", 0, 0},
    {"second outer object", "{\"params\":{},\"params\":{\"taskId\":\"t\"}}", NULL, TASK,
     LA_MEMBER_ABSENT, "", 0, 0},
    {"nothing", "", "unexpected end", MODEL, LA_MEMBER_ABSENT, "", 0, 0},
    {"not an object", "[1]", "not an object", MODEL, LA_MEMBER_ABSENT, "", 0, 0},
    {"a number alone", "12", "not an object", MODEL, LA_MEMBER_ABSENT, "", 0, 0},
    {"half a number", "-", "unexpected end", MODEL, LA_MEMBER_ABSENT, "", 0, 0},
    {"more", "{} x", "more after the value", MODEL, LA_MEMBER_ABSENT, "", 0, 0},
};

static const char *read_parts(apr_pool_t *pool, la_slice_t text, apr_size_t part,
                              la_member_t *members)
{
    la_members_t *reader = la_members_make(pool, members, MEMBERS);

    members[MODEL] = (la_member_t){.name = "model", .limit_bytes = 10};
    members[PARAMS] = (la_member_t){.name = "params"};
    members[TASK] = (la_member_t){.name = "taskId", .within = &members[PARAMS], .limit_bytes = 10};
    members[TOKENS] = (la_member_t){.name = "max_tokens", .limit_bytes = 10};
    for (apr_size_t at = 0; at < text.len; at += part) {
        apr_size_t len = text.len - at < part ? text.len - at : part;

        (void)la_members_read(reader, (la_slice_t){text.data + at, len});
    }
    return la_members_end(reader);
}

static void test_case(void **state)
{
    const case_t *row = *state;

    for (apr_size_t part = 1; part <= 100; part += 33) {
        apr_pool_t *pool = new_pool();
        la_member_t members[MEMBERS];
        const la_member_t *member = &members[row->which];
        const char *error = read_parts(pool, la_slice_of(row->text), part, members);

        assert_string_equal(error ? error : "", row->error ? row->error : "");
        assert_int_equal(member->kind, row->kind);
        assert_int_equal(member->is_ambiguous, row->is_ambiguous);
        assert_int_equal(member->is_unusable, row->is_unusable);
        assert_true(!row->value || la_slice_is(member->value, row->value));
        apr_pool_destroy(pool);
    }
}

static const char *read_nested(apr_pool_t *pool, int levels)
{
    char text[2048] = "{\"a\":";
    la_member_t members[MEMBERS];

    memset(text + 5, '[', (size_t)levels - 1);
    memset(text + 4 + levels, ']', (size_t)levels - 1);
    text[3 + 2 * levels] = '}';
    return read_parts(pool, (la_slice_t){text, (apr_size_t)(4 + 2 * levels)}, 64, members);
}

static void test_depth(void **state)
{
    apr_pool_t *pool = new_pool();

    (void)state;
    assert_null(read_nested(pool, LA_MEMBERS_MAX_DEPTH));
    assert_string_equal(read_nested(pool, LA_MEMBERS_MAX_DEPTH + 1), "nested too deep");
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(cases); i++) {
        add(cases[i].name, test_case, &cases[i]);
    }
    add("depth", test_depth, NULL);
    return finish("json_members");
}

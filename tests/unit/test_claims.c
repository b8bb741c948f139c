/* claims.c: the lookup, the principal, the mapping, final attributes; over the real json.c and
 * identity.c. */
#include "access/claims.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include <assert.h>
#include <string.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static apr_pool_t *new_pool(void)
{
    apr_pool_t *pool;

    assert_int_equal(apr_pool_create(&pool, NULL), APR_SUCCESS);
    return pool;
}

static const la_json_t *parsed(apr_pool_t *pool, const char *text)
{
    const la_json_t *value;

    assert_null(la_json_parse(pool, la_slice_of(text), &value));
    return value;
}

/* Claims of two JSON texts; NULL stands for no object. */
static la_claims_t claims_of(apr_pool_t *pool, const char *first, const char *second)
{
    la_claims_t claims = {.first = first ? parsed(pool, first) : NULL,
                          .second = second ? parsed(pool, second) : NULL};

    return claims;
}

/* ---- the lookup ---- */

typedef struct find_case_t {
    const char *name;
    const char *first, *second;
    const char *claim;
    const char *value; /* NULL: not found; "": found and no scalar */
} find_case_t;

static find_case_t find_cases[] = {
    {"find: literal in the first", "{\"a\":1}", "{\"a\":2}", "a", "1"},
    {"find: literal in the second", "{\"b\":1}", "{\"a\":2}", "a", "2"},
    {"find: path in the first", "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":2}}", "a.b", "1"},
    {"find: path in the second", "{\"a\":{\"c\":1}}", "{\"a\":{\"b\":2}}", "a.b", "2"},
    {"find: literal before path", "{\"a\":{\"b\":1},\"a.b\":2}", NULL, "a.b", "2"},
    {"find: literal in the second before path in the first", "{\"a\":{\"b\":1}}", "{\"a.b\":2}",
     "a.b", "2"},
    {"find: a literal null is absent", "{\"a\":{\"b\":1},\"a.b\":null}", NULL, "a.b", "1"},
    {"find: null in the first is absent", "{\"a\":null}", "{\"a\":2}", "a", "2"},
    {"find: null alone", "{\"a\":null}", "{\"a\":null}", "a", NULL},
    {"find: no second", "{\"a\":1}", NULL, "b", NULL},
    {"find: no first", NULL, "{\"a\":1}", "a", "1"},
    {"find: neither", NULL, NULL, "a.b", NULL},
    {"find: not objects", "[1]", "\"a\"", "a", NULL},
    {"find: three levels", "{\"a\":{\"b\":{\"c\":\"x\"}}}", NULL, "a.b.c", "x"},
    {"find: path to an object", "{\"a\":{\"b\":{\"c\":1}}}", NULL, "a.b", ""},
    {"find: path to null", "{\"a\":{\"b\":null}}", NULL, "a.b", NULL},
    {"find: path through null", "{\"a\":null}", NULL, "a.b", NULL},
    {"find: path through a string", "{\"a\":\"b\"}", NULL, "a.b", NULL},
    {"find: path through an array", "{\"a\":[{\"b\":1}]}", NULL, "a.b", NULL},
    {"find: no index into an array", "{\"a\":[1]}", NULL, "a.0", NULL},
    {"find: path too short", "{\"a\":{\"b\":1}}", NULL, "a.b.c", NULL},
    {"find: prefix of a name", "{\"ab\":{\"c\":1}}", NULL, "a.c", NULL},
    {"find: name longer than the segment", "{\"a\":{\"bc\":1}}", NULL, "a.b", NULL},
    {"find: a dotted name at the end of a path", "{\"a\":{\"b.c\":1}}", NULL, "a.b.c", "1"},
    {"find: a dotted name in a path", "{\"a\":{\"b.c\":{\"d\":1}}}", NULL, "a.b.c.d", "1"},
    {"find: a dotted name begins a path", "{\"kubernetes.io\":{\"pod\":{\"name\":\"p\"}}}", NULL,
     "kubernetes.io.pod.name", "p"},
    {"find: a URL begins a path", "{\"https://e.com/claims\":{\"roles\":\"r\"}}", NULL,
     "https://e.com/claims.roles", "r"},
    {"find: the longest name", "{\"a\":{\"b\":{\"c\":1}},\"a.b\":{\"c\":2}}", NULL, "a.b.c", "2"},
    {"find: no way back", "{\"a\":{\"b\":{\"c\":1}},\"a.b\":{\"d\":2}}", NULL, "a.b.c", NULL},
    {"find: no way back from a string", "{\"a\":{\"b\":1},\"a.b\":\"x\"}", NULL, "a.b.c", NULL},
    {"find: a longer name that is null", "{\"a\":{\"b\":{\"c\":1}},\"a.b\":null}", NULL, "a.b.c",
     "1"},
    {"find: an escaped dot is in the name", "{\"a\":{\"b\":1},\"a.b\":2}", NULL, "a\\.b", "2"},
    {"find: an escaped dot separates nothing", "{\"a\":{\"b\":1}}", NULL, "a\\.b", NULL},
    {"find: an escaped dot in a path", "{\"a\":{\"b.c\":{\"d\":1},\"b\":{}}}", NULL, "a.b\\.c.d",
     "1"},
    {"find: another backslash is itself", "{\"a\\\\b\":1}", NULL, "a\\b", "1"},
    {"find: a backslash at the end", "{\"a\":1}", NULL, "a\\", NULL},
    {"find: a name with NUL is another", "{\"a\":{\"b\\u0001\":1}}", NULL, "a.b", NULL},
    {"find: exact case", "{\"A\":1}", NULL, "a", NULL},
    {"find: URL as a name", "{\"https://x.example/roles\":\"r\"}", NULL, "https://x.example/roles",
     "r"},
    {"find: name that is empty", "{\"\":1}", NULL, "", "1"},
    {"find: empty name without such a member", "{\"a\":1}", NULL, "", NULL},
    {"find: only a dot", "{\"\":{\"\":1}}", NULL, ".", "1"},
    {"find: dot at the end", "{\"a\":1}", NULL, "a.", NULL},
    {"find: dot at the start", "{\"a\":1}", NULL, ".a", NULL},
    {"find: two dots", "{\"a\":{\"b\":1}}", NULL, "a..b", NULL},
};

static void test_find(void **state)
{
    const find_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_claims_t claims = claims_of(pool, row->first, row->second);
    const la_json_t *claim = (const la_json_t *)row;
    la_slice_t text;

    assert_int_equal(la_claims_find(&claims, row->claim, &claim), row->value != NULL);
    if (!row->value) {
        assert_null(claim);
    } else {
        assert_int_equal(la_json_scalar_text(pool, claim, &text), *row->value != '\0');
        assert_int_equal(text.len, strlen(row->value));
        assert_memory_equal(text.data, row->value, text.len);
    }
    apr_pool_destroy(pool);
}

/* ---- the principal ---- */

/* The words of `list` as an array of const char *. */
static apr_array_header_t *names_of(apr_pool_t *pool, const char *list)
{
    apr_array_header_t *names = apr_array_make(pool, 4, sizeof(const char *));
    char *state = NULL;

    for (char *name = apr_strtok(apr_pstrdup(pool, list), " ", &state); name;
         name = apr_strtok(NULL, " ", &state))
        APR_ARRAY_PUSH(names, const char *) = name;
    return names;
}

typedef struct principal_case_t {
    const char *name;
    const char *first, *second;
    const char *names;
    const char *principal; /* NULL: none */
    int found;
    int refused;
} principal_case_t;

#define UID_AND(value) "{\"uid\":\"u\",\"sub\":" value "}"

static principal_case_t principal_cases[] = {
    {"principal: one name", "{\"sub\":\"alice\"}", NULL, "sub", "alice", 1, 0},
    {"principal: first name wins", "{\"b\":\"2\",\"a\":\"1\"}", NULL, "a b", "1", 1, 0},
    {"principal: second name", "{\"b\":\"2\"}", NULL, "a b", "2", 1, 0},
    {"principal: the name's order before the object's", "{\"b\":\"2\"}", "{\"a\":\"1\"}", "a b",
     "1", 1, 0},
    {"principal: path", "{\"user\":{\"name\":\"bob\"}}", NULL, "user.name", "bob", 1, 0},
    {"principal: not ASCII", "{\"sub\":\"J\\u00fcrgen \\ud83d\\ude00\"}", NULL, "sub",
     "J\xC3\xBCrgen \xF0\x9F\x98\x80", 1, 0},
    {"principal: none present", "{\"x\":\"1\"}", NULL, "a b", NULL, 0, 0},
    {"principal: no names", "{\"x\":\"1\"}", NULL, "", NULL, 0, 0},
    {"principal: number", UID_AND("7"), NULL, "sub uid", "7", 1, 0},
    {"principal: a long number", UID_AND("12345678901234567890"), NULL, "sub uid",
     "12345678901234567890", 1, 0},
    {"principal: a number that json-c clamps", UID_AND("99999999999999999999"), NULL, "sub uid",
     NULL, 1, 1},
    {"principal: boolean", UID_AND("true"), NULL, "sub uid", NULL, 1, 1},
    {"principal: null is absent", UID_AND("null"), NULL, "sub uid", "u", 1, 0},
    {"principal: null alone", "{\"sub\":null}", NULL, "sub uid", NULL, 0, 0},
    {"principal: a blank before it", UID_AND("\" a\""), NULL, "sub uid", NULL, 1, 1},
    {"principal: a blank behind it", UID_AND("\"a \""), NULL, "sub uid", NULL, 1, 1},
    {"principal: nothing but a blank", UID_AND("\" \""), NULL, "sub uid", NULL, 1, 1},
    {"principal: a no-break space behind it", UID_AND("\"a\\u00a0\""), NULL, "sub uid", NULL, 1, 1},
    {"principal: an ideographic space before it", UID_AND("\"\\u3000a\""), NULL, "sub uid", NULL, 1,
     1},
    {"principal: a blank inside", UID_AND("\"a b\""), NULL, "sub uid", "a b", 1, 0},
    {"principal: list", UID_AND("[\"x\"]"), NULL, "sub uid", NULL, 1, 1},
    {"principal: object", UID_AND("{\"x\":\"y\"}"), NULL, "sub uid", NULL, 1, 1},
    {"principal: empty", UID_AND("\"\""), NULL, "sub uid", NULL, 1, 1},
    {"principal: NUL", UID_AND("\"root\\u0000x\""), NULL, "sub uid", NULL, 1, 1},
    {"principal: line feed", UID_AND("\"a\\nb\""), NULL, "sub uid", NULL, 1, 1},
    {"principal: DEL", UID_AND("\"a\\u007f\""), NULL, "sub uid", NULL, 1, 1},
    {"principal: C1", UID_AND("\"a\\u0085\""), NULL, "sub uid", NULL, 1, 1},
};

static void test_principal(void **state)
{
    const principal_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_claims_t claims = claims_of(pool, row->first, row->second);
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    const la_identity_t *identity;
    const char *error;
    la_slice_t principal;
    int found = 7;

    error = la_claims_principal(&claims, names_of(pool, row->names), builder, pool, &found);
    assert_int_equal(error != NULL, row->refused);
    assert_int_equal(found, row->found);
    assert_null(la_identity_build(builder, pool, &identity));
    principal = la_identity_principal(identity);
    assert_int_equal(principal.len, row->principal ? strlen(row->principal) : 0);
    if (row->principal)
        assert_string_equal(principal.data, row->principal);
    apr_pool_destroy(pool);
}

/* ---- the mapping ---- */

typedef struct map_case_t {
    const char *name;
    const char *first, *second;
    const char
        *maps; /* "source category source category ..."; "+" or "*" after a source: split, keys */
    const char *attributes;
} map_case_t;

static map_case_t map_cases[] = {
    {"map: string", "{\"sub\":\"alice\"}", NULL, "sub roles", "{\"roles\":[\"alice\"]}"},
    {"map: a string with blanks is one value", "{\"sub\":\"eve admin\"}", NULL, "sub roles",
     "{\"roles\":[\"eve admin\"]}"},
    {"map: an empty string is a value", "{\"sub\":\"\"}", NULL, "sub roles", "{\"roles\":[\"\"]}"},
    {"map: split in a list", "{\"scp\":[\"a b\",\"c\",7]}", NULL, "scp+ scopes",
     "{\"scopes\":[\"a\",\"b\",\"c\",\"7\"]}"},
    {"map: keys", "{\"r\":{\"a b\":{},\"c\":1,\"d\":null}}", NULL, "r* roles",
     "{\"roles\":[\"a b\",\"c\"]}"},
    {"map: keys of none", "{\"r\":{}}", NULL, "r* roles", "{\"roles\":[]}"},
    {"map: keys of no object", "{\"r\":[\"a\"]}", NULL, "r* roles", "{}"},
    {"map: string of words", "{\"scope\":\"a b  c\"}", NULL, "scope+ scopes",
     "{\"scopes\":[\"a\",\"b\",\"c\"]}"},
    {"map: all white space", "{\"scope\":\" a\\tb\\nc\\u000bd\\fe\\rf \"}", NULL, "scope+ scopes",
     "{\"scopes\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\"]}"},
    {"map: no-break space splits nothing", "{\"scope\":\"a\\u00a0b\"}", NULL, "scope+ scopes",
     "{\"scopes\":[\"a\\u00a0b\"]}"},
    {"map: NUL splits nothing", "{\"scope\":\"a\\u0000b c\"}", NULL, "scope+ scopes",
     "{\"scopes\":[\"a\\u0000b\",\"c\"]}"},
    {"map: comma splits nothing", "{\"scope\":\"a,b\"}", NULL, "scope+ scopes",
     "{\"scopes\":[\"a,b\"]}"},
    {"map: repeated words", "{\"scope\":\"a b a\"}", NULL, "scope+ scopes",
     "{\"scopes\":[\"a\",\"b\"]}"},
    {"map: empty string", "{\"scope\":\"\"}", NULL, "scope+ scopes", "{\"scopes\":[]}"},
    {"map: white space only", "{\"scope\":\" \\t\"}", NULL, "scope+ scopes", "{\"scopes\":[]}"},
    {"map: list", "{\"groups\":[\"x\",\"y\"]}", NULL, "groups teams", "{\"teams\":[\"x\",\"y\"]}"},
    {"map: list items stay whole", "{\"groups\":[\"x y\",\" z\"]}", NULL, "groups teams",
     "{\"teams\":[\"x y\",\" z\"]}"},
    {"map: mixed list", "{\"g\":[1,-2,1.50,true,false,null,[\"n\"],{\"o\":1},\"s\"]}", NULL,
     "g teams", "{\"teams\":[\"1\",\"-2\",\"1.50\",\"true\",\"false\",\"s\"]}"},
    {"map: number and its text are one", "{\"g\":[1,\"1\"]}", NULL, "g teams",
     "{\"teams\":[\"1\"]}"},
    {"map: great integers stay apart", "{\"g\":[18446744073709551613,18446744073709551614]}", NULL,
     "g teams", "{\"teams\":[\"18446744073709551613\",\"18446744073709551614\"]}"},
    {"map: integers that json-c clamps are skipped",
     "{\"g\":[99999999999999999999,88888888888888888888]}", NULL, "g teams", "{\"teams\":[]}"},
    {"map: empty list", "{\"g\":[]}", NULL, "g teams", "{\"teams\":[]}"},
    {"map: list of nothing usable", "{\"g\":[null,{}]}", NULL, "g teams", "{\"teams\":[]}"},
    {"map: number", "{\"id\":42}", NULL, "id ids", "{\"ids\":[\"42\"]}"},
    {"map: true", "{\"admin\":true}", NULL, "admin flags", "{\"flags\":[\"true\"]}"},
    {"map: false", "{\"admin\":false}", NULL, "admin flags", "{\"flags\":[\"false\"]}"},
    {"map: null", "{\"g\":null}", NULL, "g teams", "{}"},
    {"map: object", "{\"g\":{\"x\":\"y\"}}", NULL, "g teams", "{}"},
    {"map: absent", "{\"x\":1}", NULL, "g teams", "{}"},
    {"map: nothing to map", "{\"x\":1}", NULL, "", "{}"},
    {"map: path", "{\"realm_access\":{\"roles\":[\"r\"]}}", NULL, "realm_access.roles roles",
     "{\"roles\":[\"r\"]}"},
    {"map: second object", "{\"x\":1}", "{\"g\":[\"t\"]}", "g teams", "{\"teams\":[\"t\"]}"},
    {"map: first object hides the second", "{\"g\":[\"1\"]}", "{\"g\":[\"2\"]}", "g teams",
     "{\"teams\":[\"1\"]}"},
    {"map: two claims, one category", "{\"sub\":\"a\",\"username\":\"b\"}", NULL,
     "sub roles username roles", "{\"roles\":[\"a\",\"b\"]}"},
    {"map: the same value from two claims", "{\"scope\":\"a b\",\"scp\":[\"b\",\"c\"]}", NULL,
     "scope+ scopes scp scopes", "{\"scopes\":[\"a\",\"b\",\"c\"]}"},
    {"map: order of the lines, not of the text", "{\"a\":\"1\",\"b\":\"2\"}", NULL, "b y a x b x",
     "{\"y\":[\"2\"],\"x\":[\"1\",\"2\"]}"},
    {"map: one claim, two categories", "{\"a\":\"1\"}", NULL, "a x a y",
     "{\"x\":[\"1\"],\"y\":[\"1\"]}"},
};

/* Pairs of words as an array of la_claim_map_t. */
static apr_array_header_t *maps_of(apr_pool_t *pool, const char *list)
{
    apr_array_header_t *words = names_of(pool, list);
    apr_array_header_t *maps = apr_array_make(pool, 4, sizeof(la_claim_map_t));

    for (int i = 0; i + 1 < words->nelts; i += 2) {
        char *source = apr_pstrdup(pool, APR_ARRAY_IDX(words, i, const char *));
        char *mark = source + strlen(source) - 1;
        la_claim_form_e form = *mark == '+'   ? LA_CLAIM_SPLIT
                               : *mark == '*' ? LA_CLAIM_KEYS
                                              : LA_CLAIM_WHOLE;

        if (form != LA_CLAIM_WHOLE)
            *mark = '\0';
        APR_ARRAY_PUSH(maps, la_claim_map_t) =
            (la_claim_map_t){source, APR_ARRAY_IDX(words, i + 1, const char *), form};
    }
    return maps;
}

static void test_map(void **state)
{
    const map_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_claims_t claims = claims_of(pool, row->first, row->second);
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    const la_identity_t *identity;

    la_claims_map(&claims, maps_of(pool, row->maps), builder, pool);
    assert_null(la_identity_build(builder, pool, &identity));
    assert_string_equal(la_identity_attributes_json(identity).data, row->attributes);
    apr_pool_destroy(pool);
}

/* ---- attributes in their final form ---- */

typedef struct attributes_case_t {
    const char *name;
    const char *json;
    const char *attributes; /* NULL: refused */
    int strings;            /* and nothing else is taken */
} attributes_case_t;

static attributes_case_t attributes_cases[] = {
    {"attributes: lists", "{\"roles\":[\"a\",\"b c\"],\"teams\":[\"t\"]}",
     "{\"roles\":[\"a\",\"b c\"],\"teams\":[\"t\"]}", 0},
    {"attributes: one string is one value", "{\"roles\":\"a b\"}", "{\"roles\":[\"a b\"]}", 0},
    {"attributes: empty list", "{\"roles\":[]}", "{\"roles\":[]}", 0},
    {"attributes: repeated value", "{\"roles\":[\"a\",\"a\"]}", "{\"roles\":[\"a\"]}", 0},
    {"attributes: no categories", "{}", "{}", 0},
    {"attributes: null", "null", "{}", 0},
    {"attributes: list", "[\"a\"]", NULL, 0},
    {"attributes: string", "\"a\"", NULL, 0},
    {"attributes: false", "false", NULL, 0},
    {"attributes: category without a name", "{\"\":[\"a\"]}", NULL, 0},
    {"attributes: number for a category", "{\"level\":1}", "{\"level\":[\"1\"]}", 0},
    {"attributes: boolean for a category", "{\"staff\":true}", "{\"staff\":[\"true\"]}", 0},
    {"attributes: null for a category", "{\"roles\":null,\"a\":[]}", "{\"a\":[]}", 0},
    {"attributes: null without a name", "{\"\":null}", "{}", 0},
    {"attributes: object for a category", "{\"roles\":{\"a\":\"b\"}}", NULL, 0},
    {"attributes: number as a value", "{\"roles\":[\"a\",1]}", "{\"roles\":[\"a\",\"1\"]}", 0},
    {"attributes: boolean as a value", "{\"roles\":[true]}", "{\"roles\":[\"true\"]}", 0},
    {"attributes: null as a value", "{\"roles\":[null,\"a\"]}", "{\"roles\":[\"a\"]}", 0},
    {"attributes: object as a value", "{\"roles\":[{}]}", NULL, 0},
    {"attributes: strings only", "{\"a\":\"x\",\"b\":[\"y\",null],\"c\":null}",
     "{\"a\":[\"x\"],\"b\":[\"y\"]}", 1},
    {"attributes: strings only, a number", "{\"a\":1}", NULL, 1},
    {"attributes: strings only, a number as a value", "{\"a\":[1]}", NULL, 1},
    {"attributes: list as a value", "{\"roles\":[[\"a\"]]}", NULL, 0},
    {"attributes: fault behind sound ones", "{\"roles\":[\"a\"],\"x\":{},\"y\":[]}", NULL, 0},
};

static void test_attributes(void **state)
{
    const attributes_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    const la_identity_t *identity;
    const char *error = la_claims_attributes(parsed(pool, row->json), !row->strings, builder, pool);

    assert_int_equal(error != NULL, row->attributes == NULL);
    if (row->attributes) {
        assert_null(la_identity_build(builder, pool, &identity));
        assert_string_equal(la_identity_attributes_json(identity).data, row->attributes);
    }
    apr_pool_destroy(pool);
}

/* ---- running ---- */

#define MAX_TESTS 192

static struct CMUnitTest tests[MAX_TESTS];
static size_t test_count;

static void add(const char *name, CMUnitTestFunction function, void *row)
{
    assert(test_count < MAX_TESTS);
    tests[test_count++] = (struct CMUnitTest){name, function, NULL, NULL, row};
}

int main(void)
{
    int failed;

    apr_initialize();
    for (size_t i = 0; i < ROWS(find_cases); i++)
        add(find_cases[i].name, test_find, &find_cases[i]);
    for (size_t i = 0; i < ROWS(principal_cases); i++)
        add(principal_cases[i].name, test_principal, &principal_cases[i]);
    for (size_t i = 0; i < ROWS(map_cases); i++)
        add(map_cases[i].name, test_map, &map_cases[i]);
    for (size_t i = 0; i < ROWS(attributes_cases); i++)
        add(attributes_cases[i].name, test_attributes, &attributes_cases[i]);
    failed = _cmocka_run_group_tests("claims", tests, test_count, NULL, NULL);
    apr_terminate();
    return failed;
}

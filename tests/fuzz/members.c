/* Members of a text that comes in parts: the parts make no difference, and json-c finds the same
 * values wherever both read the text. */
#include "access/pattern_rules.h"
#include "base/json.h"
#include "base/json_members.h"

#include "fuzz.h"

enum { MODEL, PARAMS, NAME, TOKENS, MEMBERS };

static const char *read_parts(apr_pool_t *pool, la_slice_t text, apr_size_t part,
                              la_member_t *members)
{
    la_members_t *reader = la_members_make(pool, members, MEMBERS);

    members[MODEL] = (la_member_t){.name = "model", .limit_bytes = 256};
    members[PARAMS] = (la_member_t){.name = "params"};
    members[NAME] = (la_member_t){.name = "taskId", .within = &members[PARAMS], .limit_bytes = 256};
    members[TOKENS] = (la_member_t){.name = "max_tokens", .limit_bytes = 16};
    for (apr_size_t at = 0; at < text.len; at += part) {
        apr_size_t len = text.len - at < part ? text.len - at : part;
        char *copy = exact(text.data + at, len);

        (void)la_members_read(reader, (la_slice_t){copy, len});
        free(copy);
    }
    return la_members_end(reader);
}

static void compare(const la_member_t *a, const la_member_t *b)
{
    HOLDS(a->kind == b->kind && a->is_ambiguous == b->is_ambiguous);
    HOLDS(a->is_unusable == b->is_unusable && la_slice_equals(a->value, b->value));
}

/* json-c's tree has one member of each name, so that an ambiguous one differs only by case. */
static void compare_tree(const la_json_t *object, const la_member_t *member)
{
    const la_json_t *value;
    la_slice_t text;

    if (!la_json_member(object, member->name, &value)) {
        HOLDS(member->kind == LA_MEMBER_ABSENT);
        return;
    }
    HOLDS((member->kind == LA_MEMBER_STRING) == (la_json_type(value) == LA_JSON_STRING) ||
          member->is_ambiguous);
    HOLDS((member->kind == LA_MEMBER_NUMBER) == (la_json_type(value) == LA_JSON_NUMBER) ||
          member->is_ambiguous);
    if (la_json_string(value, &text) && !member->is_ambiguous && !member->is_unusable) {
        HOLDS(la_slice_equals(text, member->value));
    }
}

static int may_differ(const char *error)
{
    return strncmp(error, "duplicate member name", 21) == 0 ||
           strcmp(error, "too many values") == 0 || strncmp(error, "nested too deep", 15) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char *copy = exact(data, size);
    la_slice_t text = {copy, size};
    la_member_t whole[MEMBERS];
    la_member_t parts[MEMBERS];
    const la_json_t *tree;
    const la_json_t *params = NULL;
    const char *error = read_parts(pool, text, size + 1, whole);
    const char *other = read_parts(pool, text, size % 3 + 1, parts);
    const char *refused = la_json_parse(pool, text, &tree);

    HOLDS(error == other);
    for (int i = 0; i < MEMBERS && !error; i++) {
        compare(&whole[i], &parts[i]);
    }
    if (!refused) {
        HOLDS((error == NULL) == (la_json_type(tree) == LA_JSON_OBJECT));
    } else if (!error) {
        HOLDS(may_differ(refused));
    }
    if (!refused && !error) {
        (void)la_json_member(tree, "params", &params);
        compare_tree(tree, &whole[MODEL]);
        compare_tree(tree, &whole[PARAMS]);
        compare_tree(tree, &whole[TOKENS]);
        if (!whole[PARAMS].is_ambiguous) {
            compare_tree(params, &whole[NAME]);
        }
    }
    if (whole[MODEL].kind == LA_MEMBER_STRING && !whole[MODEL].is_unusable) {
        (void)la_model_is_name(whole[MODEL].value);
    }
    free(copy);
    apr_pool_destroy(pool);
    return 0;
}

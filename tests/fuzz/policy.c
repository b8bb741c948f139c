/* Policy lines: each line a RequireScope (`s `) or RequireAttribute (`a `) of a section, an empty
 * line begins a nested one. What is in force never holds for nobody. */
#include "access/policy.h"

#include "fuzz.h"

typedef struct section_t {
    const la_policy_t *scopes;
    const la_policy_t *attributes;
} section_t;

static void add_line(apr_pool_t *pool, section_t *section, la_slice_t line)
{
    const char *words[10];
    int count = split_words(pool, line, words, 10);
    la_methods_t methods = count > 1 && words[count - 1][0] == '%' ? 2 : LA_METHODS_ALL;

    if (count > 1 && strcmp(words[0], "s") == 0) {
        la_policy_add_scopes(pool, &section->scopes, methods, count - 1, words + 1);
    } else if (count > 1 && strcmp(words[0], "a") == 0) {
        la_policy_add_attribute(pool, &section->attributes, methods, count - 1, words + 1);
    }
}

static void check(apr_pool_t *pool, const la_policy_t *policy)
{
    la_methods_t method;
    const char *message;

    for (method = 1; method <= 4; method <<= 1) {
        int in_force = la_policy_in_force(policy, method);

        HOLDS(la_policy_check(pool, policy, method, NULL, &message) == !in_force);
        la_policy_scopes(pool, policy, method);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char *text = exact(data, size);
    la_slice_t rest = {text, size};
    section_t outer = {NULL, NULL};
    section_t inner = {NULL, NULL};

    while (rest.len > 0) {
        la_slice_t line = take_line(&rest);

        if (line.len == 0) {
            outer.scopes = la_policy_merge(pool, outer.scopes, inner.scopes);
            outer.attributes = la_policy_merge(pool, outer.attributes, inner.attributes);
            inner = (section_t){NULL, NULL};
        } else if (!memchr(line.data, '\0', line.len)) {
            add_line(pool, &inner, line);
        }
    }
    check(pool, la_policy_merge(pool, outer.scopes, inner.scopes));
    check(pool, la_policy_merge(pool, outer.attributes, inner.attributes));
    free(text);
    apr_pool_destroy(pool);
    return 0;
}

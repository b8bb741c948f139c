/* Policy lines: each line a RequireScope (`s `) or RequireAttribute (`a `) or
 * LlamaAuthScopeImplies (`i `) of a section, an empty
 * line begins a nested one. What is in force never holds for nobody. */
#include "access/policy.h"

#include "fuzz.h"

typedef struct section_t {
    const la_policy_t *scopes;
    const la_policy_t *attributes;
    la_implied_scopes_t *implied;
} section_t;

static void add_line(apr_pool_t *pool, section_t *section, la_slice_t line)
{
    const char *words[10];
    int count = split_words(pool, line, words, 10);
    la_policy_line_t rule = {LA_METHODS_ALL, NULL, count - 1, words + 1};

    if (count > 1 && words[count - 1][0] == '%') {
        rule.methods = 2;
    }

    if (count > 1 && strcmp(words[0], "s") == 0) {
        la_policy_add_scopes(pool, &section->scopes, &rule);
    } else if (count > 1 && strcmp(words[0], "a") == 0) {
        la_policy_add_attribute(pool, &section->attributes, &rule);
    } else if (count > 1 && strcmp(words[0], "i") == 0) {
        la_implied_scopes_add(pool, &section->implied, count - 1, words + 1);
    }
}

static void check(apr_pool_t *pool, const section_t *section, const la_policy_t *policy)
{
    la_methods_t method;
    const la_subject_t nobody = {NULL, section->implied};
    la_policy_refusal_t refusal;

    for (method = 1; method <= 4; method <<= 1) {
        int applies = la_policy_applies(policy, method);

        HOLDS(la_policy_check(pool, policy, method, &nobody, &refusal) == !applies);
        HOLDS(!applies || (refusal.message && refusal.reason));
        la_policy_scopes(pool, policy, method);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char *text = exact(data, size);
    la_slice_t rest = {text, size};
    section_t outer = {0};
    section_t inner = {0};

    while (rest.len > 0) {
        la_slice_t line = take_line(&rest);

        if (line.len == 0) {
            outer.scopes = la_policy_merge(pool, outer.scopes, inner.scopes);
            outer.attributes = la_policy_merge(pool, outer.attributes, inner.attributes);
            outer.implied = la_implied_scopes_merge(pool, outer.implied, inner.implied);
            inner = (section_t){0};
        } else if (!memchr(line.data, '\0', line.len)) {
            add_line(pool, &inner, line);
        }
    }
    check(pool, &outer, la_policy_merge(pool, outer.scopes, inner.scopes));
    check(pool, &outer, la_policy_merge(pool, outer.attributes, inner.attributes));
    free(text);
    apr_pool_destroy(pool);
    return 0;
}

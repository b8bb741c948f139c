/* Error templates: the first line is what a client sent (message, realm, path), the rest the
 * template; what is sent is JSON. */
#include "access/denial_form.h"
#include "base/json.h"

#include "fuzz.h"

static void write_all(apr_pool_t *pool, const la_denial_form_t *form, const char *hostile)
{
    la_denial_context_t context = {hostile, hostile, hostile, hostile, NULL};
    int kind;

    for (kind = 0; kind <= LA_DENIAL_ACCESS; kind++) {
        la_denial_t denial = la_denial_make((la_denial_e)kind, hostile);
        const la_json_t *parsed;
        const char *type;
        const char *challenge;
        la_slice_t body;

        denial.scope = hostile;
        body = la_denial_form_write(pool, form, &denial, &context, &type);
        HOLDS(la_json_parse(pool, body, &parsed) == NULL);
        body = la_denial_form_write(pool, NULL, &denial, &context, &type);
        HOLDS(la_json_parse(pool, body, &parsed) == NULL);
        challenge = la_denial_challenge(pool, &denial, hostile);
        HOLDS(!challenge || is_field_value(challenge, strlen(challenge)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char *text = exact(data, size);
    la_slice_t rest = {text, size};
    la_slice_t line = take_line(&rest);
    const char *hostile = apr_pstrmemdup(pool, line.data, line.len);
    const la_denial_form_t *form;

    if (!la_denial_form_parse(pool, rest, &form)) {
        write_all(pool, form, hostile);
    } else {
        write_all(pool, la_denial_form_preset("openai"), hostile);
        write_all(pool, la_denial_form_preset("problem"), hostile);
    }
    free(text);
    apr_pool_destroy(pool);
    return 0;
}

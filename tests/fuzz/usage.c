/* Answers in every form: what is read does not depend on how the bytes are cut, and of a whole JSON
 * document it is what a parser finds. The first byte says the form, the second how large the pieces
 * are. */
#include "quota/usage.h"

#include "base/json.h"

#include "fuzz.h"

#define MOST (UINT64_C(1) << 53)

static la_usage_t read_in_pieces(apr_pool_t *pool, la_usage_form_e form, la_slice_t body,
                                 size_t piece)
{
    la_usage_reader_t *reader = la_usage_reader_make(pool, form);

    for (size_t at = 0; at < body.len; at += piece) {
        la_usage_read(reader,
                      (la_slice_t){body.data + at, body.len - at < piece ? body.len - at : piece});
    }
    return la_usage_end(reader, 1, 1);
}

/* A member that is a whole number, as text and so without rounding. */
static int find(apr_pool_t *pool, const la_json_t *object, const char *name, uint64_t *number)
{
    const la_json_t *member;
    la_slice_t text;
    uint64_t value = 0;

    if (!la_json_member(object, name, &member) || la_json_type(member) != LA_JSON_NUMBER ||
        !la_json_scalar_text(pool, member, &text)) {
        return 0;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || value > MOST) {
            return 0;
        }
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    if (value > MOST) {
        return 0;
    }
    *number = value;
    return 1;
}

/* What a parser finds where no name stands in two spellings; 0 where the order would decide. */
static int expect(apr_pool_t *pool, const la_json_t *top, la_usage_t *usage)
{
    const la_json_t *inner;
    uint64_t input = 0;
    uint64_t prompt = 0;
    uint64_t written = 0;
    uint64_t cached = 0;
    uint64_t output = 0;
    uint64_t total = 0;
    int has_prompt = find(pool, top, "prompt_eval_count", &prompt);
    int count = has_prompt + find(pool, top, "eval_count", &output);

    if (la_json_type(top) == LA_JSON_OBJECT && la_json_member(top, "usage", &inner) &&
        la_json_type(inner) == LA_JSON_OBJECT) {
        int is_prompt = find(pool, inner, "prompt_tokens", &prompt);
        int inside = is_prompt + find(pool, inner, "completion_tokens", &output);
        int other =
            find(pool, inner, "input_tokens", &input) + find(pool, inner, "output_tokens", &output);
        int more = find(pool, inner, "cache_creation_input_tokens", &written) +
                   find(pool, inner, "cache_read_input_tokens", &cached) +
                   find(pool, inner, "total_tokens", &total);

        if ((count > 0) + (inside > 0) + (other > 0) > 1) {
            return 0;
        }
        has_prompt |= is_prompt;
        count += inside + other + more;
    }
    *usage = (la_usage_t){.source = count ? LA_USAGE_RESPONSE : LA_USAGE_NONE,
                          .input = has_prompt ? prompt : input + written + cached,
                          .output = output};
    usage->total = usage->input + output > total ? usage->input + output : total;
    return 1;
}

static int is_same(const la_usage_t *a, const la_usage_t *b)
{
    return a->source == b->source && a->input == b->input && a->output == b->output &&
           a->total == b->total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    la_usage_form_e form;
    const la_json_t *top;
    la_usage_t expected;
    la_usage_t pieces;
    la_usage_t whole;
    la_slice_t body;
    char *bytes;
    apr_pool_t *pool;

    if (size < 2) {
        return 0;
    }
    pool = fuzz_pool();
    form = (la_usage_form_e)(data[0] % 4);
    bytes = exact(data + 2, size - 2);
    body = (la_slice_t){bytes, size - 2};
    whole = read_in_pieces(pool, form, body, size);
    pieces = read_in_pieces(pool, form, body, 1 + data[1] % 16);
    HOLDS(is_same(&whole, &pieces));
    HOLDS(whole.total >= whole.input + whole.output);
    if (form == LA_USAGE_FORM_JSON && la_json_parse(pool, body, &top) == NULL &&
        expect(pool, top, &expected)) {
        HOLDS(is_same(&whole, &expected));
    }
    free(bytes);
    apr_pool_destroy(pool);
    return 0;
}

/* usage.c and usage_json.c: what answers say of tokens, whole and in pieces of every size. */
#include "support.h"

#include "quota/usage.h"

static apr_pool_t *pool;

typedef struct usage_case_t {
    const char *name;
    const char *type;
    const char *body;
    int is_cut; /* the body does not come to its end */
    la_usage_t expected;
} usage_case_t;

#define JSON   "application/json"
#define SSE    "text/event-stream; charset=utf-8"
#define NDJSON "application/x-ndjson"

#define TOLD(i, o, t)                                                                              \
    {                                                                                              \
        LA_USAGE_RESPONSE, i, o, t                                                                 \
    }
#define GUESS(i, o)                                                                                \
    {                                                                                              \
        LA_USAGE_ESTIMATE, i, o, (i) + (o)                                                         \
    }
#define NOTHING                                                                                    \
    {                                                                                              \
        LA_USAGE_NONE, 0, 0, 0                                                                     \
    }

static usage_case_t cases[] = {
    {"json: OpenAI", JSON,
     "{\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":12}}", 0,
     TOLD(7, 5, 12)},
    {"json: a total above the sum", JSON,
     "{\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":20}}", 0,
     TOLD(7, 5, 20)},
    {"json: a total below the sum", JSON,
     "{\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":2}}", 0,
     TOLD(7, 5, 12)},
    {"json: embeddings", JSON, "{\"data\":[],\"usage\":{\"prompt_tokens\":8,\"total_tokens\":8}}",
     0, TOLD(8, 0, 8)},
    {"json: Anthropic, with a cache", JSON,
     "{\"usage\":{\"input_tokens\":1,\"output_tokens\":2,\"cache_creation_input_tokens\":10,"
     "\"cache_read_input_tokens\":20}}",
     0, TOLD(31, 2, 33)},
    {"json: OpenAI's form, with Anthropic's cache", JSON,
     "{\"usage\":{\"prompt_tokens\":31,\"completion_tokens\":2,\"total_tokens\":33,"
     "\"cache_creation_input_tokens\":10,\"cache_read_input_tokens\":20}}",
     0, TOLD(31, 2, 33)},
    {"json: Ollama", JSON, "{\"prompt_eval_count\":3,\"eval_count\":4}", 0, TOLD(3, 4, 7)},
    {"json: +json", "application/problem+json", "{\"eval_count\":4}", 0, TOLD(0, 4, 4)},
    {"json: blanks everywhere", JSON, " { \"usage\" : { \"output_tokens\" : 4 } } ", 0,
     TOLD(0, 4, 4)},
    {"json: an escaped name", JSON, "{\"us\\u0061ge\":{\"output\\u005ftokens\":4}}", 0,
     TOLD(0, 4, 4)},
    {"json: details are not counted", JSON,
     "{\"usage\":{\"output_tokens\":4,\"output_tokens_details\":{\"output_tokens\":9}}}", 0,
     TOLD(0, 4, 4)},
    {"json: usage in a list", JSON, "{\"a\":[{\"usage\":{\"output_tokens\":4}}]}", 0, NOTHING},
    {"json: usage in a string", JSON, "{\"a\":\"\\\"usage\\\":{\\\"output_tokens\\\":4}\"}", 0,
     NOTHING},
    {"json: usage deep inside", JSON, "{\"a\":{\"usage\":{\"output_tokens\":4}}}", 0, NOTHING},
    {"json: message is for events", JSON, "{\"message\":{\"usage\":{\"output_tokens\":4}}}", 0,
     NOTHING},
    {"json: null", JSON, "{\"usage\":null}", 0, NOTHING},
    {"json: a number", JSON, "{\"usage\":5}", 0, NOTHING},
    {"json: negative", JSON, "{\"usage\":{\"output_tokens\":-4}}", 0, NOTHING},
    {"json: a fraction", JSON, "{\"usage\":{\"output_tokens\":4.5}}", 0, NOTHING},
    {"json: an exponent", JSON, "{\"usage\":{\"output_tokens\":4e3}}", 0, NOTHING},
    {"json: text", JSON, "{\"usage\":{\"output_tokens\":\"4\"}}", 0, NOTHING},
    {"json: 2^53", JSON, "{\"usage\":{\"output_tokens\":9007199254740992}}", 0,
     TOLD(0, UINT64_C(9007199254740992), UINT64_C(9007199254740992))},
    {"json: above 2^53", JSON, "{\"usage\":{\"output_tokens\":9007199254740993}}", 0, NOTHING},
    {"json: 2^60", JSON, "{\"usage\":{\"output_tokens\":1152921504606846976}}", 0, NOTHING},
    {"json: a hundred digits", JSON,
     "{\"usage\":{\"output_tokens\":"
     "100000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
     "0000000}}",
     0, NOTHING},
    {"json: the last of two", JSON, "{\"usage\":{\"output_tokens\":4,\"output_tokens\":5}}", 0,
     TOLD(0, 5, 5)},
    {"json: behind what is deep", JSON,
     "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"]}\",{\"b\":1}"
     "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]],\"usage\":{\"output_"
     "tokens\":4}}",
     0, TOLD(0, 4, 4)},
    {"json: a list at the top", JSON, "[{\"usage\":{\"output_tokens\":4}}]", 0, NOTHING},
    {"json: a byte order mark", JSON, "\xEF\xBB\xBF{\"eval_count\":4}", 0, TOLD(0, 4, 4)},
    {"json: two of them", JSON, "\xEF\xBB\xBF\xEF\xBB\xBF{\"eval_count\":4}", 0, NOTHING},
    {"sse: a byte order mark", SSE,
     "\xEF\xBB\xBF"
     "data: {\"usage\":{\"output_tokens\":4}}\n\n",
     0, TOLD(0, 4, 4)},
    {"ndjson: a byte order mark", NDJSON, "\xEF\xBB\xBF{\"eval_count\":4}\n", 0, TOLD(0, 4, 4)},
    {"json: empty", JSON, "", 0, NOTHING},
    {"json: broken", JSON, "{\"usage\"}:{\"output_tokens\":4}", 0, NOTHING},
    {"json: cut off before", JSON, "{\"choices\":[", 1, GUESS(0, 0)},
    {"json: cut off in the middle", JSON, "{\"usage\":{\"prompt_tokens\":7,", 1, GUESS(7, 0)},
    {"json: cut off behind", JSON, "{\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5}", 1,
     TOLD(7, 5, 12)},
    {"sse: OpenAI", SSE,
     "data: {\"usage\":null}\n\ndata: "
     "{\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5}}\n\ndata: [DONE]\n\n",
     0, TOLD(7, 5, 12)},
    {"sse: no blank, CR", SSE, "data:{\"usage\":{\"completion_tokens\":5}}\r\rdata:x\r\r", 0,
     TOLD(0, 5, 5)},
    {"sse: CR LF", SSE, "event: a\r\ndata: {\"usage\":{\"completion_tokens\":5}}\r\n\r\n", 0,
     TOLD(0, 5, 5)},
    {"sse: the last one", SSE,
     "data: {\"usage\":{\"completion_tokens\":5}}\n\ndata: "
     "{\"usage\":{\"completion_tokens\":6}}\n\n",
     0, TOLD(0, 6, 6)},
    {"sse: two lines of data", SSE, "data: {\"usage\":\ndata: {\"completion_tokens\":5}}\n\n", 0,
     TOLD(0, 5, 5)},
    {"sse: Anthropic", SSE,
     "data: {\"message\":{\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\ndata: "
     "{\"usage\":{\"output_tokens\":15}}\n\n",
     0, TOLD(25, 15, 40)},
    {"sse: Anthropic, ended early", SSE,
     "data: {\"message\":{\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\ndata: {}\n\n", 0,
     GUESS(25, 2)},
    {"sse: Responses", SSE,
     "data: {\"response\":{\"usage\":{\"input_tokens\":6,\"output_tokens\":2}}}\n\n", 0,
     TOLD(6, 2, 8)},
    {"sse: none", SSE, "data: {}\n\ndata: {}\n\n: comment\n\nevent: x\n\n", 0, GUESS(0, 2)},
    {"sse: cut off", SSE, "data: {}\n\ndata: {\"a", 1, GUESS(0, 2)},
    {"sse: another field", SSE, "datax: {\"usage\":{\"completion_tokens\":5}}\n\ndat\n\n", 0,
     GUESS(0, 0)},
    {"ndjson: Ollama", NDJSON,
     "{\"done\":false}\n{\"done\":true,\"prompt_eval_count\":4,\"eval_count\":6}\n", 0,
     TOLD(4, 6, 10)},
    {"ndjson: no last line feed", NDJSON, "{\"eval_count\":6}", 0, TOLD(0, 6, 6)},
    {"ndjson: none", NDJSON, "{}\n\n  \n{}\n", 0, GUESS(0, 2)},
    {"other: whole", "text/plain", "{\"usage\":{\"completion_tokens\":5}}", 0, NOTHING},
    {"other: cut off", "text/plain", "x", 1, GUESS(0, 0)},
    {"other: no type", NULL, "x", 0, NOTHING},
};

static void check(const usage_case_t *row, apr_size_t piece)
{
    la_usage_reader_t *reader = la_usage_reader_make(pool, la_usage_form(row->type));
    apr_size_t len = strlen(row->body);
    la_usage_t usage;

    for (apr_size_t at = 0; at < len; at += piece) {
        la_usage_read(reader, (la_slice_t){row->body + at, len - at < piece ? len - at : piece});
    }
    usage = la_usage_end(reader, 1, !row->is_cut);
    assert_int_equal(usage.source, row->expected.source);
    assert_int_equal(usage.input, row->expected.input);
    assert_int_equal(usage.output, row->expected.output);
    assert_int_equal(usage.total, row->expected.total);
}

static void test_usage(void **state)
{
    for (apr_size_t piece = 1; piece < 12; piece++) {
        check(*state, piece);
    }
    check(*state, 100000);
}

static void test_no_success(void **state)
{
    la_usage_reader_t *reader = la_usage_reader_make(pool, LA_USAGE_FORM_JSON);

    (void)state;
    la_usage_read(reader, LA_SLICE("{\"eval_count\":4}"));
    assert_int_equal(la_usage_end(reader, 0, 1).source, LA_USAGE_NONE);
}

int main(void)
{
    start();
    pool = new_pool();
    for (size_t i = 0; i < ROWS(cases); i++) {
        add(cases[i].name, test_usage, &cases[i]);
    }
    add("not a success", test_no_success, NULL);
    return finish("usage");
}

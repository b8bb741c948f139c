/* A provider over answers that the fuzzer chose: blocks between lines of `%%`, each a status (0: no
 * answer, 1: a timeout) and, behind a space, a header's value, then the body. Included by one
 * target after fake_http_call and the provider's own file.
 */
#ifndef LA_FUZZ_ANSWERS_H
#define LA_FUZZ_ANSWERS_H

#include "io/server.h"
#include "provider/provider.h"

#include "identities.h"

static la_slice_t answers;
static char *body_in_use;

static void take_block(la_slice_t *block)
{
    const char *end = NULL;
    apr_size_t i;

    for (i = 0; i + 4 <= answers.len && !end; i++) {
        end = memcmp(answers.data + i, "\n%%\n", 4) == 0 ? answers.data + i : NULL;
    }
    *block = (la_slice_t){answers.data, end ? (apr_size_t)(end - answers.data) : answers.len};
    answers.data += block->len + (end ? 4 : 0);
    answers.len -= block->len + (end ? 4 : 0);
}

/* Stands in for la_http_call(): the next block, in a copy of just its length. */
static void next_answer(const la_http_request_t *request, apr_pool_t *pool,
                        la_http_response_t *response)
{
    la_slice_t block;
    la_slice_t line;
    char *value;
    int status;

    take_block(&block);
    line = take_line(&block);
    status =
        line.len > 0 ? (int)apr_strtoi64(apr_pstrmemdup(pool, line.data, line.len), &value, 10) : 0;
    *response = (la_http_response_t){.outcome = status == 1 ? LA_HTTP_TIMEOUT : LA_HTTP_FAILED,
                                     .reason = "none"};
    response->headers = apr_table_make(pool, 2);
    if (status < 200 || status > 599) {
        return;
    }
    free(body_in_use);
    body_in_use = exact(block.data, block.len);
    response->outcome = LA_HTTP_ANSWERED;
    response->status = status;
    response->body = (la_slice_t){body_in_use, block.len};
    if (*value == ' ' && request->wanted && is_field_value(value, strlen(value))) {
        apr_table_set(response->headers, request->wanted[0], value + 1);
    }
}

static void no_log(la_log_e level, const char *line)
{
    (void)level;
    HOLDS(!strstr(line, "the-token"));
}

static const char *same_path(apr_pool_t *pool, const char *path)
{
    return apr_pstrdup(pool, path);
}

static int one(void)
{
    return 1;
}

static const la_server_t fuzz_host = {
    .log = no_log, .path = same_path, .threads = one, .workers = one};

/* A provider of one or two option lines, made once. */
static inline la_provider_t *fuzz_provider(const la_provider_type_t *type, const char *const *lines)
{
    static la_provider_t *provider;
    apr_pool_t *pool;
    const char *words[8];

    if (!provider) {
        pool = fuzz_pool();
        la_server_set(&fuzz_host);
        provider = la_provider_make(pool, "p", type);
        for (; *lines; lines++) {
            int count = split_words(pool, (la_slice_t){*lines, strlen(*lines)}, words, 8);

            HOLDS(la_provider_set(provider, pool, words[0], count - 1, words + 1) == NULL);
        }
        HOLDS(la_provider_finish(provider, pool) == NULL);
        HOLDS(la_provider_child_init(provider, pool, NULL, NULL) == APR_SUCCESS);
    }
    return provider;
}

/* One verdict over the input's answers, and what every verdict promises. */
static inline int fuzz_verify(const la_provider_t *provider, const uint8_t *data, size_t size)
{
    static const unsigned char digest[LA_DIGEST_BYTES];
    apr_pool_t *pool = fuzz_pool();
    char *text = exact(data, size);
    la_call_t call = {.token = LA_SLICE("the-token"),
                      .digest = digest,
                      .now = APR_TIME_C(1700000000000000),
                      .path = "/v1",
                      .query = "a=b",
                      .client_ip = "127.0.0.1",
                      .headers = apr_table_make(pool, 1)};
    la_result_t result;

    answers = (la_slice_t){text, size};
    la_provider_verify(provider, &call, pool, &result);
    HOLDS((result.verdict == LA_VERDICT_ACCEPTED) == (result.identity != NULL));
    HOLDS(result.verdict == LA_VERDICT_ACCEPTED || result.verdict == LA_VERDICT_NOT_MINE ||
          result.message);
    HOLDS(!result.reason || !strstr(result.reason, "the-token"));
    if (result.identity) {
        check_identity(result.identity, pool);
        HOLDS(result.expires == 0 || result.expires > 0);
    }
    free(text);
    apr_pool_destroy(pool);
    return 0;
}

#endif

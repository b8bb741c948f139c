/* What the tests of custom.c share. The HTTP client is replaced by one that keeps the question and
 * gives the answer that a test chose; provider.c is the real one.
 */
#ifndef LA_TEST_CUSTOMS_H
#define LA_TEST_CUSTOMS_H

#include "support.h"

#define la_http_call   fake_http_call
#define la_custom_type tested_custom_type
#include "provider/answer.c"
#include "provider/custom.c"

static la_http_response_t answer; /* what the endpoint says */

static struct question_t {
    const char *method;
    const char *url;
    const apr_table_t *headers;
    const char *body;
} asked;

void fake_http_call(la_http_t *http, const la_http_request_t *request, apr_pool_t *pool,
                    la_http_response_t *response)
{
    (void)http;
    asked.method = request->method;
    asked.url = request->url;
    asked.headers = apr_table_clone(pool, request->headers);
    asked.body = apr_pstrmemdup(pool, request->body.data, request->body.len);
    *response = answer;
    response->headers = apr_table_make(pool, 1);
}

/* ---- providers from option lines ---- */

#define MAX_LINES 4

/* Sets one line, split at single spaces; `|` stands for a space inside a word. */
static inline const char *set_line(la_provider_t *provider, apr_pool_t *pool, const char *line)
{
    const char *words[16];
    int count = 0;
    char *rest = apr_pstrdup(pool, line);
    char *word;
    char *p;

    while ((word = strsep(&rest, " ")) != NULL) {
        for (p = word; (p = strchr(p, '|')) != NULL;)
            *p = ' ';
        words[count++] = word;
    }
    return la_provider_set(provider, pool, words[0], count - 1, words + 1);
}

static inline const char *make(apr_pool_t *pool, const char *const *lines, la_provider_t **provider)
{
    const char *error = NULL;

    *provider = la_provider_make(pool, "corp", &la_custom_type);
    for (int i = 0; i < MAX_LINES && lines[i] && !error; i++)
        error = set_line(*provider, pool, lines[i]);
    error = error ? error : la_provider_finish(*provider, pool);
    if (!error) {
        assert_int_equal(la_provider_child_init(*provider, pool, NULL, NULL), APR_SUCCESS);
    }
    return error;
}

#define ENDPOINT "Endpoint https://auth.example.com:8443/validate"

/* "Name: value" lines as a table. */
static inline apr_table_t *fields_of(apr_pool_t *pool, const char *lines)
{
    apr_table_t *fields = apr_table_make(pool, 8);
    char *rest = apr_pstrdup(pool, lines);
    char *line;

    while ((line = strsep(&rest, "\n")) != NULL) {
        char *value = strstr(line, ": ");

        if (value) {
            *value = '\0';
            apr_table_addn(fields, line, value + 2);
        }
    }
    return fields;
}

static inline void verify(apr_pool_t *pool, const la_provider_t *provider, const char *path,
                          const char *query, const char *fields, la_result_t *result)
{
    static const unsigned char digest[LA_DIGEST_BYTES];
    la_call_t call = {.token = LA_SLICE("tok\"en"),
                      .digest = digest,
                      .now = apr_time_now(),
                      .path = path,
                      .query = query,
                      .headers = fields_of(pool, fields)};

    la_provider_verify(provider, &call, pool, result);
}

#endif

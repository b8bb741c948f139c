/* The kubernetes provider's tests: kubernetes.c with an HTTP client that keeps the question and
 * gives the answer that a test chose, and providers from option lines. The pod is the tests'
 * directory. Included by one .c per program.
 */
#ifndef LA_TEST_CLUSTERS_H
#define LA_TEST_CLUSTERS_H

#include "support.h"

#define LA_POD_DIRECTORY   "."
#define la_http_call       fake_http_call
#define la_kubernetes_type tested_kubernetes_type
#include "provider/answer.c"
#include "provider/kubernetes.c"

static la_http_response_t answer; /* what the API server says */

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
#define REVIEWER  "ReviewerToken reviewer-s3cret"

static inline const char *set_line(la_provider_t *provider, apr_pool_t *pool, const char *line)
{
    const char *words[16];
    int count = 0;
    char *rest = apr_pstrdup(pool, line);
    char *word;

    while ((word = strsep(&rest, " ")) != NULL)
        words[count++] = word;
    return la_provider_set(provider, pool, words[0], count - 1, words + 1);
}

static inline const char *make(apr_pool_t *pool, const char *const *lines, la_provider_t **provider)
{
    const char *error = NULL;

    *provider = la_provider_make(pool, "cluster", &la_kubernetes_type);
    for (int i = 0; i < MAX_LINES && lines[i] && !error; i++)
        error = set_line(*provider, pool, lines[i]);
    error = error ? error : la_provider_finish(*provider, pool);
    if (!error) {
        assert_int_equal(la_provider_child_init(*provider, pool, NULL, NULL), APR_SUCCESS);
    }
    return error;
}

#define CALLER "caller\"s-token"

static inline void verify_token(apr_pool_t *pool, const la_provider_t *provider, const char *token,
                                la_result_t *result)
{
    static const unsigned char digest[LA_DIGEST_BYTES];
    static int calls; /* two seconds apart: a changed secret is seen */
    la_call_t call = {.token = slice_of_text(token),
                      .digest = digest,
                      .now = apr_time_now() + apr_time_from_sec(2 * ++calls),
                      .path = "/",
                      .headers = apr_table_make(pool, 1)};

    la_provider_verify(provider, &call, pool, result);
}

#endif

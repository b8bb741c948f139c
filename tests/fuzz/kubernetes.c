/* Answers of the API server (TokenReview). */
#define la_http_call       fake_http_call
#define la_kubernetes_type fuzzed_type
#include "provider/answer.c"
#include "provider/kubernetes.c"

#include "answers.h"

void fake_http_call(la_http_t *http, const la_http_request_t *request, apr_pool_t *pool,
                    la_http_response_t *response)
{
    (void)http;
    next_answer(request, pool, response);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const lines[] = {"ApiServer https://127.0.0.1", "ReviewerToken the-reviewer",
                                        "Audience a b", NULL};

    return fuzz_verify(fuzz_provider(&fuzzed_type, lines), data, size);
}

/* Answers of an introspection endpoint. */
#define la_http_call          fake_http_call
#define la_introspection_type fuzzed_type
#include "provider/answer.c"
#include "provider/introspection.c"

#include "answers.h"

void fake_http_call(la_http_t *http, const la_http_request_t *request, apr_pool_t *pool,
                    la_http_response_t *response)
{
    (void)http;
    next_answer(request, pool, response);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const lines[] = {"Endpoint https://idp.example/introspect",
                                        "ClientId us",
                                        "ClientSecret secret",
                                        "Audience a",
                                        "ExpectIssuer i",
                                        NULL};

    return fuzz_verify(fuzz_provider(&fuzzed_type, lines), data, size);
}

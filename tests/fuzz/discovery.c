/* Metadata of an issuer: a URL that is found is one that may be called, and of that issuer's
 * document. */
#define la_http_call fake_http_call
#include "provider/discovery.c"

#include "answers.h"

void fake_http_call(la_http_t *http, const la_http_request_t *request, apr_pool_t *pool,
                    la_http_response_t *response)
{
    (void)http;
    next_answer(request, pool, response);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char *text = exact(data, size);
    const char *url;
    const char *authority;

    la_server_set(&fuzz_host);
    answers = (la_slice_t){text, size};
    if (!la_discovery_find(NULL, "https://idp.example", "jwks_uri", 0, pool, &url)) {
        HOLDS(url && la_url_check(pool, url, &authority) == NULL);
    }
    free(text);
    apr_pool_destroy(pool);
    return 0;
}

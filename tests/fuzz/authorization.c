/* An Authorization value: the token is a part of it, well-formed, and found again in any other
 * spelling of the scheme. */
#include "access/token.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *value = exact_text(data, size);
    la_slice_t bearer;
    la_slice_t token;
    la_scheme_e scheme;
    la_token_e found = la_token_from_authorization(value, 0, &bearer, &scheme);

    HOLDS(scheme != LA_SCHEME_DPOP);
    HOLDS(found != LA_TOKEN_FOUND || scheme == LA_SCHEME_BEARER);
    found = la_token_from_authorization(value, 1, &token, &scheme);
    HOLDS(scheme == LA_SCHEME_DPOP || la_slice_equals(bearer, token));
    HOLDS(scheme == la_token_scheme(value));
    HOLDS(token.len == 0 || token.data + token.len == value + strlen(value));
    HOLDS((found == LA_TOKEN_TOO_LONG) == (token.len > LA_TOKEN_MAX_BYTES));
    if (found == LA_TOKEN_MALFORMED) {
        apr_pool_t *pool = fuzz_pool();

        HOLDS(la_token_fault(pool, token) != NULL);
        apr_pool_destroy(pool);
    }
    if (found == LA_TOKEN_FOUND) {
        unsigned char digest[LA_DIGEST_BYTES];
        char id[LA_CLIENT_ID_LEN + 1];

        HOLDS(token.data > value && token.data + token.len <= value + strlen(value));
        HOLDS(token.len <= LA_TOKEN_MAX_BYTES && la_token_check(token) == LA_TOKEN_FOUND);
        HOLDS(!memchr(token.data, ',', token.len) && !memchr(token.data, ' ', token.len));
        HOLDS(la_digest_sha256(token, digest) == APR_SUCCESS);
        la_token_client_id(digest, id);
        HOLDS(strspn(id, "0123456789abcdef") == LA_CLIENT_ID_LEN);
    }
    free(value);
    return 0;
}

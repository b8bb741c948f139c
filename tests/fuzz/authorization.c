/* An Authorization value: the token is a part of it, well-formed, and found again in any other
 * spelling of the scheme. */
#include "access/token.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *value = exact_text(data, size);
    la_slice_t token;
    la_token_e found = la_token_from_authorization(value, &token);

    HOLDS((found == LA_TOKEN_FOUND) == (token.len > 0));
    if (found == LA_TOKEN_FOUND) {
        unsigned char digest[LA_DIGEST_BYTES];
        char id[LA_CLIENT_ID_LEN + 1];

        HOLDS(token.data > value && token.data + token.len <= value + strlen(value));
        HOLDS(token.len <= LA_TOKEN_MAX_BYTES && la_token_is_well_formed(token));
        HOLDS(!memchr(token.data, ',', token.len) && !memchr(token.data, ' ', token.len));
        HOLDS(la_digest_sha256(token, digest) == APR_SUCCESS);
        la_token_client_id(digest, id);
        HOLDS(strspn(id, "0123456789abcdef") == LA_CLIENT_ID_LEN);
    }
    free(value);
    return 0;
}

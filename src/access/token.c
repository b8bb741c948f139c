/* Every request calls these, from any thread; only la_token_fault() allocates. */
#include "access/token.h"

#include <apr_strings.h>

#include <string.h>

static unsigned char is_foreign(char c)
{
    unsigned char byte = (unsigned char)c;

    return (unsigned char)((byte < 0x21) | (byte > 0x7e) | (byte == ','));
}

enum { BLOCK = 32 };

/* Tests a whole block without leaving the loop, because the compiler makes vector code of that: a
 * token of 900 bytes takes a tenth of the time. */
static unsigned char has_foreign(const char *block)
{
    unsigned char foreign = 0;

    for (int i = 0; i < BLOCK; i++) {
        foreign |= is_foreign(block[i]);
    }
    return foreign;
}

static int is_visible(la_slice_t text)
{
    unsigned char foreign = 0;

    if (text.len < BLOCK) {
        for (apr_size_t i = 0; i < text.len; i++) {
            foreign |= is_foreign(text.data[i]);
        }
        return foreign == 0;
    }
    for (apr_size_t i = 0; i + BLOCK <= text.len; i += BLOCK) {
        foreign |= has_foreign(text.data + i);
    }
    return (foreign | has_foreign(text.data + text.len - BLOCK)) == 0;
}

la_token_e la_token_check(la_slice_t text)
{
    if (text.len == 0) {
        return LA_TOKEN_MISSING;
    }
    if (text.len > LA_TOKEN_MAX_BYTES) {
        return LA_TOKEN_TOO_LONG;
    }
    return is_visible(text) ? LA_TOKEN_FOUND : LA_TOKEN_MALFORMED;
}

static const struct {
    const char *name; /* in lower case */
    la_scheme_e scheme;
} schemes[] = {{"bearer", LA_SCHEME_BEARER}, {"dpop", LA_SCHEME_DPOP}};

static int has_scheme(const char *value, const char *name)
{
    for (; *name && (*value | 0x20) == *name; value++, name++) {}
    return !*name && (*value == ' ' || *value == '\0');
}

la_scheme_e la_token_scheme(const char *value)
{
    for (apr_size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (has_scheme(value, schemes[i].name)) {
            return schemes[i].scheme;
        }
    }
    return LA_SCHEME_OTHER;
}

la_token_e la_token_from_authorization(const char *value, int dpop, la_slice_t *token,
                                       la_scheme_e *scheme)
{
    la_scheme_e own = value ? la_token_scheme(value) : LA_SCHEME_OTHER;
    la_token_e result;

    *token = LA_SLICE("");
    *scheme = own == LA_SCHEME_DPOP && !dpop ? LA_SCHEME_OTHER : own;
    if (!value || *scheme == LA_SCHEME_OTHER) {
        return value && value[strspn(value, " \t")] ? LA_TOKEN_MALFORMED : LA_TOKEN_MISSING;
    }
    for (value += strcspn(value, " "); *value == ' '; value++) {}
    *token = la_slice_of(value);
    result = la_token_check(*token);
    return result == LA_TOKEN_MISSING ? LA_TOKEN_MALFORMED : result;
}

const char *la_token_fault(apr_pool_t *pool, la_slice_t text)
{
    apr_size_t at = 0;

    while (at < text.len && !is_foreign(text.data[at])) {
        at++;
    }
    if (text.len == 0) {
        return "it is not Bearer and a token";
    }
    if (at < text.len && text.data[at] == ',') {
        return "there is a comma in it, as if the field had been sent twice";
    }
    return apr_psprintf(pool,
                        "byte %" APR_SIZE_T_FMT " of %" APR_SIZE_T_FMT
                        " is 0x%02x, and tokens are of visible ASCII characters",
                        at + 1, text.len, at < text.len ? (unsigned char)text.data[at] : 0);
}

void la_token_client_id(const unsigned char digest[LA_DIGEST_BYTES], char id[LA_CLIENT_ID_LEN + 1])
{
    la_digest_hex(digest, LA_CLIENT_ID_LEN / 2, id);
}

#define MADE "token:"

void la_token_principal(const char id[LA_CLIENT_ID_LEN + 1],
                        char principal[LA_TOKEN_PRINCIPAL_LEN + 1])
{
    memcpy(principal, MADE, sizeof(MADE) - 1);
    memcpy(principal + sizeof(MADE) - 1, id, LA_TOKEN_PRINCIPAL_LEN - (sizeof(MADE) - 1));
    principal[LA_TOKEN_PRINCIPAL_LEN] = '\0';
}

int la_token_may_have_made(la_slice_t principal)
{
    return principal.len == LA_TOKEN_PRINCIPAL_LEN &&
           memcmp(principal.data, MADE, sizeof(MADE) - 1) == 0;
}

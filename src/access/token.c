/* The bearer token: cutting it out of the Authorization field and digesting it.
 *
 * Owns what counts as a well-formed credential and the digest's parameters. What a
 * digest is good for is decided by its users. Called once or twice for every
 * request, warm ones included, from any thread; it allocates nothing of its own.
 */
#include "access/token.h"

#include <apr_cstr.h>

#include <openssl/evp.h>

#include <stdatomic.h>
#include <string.h>

#define BEARER     "Bearer"
#define BEARER_LEN (sizeof(BEARER) - 1)

static unsigned char is_foreign(char c)
{
    unsigned char byte = (unsigned char)c;

    return (unsigned char)((byte < 0x21) | (byte > 0x7e) | (byte == ','));
}

/* Whole blocks are tested without a way out in between, since the compiler makes
 * vector code of that: a token of 900 bytes takes a tenth of the time. */
static int is_visible(la_slice_t text)
{
    enum { BLOCK = 32 };
    unsigned char foreign = 0;
    apr_size_t i = 0;

    for (; text.len - i >= BLOCK; i += BLOCK) {
        for (apr_size_t j = 0; j < BLOCK; j++)
            foreign |= is_foreign(text.data[i + j]);
    }
    for (; i < text.len; i++)
        foreign |= is_foreign(text.data[i]);
    return foreign == 0;
}

int la_token_is_well_formed(la_slice_t text)
{
    return text.len > 0 && text.len <= LA_TOKEN_MAX_BYTES && is_visible(text);
}

la_token_e la_token_from_authorization(const char *value, la_slice_t *token)
{
    la_slice_t found;

    *token = LA_SLICE("");
    if (value == NULL || value[strspn(value, " \t")] == '\0')
        return LA_TOKEN_MISSING;
    if (apr_cstr_casecmpn(value, BEARER, BEARER_LEN) != 0 || value[BEARER_LEN] != ' ')
        return LA_TOKEN_MALFORMED;
    found.data = value + BEARER_LEN + strspn(value + BEARER_LEN, " ");
    found.len = strnlen(found.data, LA_TOKEN_MAX_BYTES + 1);
    if (!la_token_is_well_formed(found))
        return LA_TOKEN_MALFORMED;
    *token = found;
    return LA_TOKEN_FOUND;
}

/* SHA-256 as fetched from libcrypto, which takes longer than the digest and is done once. Two threads may
 * both fetch; one copy goes back. A failure is not remembered. The reference is never returned: libcrypto
 * keeps the object anyway, and a process that unloads the module hands out one more at its next load. */
static const EVP_MD *sha256(void)
{
    static _Atomic(EVP_MD *) fetched;
    EVP_MD *md = atomic_load(&fetched);
    EVP_MD *other = NULL;

    if (md != NULL)
        return md;
    md = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (md == NULL || atomic_compare_exchange_strong(&fetched, &other, md))
        return md;
    EVP_MD_free(md);
    return other;
}

apr_status_t la_token_digest(la_slice_t token, unsigned char digest[LA_TOKEN_DIGEST_BYTES])
{
    const EVP_MD *md = sha256();

    if (md == NULL || EVP_Digest(token.data, token.len, digest, NULL, md, NULL) != 1)
        return APR_EGENERAL;
    return APR_SUCCESS;
}

void la_token_client_id(const unsigned char digest[LA_TOKEN_DIGEST_BYTES],
                        char id[LA_CLIENT_ID_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";

    for (apr_size_t i = 0; i < LA_CLIENT_ID_LEN / 2; i++) {
        id[2 * i] = digits[digest[i] >> 4];
        id[2 * i + 1] = digits[digest[i] & 15];
    }
    id[LA_CLIENT_ID_LEN] = '\0';
}

void la_token_principal(const char id[LA_CLIENT_ID_LEN + 1],
                        char principal[LA_TOKEN_PRINCIPAL_LEN + 1])
{
    memcpy(principal, "token:", 6);
    memcpy(principal + 6, id, LA_TOKEN_PRINCIPAL_LEN - 6);
    principal[LA_TOKEN_PRINCIPAL_LEN] = '\0';
}

/* The memory of a connection, in its conn_config: fixed size, since a connection may live for days.
 * Only one request of a connection is worked on at a time, so nothing is locked. The token is
 * compared whole; what is remembered is a digest and a key, never a verdict.
 */
#include "httpd/conn_memo.h"

#include <http_config.h>

extern module AP_MODULE_DECLARE_DATA llama_auth_module;

static la_conn_memo_t *memo_of(conn_rec *c)
{
    la_conn_memo_t *memo = ap_get_module_config(c->conn_config, &llama_auth_module);

    if (!memo && !c->master) {
        memo = apr_pcalloc(c->pool, sizeof(*memo));
        ap_set_module_config(c->conn_config, &llama_auth_module, memo);
    }
    return c->master ? NULL : memo;
}

/* In a time that depends on the length only, since whoever shares the connection through a proxy
 * may not learn how much of another's token was right. In blocks, which the compiler makes vector
 * code of: CRYPTO_memcmp() takes as long for 900 bytes as the digest that is spared. */
static int same_bytes(const char *a, const char *b, apr_size_t len)
{
    enum { BLOCK = 32 };
    unsigned char difference = 0;
    apr_size_t i = 0;
    apr_size_t j;

    for (; len - i >= BLOCK; i += BLOCK) {
        for (j = 0; j < BLOCK; j++) {
            difference |= (unsigned char)(a[i + j] ^ b[i + j]);
        }
    }
    for (; i < len; i++) {
        difference |= (unsigned char)(a[i] ^ b[i]);
    }
    return difference == 0;
}

static int is_last(const la_conn_memo_t *memo, la_slice_t token)
{
    return memo->token_len == token.len && same_bytes(memo->token, token.data, token.len);
}

static void remember(la_conn_memo_t *memo, la_slice_t token, const unsigned char *digest,
                     const char *client_id)
{
    memo->token_len = 0;
    if (token.len <= sizeof(memo->token)) {
        memcpy(memo->token, token.data, token.len);
        memcpy(memo->digest, digest, sizeof(memo->digest));
        memcpy(memo->client_id, client_id, sizeof(memo->client_id));
        memo->token_len = token.len;
    }
}

apr_status_t la_conn_memo_digest(request_rec *r, la_slice_t token,
                                 unsigned char digest[LA_DIGEST_BYTES],
                                 char client_id[LA_CLIENT_ID_LEN + 1], la_cache_key_memo_t **key)
{
    la_conn_memo_t *memo = memo_of(r->connection);

    *key = memo ? &memo->key : NULL;
    if (memo && is_last(memo, token)) {
        memcpy(digest, memo->digest, sizeof(memo->digest));
        memcpy(client_id, memo->client_id, sizeof(memo->client_id));
        return APR_SUCCESS;
    }
    if (la_digest_sha256(token, digest) != APR_SUCCESS) {
        return APR_EGENERAL;
    }
    la_token_client_id(digest, client_id);
    if (memo) {
        remember(memo, token, digest, client_id);
    }
    return APR_SUCCESS;
}

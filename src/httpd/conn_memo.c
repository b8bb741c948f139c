/* Keeps a connection's memory in its conn_config: of a fixed size, since a connection may live for
 * days. One request of a connection is worked on at a time, so nothing is locked. No token and no
 * verdict is kept. */
#include "httpd/conn_memo.h"

#include "base/checksum.h"

#include <http_config.h>

extern module AP_MODULE_DECLARE_DATA llama_auth_module;

typedef struct conn_memo_t {
    la_checksum_t token; /* of the last token */
    unsigned char digest[LA_DIGEST_BYTES];
    char client_id[LA_CLIENT_ID_LEN + 1];
    la_cache_key_memo_t key;
} conn_memo_t;

_Static_assert(sizeof(conn_memo_t) <= 256, "an idle connection costs little");

/* NULL for a stream of HTTP/2: its thread is not the connection's. */
static conn_memo_t *memo_of(conn_rec *c)
{
    conn_memo_t *memo = ap_get_module_config(c->conn_config, &llama_auth_module);

    if (!memo && !c->master) {
        memo = apr_pcalloc(c->pool, sizeof(*memo));
        ap_set_module_config(c->conn_config, &llama_auth_module, memo);
    }
    return memo;
}

static apr_status_t compute(la_slice_t token, unsigned char digest[LA_DIGEST_BYTES],
                            char client_id[LA_CLIENT_ID_LEN + 1])
{
    apr_status_t rv = la_digest_sha256(token, digest);

    if (rv == APR_SUCCESS) {
        la_token_client_id(digest, client_id);
    }
    return rv;
}

apr_status_t la_conn_memo_digest(request_rec *r, la_slice_t token,
                                 unsigned char digest[LA_DIGEST_BYTES],
                                 char client_id[LA_CLIENT_ID_LEN + 1], la_cache_key_memo_t **key)
{
    conn_memo_t *memo = memo_of(r->connection);
    la_checksum_t checksum;
    apr_status_t rv = APR_SUCCESS;

    *key = memo ? &memo->key : NULL;
    if (!memo || !la_checksum_make(&token, 1, &checksum)) {
        return compute(token, digest, client_id);
    }
    if (!la_checksum_equals(&checksum, &memo->token)) {
        memo->token = (la_checksum_t){0};
        rv = compute(token, memo->digest, memo->client_id);
        if (rv == APR_SUCCESS) {
            memo->token = checksum;
        }
    }
    memcpy(digest, memo->digest, LA_DIGEST_BYTES);
    memcpy(client_id, memo->client_id, sizeof(memo->client_id));
    return rv;
}

/* What a connection remembers of its last request's token: its digest, its client id and its cache
 * key. LLM clients send the same token over the same connection again and again; each costs two
 * digests otherwise.
 */
#ifndef LA_CONN_MEMO_H
#define LA_CONN_MEMO_H

#include "access/token.h"
#include "lookup/lookup.h"

#include <httpd.h>

/* Longest token that is remembered. */
#define LA_CONN_MEMO_TOKEN_BYTES 1024

typedef struct la_conn_memo_t {
    unsigned char digest[LA_DIGEST_BYTES];
    char client_id[LA_CLIENT_ID_LEN + 1];
    la_cache_key_memo_t key;
    apr_size_t token_len; /* 0: nothing is remembered */
    char token[LA_CONN_MEMO_TOKEN_BYTES];
} la_conn_memo_t;

/* Fills in the token's digest and client id, from memory where it is the connection's last token.
 *
 * memo: for la_call_t.memo; NULL where a connection cannot remember (the streams of HTTP/2 have
 * threads of their own). Returns APR_SUCCESS or APR_EGENERAL when libcrypto fails.
 */
apr_status_t la_conn_memo_digest(request_rec *r, la_slice_t token,
                                 unsigned char digest[LA_DIGEST_BYTES],
                                 char client_id[LA_CLIENT_ID_LEN + 1], la_cache_key_memo_t **memo);

#endif

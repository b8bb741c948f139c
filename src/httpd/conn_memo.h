/* What a connection remembers of its last token: the digest and the cache key. LLM clients send the
 * same token over the same connection again and again; each request costs two digests otherwise. */
#pragma once

#include "access/token.h"
#include "lookup/cache_key.h"

#include <httpd.h>

/* Fills in the token's digest and client id, from memory where it is the connection's last token.
 * key: for la_call_t.memo; NULL where a connection cannot remember. Returns APR_SUCCESS, or
 * APR_EGENERAL when libcrypto fails. */
apr_status_t la_conn_memo_digest(request_rec *r, la_slice_t token,
                                 unsigned char digest[LA_DIGEST_BYTES],
                                 char client_id[LA_CLIENT_ID_LEN + 1], la_cache_key_memo_t **key);

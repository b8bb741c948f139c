/* Base64url without padding, as JOSE writes bytes (RFC 7515 section 2, RFC 4648 section 5). */
#pragma once

#include "base/slice.h"

#include <apr_pools.h>

/* Refuses foreign characters (`+`, `/`, `=`, white space), impossible lengths and unused bits that
 * are not zero, so that bytes have one spelling. bytes: in `pool`, closed with a NUL that is not
 * counted; empty on failure. An empty text is no bytes. Returns 1, else 0. */
int la_base64url_decode(apr_pool_t *pool, la_slice_t text, la_slice_t *bytes);

/* Characters that so many bytes take, without a closing NUL. A constant if `bytes` is one. */
#define LA_BASE64URL_CHARS(bytes) (((bytes)*4 + 2) / 3)

/* Writes the bytes. text: LA_BASE64URL_CHARS(bytes.len) characters and a closing NUL. Returns the
 * number of characters. */
apr_size_t la_base64url_encode(la_slice_t bytes, char *text);

/* What a verdict depends on, and the cache key made of it. Any thread. */
#pragma once

#include "base/checksum.h"
#include "lookup/cache.h"
#include "provider/provider.h"

/* Most parts of a key: fingerprint, digest, path, params, address, resource, epoch and CacheVary's
 * headers. */
#define LA_CACHE_KEY_PARTS_MAX (7 + LA_VARY_HEADERS_MAX)

/* The last cache key made for a connection: a client that asks the same again over the same
 * connection costs no HMAC. Starts zeroed; used by one thread at a time. */
struct la_cache_key_memo_t {
    const la_provider_t *provider; /* NULL: nothing is remembered */
    unsigned char digest[LA_DIGEST_BYTES];
    la_checksum_t fields;
    la_cache_key_t key;
};

/* Lists what the verdict depends on, in an order that is fixed for one definition of a provider:
 * its fingerprint, the token's digest, then the fields. epoch: of the provider's type; borrowed, as
 * is all that the parts point to. Returns their number. */
apr_size_t la_cache_key_parts(const la_provider_t *provider, const la_call_t *call,
                              const apr_uint64_t *epoch, la_slice_t parts[LA_CACHE_KEY_PARTS_MAX]);

/* Makes the key of the provider's verdict on this call, or takes it from call->memo. Returns what
 * la_cache_key() does. */
apr_status_t la_cache_key_make(const la_cache_t *cache, const la_provider_t *provider,
                               const la_call_t *call, apr_uint64_t epoch, la_cache_key_t *key);

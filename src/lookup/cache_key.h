/* What a verdict depends on, and the cache's key that is made of it. Any thread. */
#ifndef LA_CACHE_KEY_H
#define LA_CACHE_KEY_H

#include "lookup/cache.h"
#include "provider/provider.h"

/* Most fields a verdict can depend on: path, params, address, resource, epoch and CacheVary's
 * headers. */
#define LA_CACHE_KEY_FIELDS_MAX (5 + LA_VARY_HEADERS_MAX)

/* Room for the fields whose key is remembered, with their lengths. */
#define LA_CACHE_KEY_MEMO_BYTES 512

/* The last cache key made for a connection, so that a client that asks the same again over the same
 * connection costs no digest. The fields are copies: what a request's configuration points to may
 * be gone when the next one comes. Starts zeroed; used by one thread at a time. */
struct la_cache_key_memo_t {
    const la_provider_t *provider; /* NULL while there is nothing to remember */
    la_cache_key_t key;
    unsigned char digest[LA_DIGEST_BYTES];
    unsigned char fields[LA_CACHE_KEY_MEMO_BYTES];
};

/* The fields in a fixed order for one definition of a provider, so that no field can be taken for
 * another.
 *
 * epoch: of the provider's type; borrowed, as is all that the fields point to.
 * Returns their number.
 */
apr_size_t la_cache_key_fields(const la_provider_t *provider, const la_call_t *call,
                               const apr_uint64_t *epoch,
                               la_slice_t fields[LA_CACHE_KEY_FIELDS_MAX]);

/* The key of the provider's verdict on this call, from call->memo where it is there. Returns what
 * la_cache_key() does. */
apr_status_t la_cache_key_make(const la_cache_t *cache, const la_provider_t *provider,
                               const la_call_t *call, apr_uint64_t epoch, la_cache_key_t *key);

#endif

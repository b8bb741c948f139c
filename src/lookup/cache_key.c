/* Makes the keys of verdicts, and remembers a connection's last one. */
#include "lookup/cache_key.h"

#include <string.h>

static la_slice_t text(const char *value)
{
    return (la_slice_t){value, value ? strlen(value) : 0};
}

apr_size_t la_cache_key_parts(const la_provider_t *provider, const la_call_t *call,
                              const apr_uint64_t *epoch, la_slice_t parts[LA_CACHE_KEY_PARTS_MAX])
{
    const la_provider_type_t *type = provider->type;
    const la_vary_t *vary = &provider->common.vary;
    apr_size_t count = 0;

    parts[count++] = (la_slice_t){(const char *)provider->fingerprint, LA_DIGEST_BYTES};
    parts[count++] = (la_slice_t){(const char *)call->digest, LA_DIGEST_BYTES};
    if (vary->path) {
        parts[count++] = text(call->path);
    }
    if (vary->params) {
        parts[count++] = text(call->query);
    }
    if (vary->client_ip) {
        parts[count++] = text(call->client_ip);
    }
    if (type->checks_audience) {
        parts[count++] = text(call->resource);
    }
    if (type->epoch) {
        parts[count++] = (la_slice_t){(const char *)epoch, sizeof(*epoch)};
    }
    for (int i = 0; vary->headers && i < vary->headers->nelts; i++) {
        const char *name = APR_ARRAY_IDX(vary->headers, i, const char *);

        parts[count++] = text(apr_table_get(call->headers, name));
    }
    return count;
}

/* Returns 1 when the remembered key is that of this provider, token and fields. */
static int is_same(const la_cache_key_memo_t *memo, const la_provider_t *provider,
                   const la_call_t *call, const la_checksum_t *fields)
{
    return memo->provider == provider && memcmp(memo->digest, call->digest, LA_DIGEST_BYTES) == 0 &&
           la_checksum_equals(fields, &memo->fields);
}

apr_status_t la_cache_key_make(const la_cache_t *cache, const la_provider_t *provider,
                               const la_call_t *call, apr_uint64_t epoch, la_cache_key_t *key)
{
    la_cache_key_memo_t *memo = call->memo;
    la_slice_t parts[LA_CACHE_KEY_PARTS_MAX];
    apr_size_t count = la_cache_key_parts(provider, call, &epoch, parts);
    la_checksum_t fields;
    apr_status_t rv;

    if (!memo || !la_checksum_make(parts + 2, count - 2, &fields)) {
        return la_cache_key(cache, parts, count, key);
    }
    if (is_same(memo, provider, call, &fields)) {
        *key = memo->key;
        return APR_SUCCESS;
    }
    rv = la_cache_key(cache, parts, count, key);
    memo->provider = rv == APR_SUCCESS ? provider : NULL;
    memo->fields = fields;
    memo->key = *key;
    memcpy(memo->digest, call->digest, LA_DIGEST_BYTES);
    return rv;
}

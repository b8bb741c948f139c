/* Keys of verdicts, and remembering a connection's last one. */
#include "provider/key.h"

#include <string.h>

_Static_assert(LA_KEY_FIELDS_MAX <= LA_CACHE_FIELDS_MAX, "a key holds all fields");

static la_slice_t text(const char *value)
{
    return (la_slice_t){value, value ? strlen(value) : 0};
}

apr_size_t la_key_fields(const la_provider_t *provider, const la_call_t *call,
                         const apr_uint64_t *epoch, la_slice_t fields[LA_KEY_FIELDS_MAX])
{
    const la_provider_type_t *type = provider->type;
    const la_vary_t *vary = &provider->common.vary;
    apr_size_t count = 0;
    int i;

    if (vary->path) {
        fields[count++] = text(call->path);
    }
    if (vary->params) {
        fields[count++] = text(call->query);
    }
    if (vary->client_ip) {
        fields[count++] = text(call->client_ip);
    }
    if (type->checks_audience) {
        fields[count++] = text(call->resource);
    }
    if (type->epoch) {
        fields[count++] = (la_slice_t){(const char *)epoch, sizeof(*epoch)};
    }
    for (i = 0; vary->headers && i < vary->headers->nelts; i++) {
        const char *name = APR_ARRAY_IDX(vary->headers, i, const char *);

        fields[count++] = text(apr_table_get(call->headers, name));
    }
    return count;
}

/* Whether the remembered key is this call's: same provider, epoch, resource, token, path and query. */
static int remembered(const la_key_memo_t *memo, const la_provider_t *provider,
                      const la_call_t *call, apr_uint64_t epoch)
{
    return memo->provider == provider && memo->epoch == epoch && memo->resource == call->resource &&
           memcmp(memo->digest, call->digest, sizeof(memo->digest)) == 0 &&
           strcmp(memo->path, call->path) == 0 && memo->has_query == (call->query != NULL) &&
           (!call->query || strcmp(memo->query, call->query) == 0);
}

static void remember(la_key_memo_t *memo, const la_provider_t *provider, const la_call_t *call,
                     apr_uint64_t epoch, const la_cache_key_t *key)
{
    apr_size_t path = strlen(call->path);
    apr_size_t query = call->query ? strlen(call->query) : 0;

    memo->provider = NULL;
    if (path < sizeof(memo->path) && query < sizeof(memo->query)) {
        memcpy(memo->path, call->path, path + 1);
        memcpy(memo->query, call->query ? call->query : "", query + 1);
        memcpy(memo->digest, call->digest, sizeof(memo->digest));
        memo->has_query = call->query != NULL;
        memo->epoch = epoch;
        memo->resource = call->resource;
        memo->key = *key;
        memo->provider = provider;
    }
}

apr_status_t la_key_make(const la_cache_t *cache, const la_provider_t *provider,
                         const la_call_t *call, apr_uint64_t epoch, la_cache_key_t *key)
{
    const la_vary_t *vary = &provider->common.vary;
    la_key_memo_t *memo = vary->client_ip || vary->headers ? NULL : call->memo;
    la_slice_t fields[LA_KEY_FIELDS_MAX];
    apr_size_t count;
    apr_status_t rv;

    if (memo && remembered(memo, provider, call, epoch)) {
        *key = memo->key;
        return APR_SUCCESS;
    }
    count = la_key_fields(provider, call, &epoch, fields);
    rv = la_cache_key(cache, provider->fingerprint, call->digest, fields, count, key);
    if (memo && rv == APR_SUCCESS) {
        remember(memo, provider, call, epoch, key);
    }
    return rv;
}

/* Keys of verdicts, and remembering a connection's last one. */
#include "lookup/cache_key.h"

#include <string.h>

_Static_assert(LA_CACHE_KEY_FIELDS_MAX <= LA_CACHE_FIELDS_MAX, "a key holds all fields");

static la_slice_t text(const char *value)
{
    return (la_slice_t){value, value ? strlen(value) : 0};
}

apr_size_t la_cache_key_fields(const la_provider_t *provider, const la_call_t *call,
                               const apr_uint64_t *epoch,
                               la_slice_t fields[LA_CACHE_KEY_FIELDS_MAX])
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

/* A field stands behind its length; an absent one is not an empty one. */
static apr_size_t mark_of(la_slice_t field)
{
    return field.data ? field.len : (apr_size_t)-1;
}

static int same_fields(const la_cache_key_memo_t *memo, const la_slice_t *fields, apr_size_t count)
{
    const unsigned char *at = memo->fields;
    apr_size_t i;

    for (i = 0; i < count; i++) {
        apr_size_t mark = mark_of(fields[i]);

        if (memcmp(at, &mark, sizeof(mark)) != 0) {
            return 0;
        }
        at += sizeof(mark);
        if (fields[i].len > 0 && memcmp(at, fields[i].data, fields[i].len) != 0) {
            return 0;
        }
        at += fields[i].len;
    }
    return 1;
}

/* Whether the remembered key is this call's: same provider, token and fields. The count of fields
 * is the provider's. */
static int remembered(const la_cache_key_memo_t *memo, const la_provider_t *provider,
                      const la_call_t *call, const la_slice_t *fields, apr_size_t count)
{
    return memo->provider == provider &&
           memcmp(memo->digest, call->digest, sizeof(memo->digest)) == 0 &&
           same_fields(memo, fields, count);
}

static void remember(la_cache_key_memo_t *memo, const la_provider_t *provider,
                     const la_call_t *call, const la_slice_t *fields, apr_size_t count,
                     const la_cache_key_t *key)
{
    unsigned char *at = memo->fields;
    apr_size_t left = sizeof(memo->fields);
    apr_size_t i;

    memo->provider = NULL;
    for (i = 0; i < count; i++) {
        apr_size_t mark = mark_of(fields[i]);

        if (left < sizeof(mark) || left - sizeof(mark) < fields[i].len) {
            return;
        }
        memcpy(at, &mark, sizeof(mark));
        at += sizeof(mark);
        if (fields[i].len > 0) {
            memcpy(at, fields[i].data, fields[i].len);
        }
        at += fields[i].len;
        left -= sizeof(mark) + fields[i].len;
    }
    memcpy(memo->digest, call->digest, sizeof(memo->digest));
    memo->key = *key;
    memo->provider = provider;
}

apr_status_t la_cache_key_make(const la_cache_t *cache, const la_provider_t *provider,
                               const la_call_t *call, apr_uint64_t epoch, la_cache_key_t *key)
{
    la_cache_key_memo_t *memo = call->memo;
    la_slice_t fields[LA_CACHE_KEY_FIELDS_MAX];
    apr_size_t count = la_cache_key_fields(provider, call, &epoch, fields);
    apr_status_t rv;

    if (memo && remembered(memo, provider, call, fields, count)) {
        *key = memo->key;
        return APR_SUCCESS;
    }
    rv = la_cache_key(cache, provider->fingerprint, call->digest, fields, count, key);
    if (memo && rv == APR_SUCCESS) {
        remember(memo, provider, call, fields, count, key);
    }
    return rv;
}

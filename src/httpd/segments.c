/* Makes what all processes share, in anonymous shared memory that they inherit:
 *
 *   cache     verdicts, kept over restarts while its size stays; its secret is in private memory
 *   counters  what the status page and the metrics show; kept over restarts, label by label. Behind
 *             those of the providers come those of the remote cache and of callers of no provider,
 *             then those of the signers.
 *   segments  what provider types keep for a provider (key sets); at a restart a provider of the
 *             same definition gets a copy of what there was.
 *   limits    gates and flights, kept over restarts (limits.c).
 *   outages   what the log was told; new for each generation of children.
 *   proofs    kept over restarts (proof_memory.c).
 *
 * There are always counters, since requests are refused and counted without providers too. The
 * parent creates and copies, and never interprets what children wrote. */
#include "httpd/segments.h"

#include "httpd/config/config.h"
#include "httpd/config/registry.h"
#include "httpd/limits.h"
#include "httpd/proof_memory.h"
#include "httpd/quota_memory.h"
#include "io/server.h"
#include "shm/memory.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <http_log.h>

APLOG_USE_MODULE(llama_auth);

/* Under this name httpd keeps `server` over restarts. Another layout, also of counters, needs
 * another name: then a graceful restart of an upgraded module begins with new memory. */
#define RETAINED_KEY "mod_llama_auth server 3"

/* The part of one provider. */
typedef struct segment_t {
    unsigned char fingerprint[LA_DIGEST_BYTES];
    apr_size_t size;
    char *bytes;
} segment_t;

typedef struct server_t {
    la_holder_t life;
    int is_life_open;
    la_memory_t cache;
    unsigned char secret[LA_CACHE_SECRET_BYTES];
    int had_cache;                /* there was a cache before this one */
    la_purge_position_t position; /* of the cache before */
    la_memory_t segments;
    segment_t *segment; /* of each provider */
    int segment_count;
    la_memory_t counters;
    const char **labels; /* of the counters' records */
    apr_uint32_t label_count;
    la_limits_t limits;
    la_memory_t outages;
} server_t;

static server_t *server;

static apr_status_t failed(server_rec *s, apr_status_t rv, const char *what)
{
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, LA_LOGNO(0040) "cannot make %s", what);
    }
    return rv;
}

/* ---- the cache ---- */

static apr_status_t create_cache(server_rec *s, apr_size_t size, apr_pool_t *ptemp)
{
    apr_status_t rv = la_memory_make(&server->cache, size, s->process->pool);

    rv = rv == APR_SUCCESS ? la_cache_format(server->cache.bytes, size) : rv;
    if (rv == APR_SUCCESS && server->had_cache) {
        la_cache_succeed(server->cache.bytes, server->position);
    }
    if (rv == APR_SUCCESS) {
        la_cache_bind(server->cache.bytes, la_remote_place(la_config_remote(s), ptemp));
        rv = apr_generate_random_bytes(server->secret, sizeof(server->secret));
    }
    server->had_cache = 1;
    return failed(s, rv, "the cache's shared memory (LlamaAuthCacheSize)");
}

static apr_status_t keep_or_create_cache(server_rec *s, apr_pool_t *ptemp)
{
    apr_size_t size = la_config_server(s)->cache.bytes;

    if (server->cache.size == size) {
        return APR_SUCCESS;
    }
    if (server->cache.pool) {
        server->position = la_cache_position(server->cache.bytes);
        la_memory_free(&server->cache);
    }
    return size ? create_cache(s, size, ptemp) : APR_SUCCESS;
}

/* ---- segments ---- */

static apr_size_t segment_size(const la_provider_t *provider)
{
    apr_size_t size = provider->type->shared_bytes ? provider->type->shared_bytes() : 0;

    return (size + LA_MEMORY_ALIGN - 1) / LA_MEMORY_ALIGN * LA_MEMORY_ALIGN;
}

/* Gives a provider its part, with what a provider of the same definition had. */
static void fill_segment(segment_t *segment, la_provider_t *provider, char *bytes)
{
    memcpy(segment->fingerprint, provider->fingerprint, sizeof(segment->fingerprint));
    segment->size = segment_size(provider);
    segment->bytes = bytes;
    provider->segment = bytes;
    for (int i = 0; i < server->segment_count; i++) {
        const segment_t *old = &server->segment[i];

        if (old->size == segment->size &&
            memcmp(old->fingerprint, segment->fingerprint, sizeof(old->fingerprint)) == 0) {
            memcpy(bytes, old->bytes, old->size);
            return;
        }
    }
}

static apr_status_t create_segments(server_rec *s)
{
    int count = la_registry_count();
    apr_size_t size = 0;
    la_memory_t memory;
    segment_t *made;
    apr_status_t rv;
    int i;

    for (i = 0; i < count; i++) {
        size += segment_size(la_registry_at(i)->provider);
    }
    rv = la_memory_make(&memory, size, s->process->pool);
    if (rv != APR_SUCCESS) {
        return failed(s, rv, "shared memory for key sets");
    }
    made = apr_pcalloc(memory.pool, sizeof(*made) * (apr_size_t)count);
    for (size = 0, i = 0; i < count; i++) {
        if (segment_size(la_registry_at(i)->provider) > 0) {
            fill_segment(&made[i], la_registry_at(i)->provider, memory.bytes + size);
            size += made[i].size;
        }
    }
    la_memory_free(&server->segments);
    server->segments = memory;
    server->segment = made;
    server->segment_count = count;
    return APR_SUCCESS;
}

/* ---- counters ---- */

/* The labels of the records that are needed now, in `pool`. No provider has one that is empty or
 * has a blank. */
static apr_array_header_t *list_labels(apr_pool_t *pool)
{
    const apr_array_header_t *signers = la_collected.signers;
    apr_array_header_t *labels = apr_array_make(pool, 8, sizeof(const char *));

    for (int i = 0; i < la_registry_count(); i++) {
        APR_ARRAY_PUSH(labels, const char *) = la_registry_at(i)->label;
    }
    APR_ARRAY_PUSH(labels, const char *) = "";
    for (int i = 0; i < signers->nelts; i++) {
        APR_ARRAY_PUSH(labels, const char *) =
            apr_pstrcat(pool, "signer ", APR_ARRAY_IDX(signers, i, la_entry_t).label, NULL);
    }
    return labels;
}

static const char *label_at(const apr_array_header_t *labels, apr_uint32_t i)
{
    return APR_ARRAY_IDX(labels, (int)i, const char *);
}

/* Returns 1 when the counters have these records, in this order. */
static int has_same_labels(const apr_array_header_t *labels)
{
    apr_uint32_t i = 0;

    if (!server->counters.pool || (int)server->label_count != labels->nelts) {
        return 0;
    }
    while (i < server->label_count && strcmp(server->labels[i], label_at(labels, i)) == 0) {
        i++;
    }
    return i == server->label_count;
}

/* Copies what the old counters say of whatever is still configured. */
static void copy_counters(const la_memory_t *made, const apr_array_header_t *labels)
{
    apr_uint32_t count = (apr_uint32_t)labels->nelts;
    la_counters_t *to = la_counters_attach(made->bytes, count, made->pool);
    la_counters_t *from =
        la_counters_attach(server->counters.bytes, server->label_count, made->pool);
    apr_uint32_t i;
    apr_uint32_t old;

    la_counters_copy_requests(to, from);
    for (i = 0; i < count; i++) {
        for (old = 0; old < server->label_count; old++) {
            if (strcmp(label_at(labels, i), server->labels[old]) == 0) {
                la_counters_copy(to, i, from, old);
                break;
            }
        }
    }
}

/* Keeps the counters if their records stay, so that children of both generations count there. */
static apr_status_t keep_or_create_counters(server_rec *s, apr_pool_t *ptemp)
{
    const apr_array_header_t *labels = list_labels(ptemp);
    apr_uint32_t count = (apr_uint32_t)labels->nelts;
    apr_size_t size = la_counters_bytes(count);
    la_memory_t memory;
    apr_status_t rv;

    if (has_same_labels(labels)) {
        return APR_SUCCESS;
    }
    rv = size ? la_memory_make(&memory, size, s->process->pool) : APR_EINVAL;
    if (rv != APR_SUCCESS) {
        return failed(s, rv, "shared memory for counters");
    }
    if (server->counters.pool) {
        copy_counters(&memory, labels);
    }
    la_memory_free(&server->counters);
    server->counters = memory;
    server->label_count = count;
    server->labels = apr_pcalloc(memory.pool, count * sizeof(*server->labels));
    for (apr_uint32_t i = 0; i < count; i++) {
        server->labels[i] = apr_pstrdup(memory.pool, label_at(labels, i));
    }
    return APR_SUCCESS;
}

uint32_t la_shared_signer_record(const la_signer_t *signer)
{
    return (uint32_t)la_registry_count() + 1 + signer->index;
}

/* ---- all of it ---- */

static apr_status_t open_life(server_rec *s)
{
    apr_status_t rv = APR_SUCCESS;
    int fd;

    if (!server->is_life_open) {
        rv = la_holder_open(&fd);
        la_holder_init(&server->life, fd);
        server->is_life_open = rv == APR_SUCCESS;
    }
    return failed(s, rv, "the file that tells which processes live");
}

static apr_status_t create_limits(apr_pool_t *ptemp, server_rec *s)
{
    apr_size_t size = (apr_size_t)la_registry_count() * sizeof(la_outage_t);
    apr_status_t rv;

    la_memory_free(&server->outages);
    rv = la_memory_make(&server->outages, size, s->process->pool);
    rv = rv == APR_SUCCESS ? la_limits_create(s, &server->life, ptemp, &server->limits) : rv;
    return failed(s, rv, "shared memory for gates and flights");
}

apr_status_t la_shared_create(apr_pool_t *ptemp, server_rec *main_server)
{
    apr_status_t rv;

    server = ap_retained_data_get(RETAINED_KEY);
    if (!server) {
        server = ap_retained_data_create(RETAINED_KEY, sizeof(*server));
    }
    rv = keep_or_create_counters(main_server, ptemp);
    if (rv == APR_SUCCESS && (la_registry_count() > 0 || la_collected.quotas->nelts > 0)) {
        rv = open_life(main_server);
    }
    if (rv == APR_SUCCESS) {
        rv = la_quota_memory_create(main_server, la_config_server(main_server)->quota_bytes,
                                    &server->life, ptemp);
        rv = failed(main_server, rv, "the memory of quotas");
    }
    if (rv != APR_SUCCESS || la_registry_count() == 0) {
        return rv;
    }
    rv = keep_or_create_cache(main_server, ptemp);
    rv = rv == APR_SUCCESS ? create_segments(main_server) : rv;
    rv = rv == APR_SUCCESS
             ? failed(main_server, la_proof_memory_create(main_server), "the memory of DPoP proofs")
             : rv;
    return rv == APR_SUCCESS ? create_limits(ptemp, main_server) : rv;
}

/* ---- in a child ---- */

static apr_status_t attach_remote(apr_pool_t *pool, server_rec *main_server, la_shared_t *shared)
{
    const la_remote_options_t *options = la_config_remote(main_server);
    la_remote_shared_t its = {.cache = shared->cache,
                              .gates = shared->gates,
                              .gate = LA_LIMITS_REMOTE_GATE,
                              .stats = shared->stats,
                              .stats_index = (apr_uint32_t)la_registry_count()};
    apr_status_t rv = APR_SUCCESS;

    if (options && shared->cache) {
        rv = la_remote_make(pool, options, &its, la_host()->threads(), &shared->remote);
    }
    if (rv == APR_SUCCESS && shared->cache) {
        la_remote_bind(shared->cache, shared->remote, pool);
    }
    return rv;
}

static apr_status_t attach_providers(apr_pool_t *pool, server_rec *main_server, la_shared_t *shared)
{
    const la_remote_options_t *secrets = &la_config_server(main_server)->cache.remote;
    apr_status_t rv =
        la_limits_attach(&server->limits, &server->life, pool, &shared->gates, &shared->flight);

    shared->workers = rv == APR_SUCCESS ? la_workers_make(shared->gates, pool) : NULL;
    if (rv == APR_SUCCESS && server->cache.pool) {
        rv = la_cache_attach(server->cache.bytes, server->cache.size, server->secret, &server->life,
                             pool, &shared->cache);
    }
    rv = rv == APR_SUCCESS ? la_proof_memory_attach(&server->life, pool, shared) : rv;
    shared->secrets = secrets->secret_count > 0 ? secrets : NULL;
    return rv == APR_SUCCESS ? attach_remote(pool, main_server, shared) : rv;
}

apr_status_t la_shared_attach(apr_pool_t *pool, server_rec *main_server, la_shared_t *shared)
{
    apr_status_t rv = APR_SUCCESS;

    *shared = (la_shared_t){
        .stats = la_counters_attach(server->counters.bytes, server->label_count, pool)};
    if (la_registry_count() > 0) {
        rv = attach_providers(pool, main_server, shared);
    }
    rv = rv == APR_SUCCESS ? la_quota_memory_attach(&server->life, pool) : rv;
    return failed(main_server, rv, "a child's view of shared memory");
}

la_holder_t *la_shared_life(void)
{
    return &server->life;
}

la_outage_t *la_shared_outage(const la_provider_t *provider)
{
    return (la_outage_t *)(void *)server->outages.bytes + provider->index;
}

/* What all processes share, in anonymous shared memory that they inherit:
 *
 *   cache     in the process's pool and remembered across restarts (httpd's retained data), so that
 * a graceful restart loses no verdict. Its secret lives in the parent's own memory. counters  what
 * status page and metrics show; remembered like the cache. segments  what types keep for a provider
 * (key sets), remembered like the cache: at a restart a provider of the same definition gets a copy
 * of what there was. limits    gates and flights, remembered likewise (limits.c). outages   what
 * the log was told; one for each generation of children, in the configuration's pool.
 *
 * Counters are there even where no provider is configured, since requests are refused and counted
 * there too; the rest is made for providers only.
 *
 * The parent creates, copies, and never understands what children wrote; children attach in
 * child_init.
 */
#include "httpd/segments.h"

#include "httpd/config/config.h"
#include "httpd/quota_memory.h"
#include "httpd/limits.h"
#include "httpd/config/registry.h"
#include "io/server.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <apr_shm.h>
#include <http_log.h>

APLOG_USE_MODULE(llama_auth);

/* Under this name the cache is remembered across restarts; a new layout gets a new name. */
#define RETAINED_KEY "mod_llama_auth cache 2"

/* Where one provider's segment is. Parent's own memory. */
typedef struct segment_t {
    unsigned char fingerprint[LA_DIGEST_BYTES];
    apr_size_t bytes;
    void *address;
} segment_t;

/* What outlives a restart. */
typedef struct retained_t {
    apr_shm_t *shm;
    apr_size_t bytes; /* of the cache; 0: none */
    unsigned char secret[LA_CACHE_SECRET_BYTES];
    int life_fd;
    int life_open;
    apr_pool_t *segments_pool; /* holds the two below, and is replaced with them; NULL: none yet */
    segment_t *segments;
    int segment_count;
    apr_pool_t *stats_pool; /* as segments_pool */
    char *stats_bytes;
    int had_cache;                /* there was one before this */
    la_purge_position_t position; /* of the cache before */
    const char **stats_names;     /* labels of the providers, in order */
    apr_uint32_t stats_count;     /* of providers; behind them is the second-level cache's place */
} retained_t;

typedef struct runtime_t {
    la_limits_t limits;
    la_outage_t *outages;
    apr_uint32_t providers;
} runtime_t;

static retained_t *retained;
static runtime_t runtime;
static la_holder_t life;
static la_shared_t shared;

/* The segment's start may be misaligned: it is made larger by one line, and used from the first
 * aligned byte. */
static char *aligned_base(apr_shm_t *shm)
{
    apr_uintptr_t base = (apr_uintptr_t)apr_shm_baseaddr_get(shm);

    return (char *)((base + LA_TABLE_ALIGN - 1) / LA_TABLE_ALIGN * LA_TABLE_ALIGN);
}

static apr_size_t rounded(apr_size_t bytes)
{
    return (bytes + LA_TABLE_ALIGN - 1) / LA_TABLE_ALIGN * LA_TABLE_ALIGN;
}

static apr_status_t failed(server_rec *s, apr_status_t rv, const char *what)
{
    ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, LA_LOGNO(0040) "cannot make %s", what);
    return rv;
}

/* ---- the cache ---- */

static apr_status_t create_cache(server_rec *s, apr_size_t bytes)
{
    apr_status_t rv =
        apr_shm_create(&retained->shm, bytes + LA_TABLE_ALIGN, NULL, s->process->pool);

    if (rv != APR_SUCCESS) {
        retained->shm = NULL;
        return failed(s, rv, "the cache's shared memory (LlamaAuthCacheSize)");
    }
    rv = la_cache_format(aligned_base(retained->shm), bytes);
    if (rv == APR_SUCCESS && retained->had_cache) {
        la_cache_succeed(aligned_base(retained->shm), retained->position);
    }
    retained->had_cache = 1;
    if (rv == APR_SUCCESS) {
        rv = apr_generate_random_bytes(retained->secret, sizeof(retained->secret));
    }
    if (rv != APR_SUCCESS) {
        return failed(s, rv, "the cache");
    }
    retained->bytes = bytes;
    return APR_SUCCESS;
}

static apr_status_t keep_or_create_cache(server_rec *s)
{
    apr_size_t bytes = la_config_cache_bytes(s);

    if (retained->shm && retained->bytes == bytes) {
        return APR_SUCCESS;
    }
    if (retained->shm) {
        retained->position = la_cache_position(aligned_base(retained->shm));
        apr_shm_destroy(retained->shm);
        retained->shm = NULL;
        retained->bytes = 0;
    }
    return bytes ? create_cache(s, bytes) : APR_SUCCESS;
}

static void remember(void)
{
    retained = ap_retained_data_get(RETAINED_KEY);
    if (!retained) {
        retained = ap_retained_data_create(RETAINED_KEY, sizeof(*retained));
    }
}

/* ---- segments ---- */

static apr_size_t segment_bytes(const la_provider_t *provider)
{
    return provider->type->shared_bytes ? rounded(provider->type->shared_bytes()) : 0;
}

/* Gives the provider its part, with what a provider of the same definition had. */
static void fill_segment(segment_t *segment, const la_provider_t *provider, char *address)
{
    int i;

    memcpy(segment->fingerprint, provider->fingerprint, sizeof(segment->fingerprint));
    segment->bytes = segment_bytes(provider);
    segment->address = address;
    for (i = 0; i < retained->segment_count; i++) {
        const segment_t *old = &retained->segments[i];

        if (old->bytes == segment->bytes &&
            memcmp(old->fingerprint, segment->fingerprint, sizeof(old->fingerprint)) == 0) {
            memcpy(address, old->address, old->bytes);
            return;
        }
    }
}

/* Lays the segments out; the old ones are gone then, but for the children that still have them
 * mapped. */
static void replace_segments(const apr_array_header_t *providers, apr_pool_t *pool, char *address)
{
    segment_t *made = apr_pcalloc(pool, sizeof(*made) * (apr_size_t)providers->nelts);
    int i;

    for (i = 0; i < providers->nelts; i++) {
        la_provider_t *provider = APR_ARRAY_IDX(providers, i, la_provider_entry_t).provider;

        if (segment_bytes(provider) > 0) {
            fill_segment(&made[i], provider, address);
            provider->segment = address;
            address += made[i].bytes;
        }
    }
    if (retained->segments_pool) {
        apr_pool_destroy(retained->segments_pool);
    }
    retained->segments_pool = pool;
    retained->segments = made;
    retained->segment_count = providers->nelts;
}

static apr_status_t create_segments(server_rec *s)
{
    const apr_array_header_t *providers = la_registry_providers();
    apr_size_t bytes = LA_TABLE_ALIGN;
    apr_pool_t *pool;
    apr_shm_t *shm;
    apr_status_t rv;
    int i;

    for (i = 0; i < providers->nelts; i++) {
        bytes += segment_bytes(APR_ARRAY_IDX(providers, i, la_provider_entry_t).provider);
    }
    apr_pool_create(&pool, s->process->pool);
    apr_pool_tag(pool, "llama_auth segments");
    rv = apr_shm_create(&shm, bytes, NULL, pool);
    if (rv != APR_SUCCESS) {
        apr_pool_destroy(pool);
        return failed(s, rv, "shared memory for key sets");
    }
    replace_segments(providers, pool, aligned_base(shm));
    return APR_SUCCESS;
}

/* ---- counters ---- */

/* Whether what was counted is about the same providers, in the same order. */
static int same_providers(const apr_array_header_t *providers)
{
    int i;

    if (retained->stats_pool == NULL || (int)retained->stats_count != providers->nelts) {
        return 0;
    }
    for (i = 0; i < providers->nelts; i++) {
        if (strcmp(retained->stats_names[i],
                   APR_ARRAY_IDX(providers, i, la_provider_entry_t).label) != 0) {
            return 0;
        }
    }
    return 1;
}

/* Takes over what the old counters say of the providers that are still there. */
static void copy_stats(char *bytes, apr_uint32_t count, const char *const *names, apr_pool_t *pool)
{
    la_counters_t *to = la_counters_attach(bytes, count + 1, pool);
    la_counters_t *from =
        la_counters_attach(retained->stats_bytes, retained->stats_count + 1, pool);
    apr_uint32_t i;
    apr_uint32_t old;

    la_counters_copy_requests(to, from);
    la_counters_copy(to, count, from, retained->stats_count);
    for (i = 0; i < count; i++) {
        for (old = 0; old < retained->stats_count; old++) {
            if (strcmp(names[i], retained->stats_names[old]) == 0) {
                la_counters_copy(to, i, from, old);
                break;
            }
        }
    }
}

static void replace_stats(const apr_array_header_t *providers, apr_pool_t *pool, char *bytes)
{
    apr_uint32_t count = (apr_uint32_t)providers->nelts;
    const char **names = apr_pcalloc(pool, (count + 1) * sizeof(*names));
    apr_uint32_t i;

    for (i = 0; i < count; i++) {
        names[i] = apr_pstrdup(pool, APR_ARRAY_IDX(providers, i, la_provider_entry_t).label);
    }
    if (retained->stats_pool) {
        copy_stats(bytes, count, names, pool);
        apr_pool_destroy(retained->stats_pool);
    }
    retained->stats_pool = pool;
    retained->stats_bytes = bytes;
    retained->stats_names = names;
    retained->stats_count = count;
}

/* Counters go on over a restart: with the same providers children of both generations use the same
 * ones. */
static apr_status_t keep_or_create_stats(server_rec *s)
{
    const apr_array_header_t *providers = la_registry_providers();
    apr_size_t bytes = la_counters_bytes((apr_uint32_t)providers->nelts + 1);
    apr_pool_t *pool;
    apr_shm_t *shm;
    apr_status_t rv;

    if (same_providers(providers)) {
        return APR_SUCCESS;
    }
    apr_pool_create(&pool, s->process->pool);
    apr_pool_tag(pool, "llama_auth counters");
    rv = bytes ? apr_shm_create(&shm, bytes + LA_COUNTERS_ALIGN, NULL, pool) : APR_EINVAL;
    if (rv != APR_SUCCESS) {
        apr_pool_destroy(pool);
        return failed(s, rv, "shared memory for counters");
    }
    replace_stats(providers, pool, aligned_base(shm));
    return APR_SUCCESS;
}

/* ---- the runtime ---- */

/* What the log was told of outages: each generation tells it anew. */
static apr_status_t create_outages(apr_pool_t *pconf)
{
    apr_size_t bytes = runtime.providers * sizeof(la_outage_t) + LA_TABLE_ALIGN;
    apr_shm_t *shm;
    apr_status_t rv = apr_shm_create(&shm, bytes, NULL, pconf);

    if (rv == APR_SUCCESS) {
        runtime.outages = (la_outage_t *)(void *)aligned_base(shm);
    }
    return rv;
}

static apr_status_t create_runtime(apr_pool_t *pconf, server_rec *s)
{
    apr_status_t rv;

    runtime.providers = (apr_uint32_t)la_registry_providers()->nelts;
    rv = create_outages(pconf);
    if (rv == APR_SUCCESS) {
        rv = la_limits_create(s, &life, pconf, &runtime.limits);
    }
    return rv == APR_SUCCESS ? rv : failed(s, rv, "shared memory for gates and flights");
}

static apr_status_t open_life(server_rec *s)
{
    apr_status_t rv = APR_SUCCESS;

    if (!retained->life_open) {
        rv = la_holder_open(&retained->life_fd);
        retained->life_open = rv == APR_SUCCESS;
    }
    if (rv != APR_SUCCESS) {
        return failed(s, rv, "the file that tells which processes live");
    }
    la_holder_init(&life, retained->life_fd);
    return APR_SUCCESS;
}

apr_status_t la_shared_create(apr_pool_t *pconf, server_rec *main_server)
{
    apr_status_t rv;

    remember();
    rv = keep_or_create_stats(main_server);
    if (rv == APR_SUCCESS &&
        (la_registry_providers()->nelts > 0 || la_collected.quotas->nelts > 0)) {
        rv = open_life(main_server);
    }
    if (rv == APR_SUCCESS) {
        rv = la_quota_memory_create(main_server, la_config_quota_bytes(main_server), &life, pconf);
        rv = rv == APR_SUCCESS ? rv : failed(main_server, rv, "the memory of quotas");
    }
    if (rv != APR_SUCCESS || la_registry_providers()->nelts == 0) {
        return rv;
    }
    if (rv == APR_SUCCESS) {
        rv = keep_or_create_cache(main_server);
    }
    if (rv == APR_SUCCESS) {
        rv = create_segments(main_server);
    }
    return rv == APR_SUCCESS ? create_runtime(pconf, main_server) : rv;
}

/* ---- in a child ---- */

static apr_status_t attach_second(apr_pool_t *pchild, server_rec *main_server)
{
    const la_remote_options_t *options = la_config_second(main_server);
    la_remote_shared_t its = {.cache = shared.cache,
                              .gates = shared.gates,
                              .gate = la_shared_second_gate(),
                              .stats = shared.stats,
                              .stats_index = runtime.providers};
    apr_status_t rv = APR_SUCCESS;

    shared.second = NULL;
    if (options && shared.cache) {
        rv = la_remote_make(pchild, options, &its, la_host()->threads(), &shared.second);
    }
    if (rv == APR_SUCCESS && shared.cache) {
        la_remote_bind(shared.cache, shared.second, pchild);
    }
    return rv;
}

apr_uint32_t la_shared_second_gate(void)
{
    return la_limits_second_gate();
}

/* What is there for the sake of providers. */
static apr_status_t attach_providers(apr_pool_t *pchild, server_rec *main_server)
{
    const la_limits_t *limits = &runtime.limits;
    apr_status_t rv = la_gates_attach(limits->gates, limits->gate_count, limits->permits, &life,
                                      pchild, &shared.gates);

    if (rv == APR_SUCCESS) {
        rv = la_flight_attach(limits->flight, LA_LIMITS_FLIGHTS, &life, pchild, &shared.flight);
    }
    shared.workers = rv == APR_SUCCESS ? la_workers_make(shared.gates, pchild) : NULL;
    if (rv == APR_SUCCESS && retained->bytes) {
        rv = la_cache_attach(aligned_base(retained->shm), retained->bytes, retained->secret, &life,
                             pchild, &shared.cache);
    }
    return rv == APR_SUCCESS ? attach_second(pchild, main_server) : rv;
}

apr_status_t la_shared_attach(apr_pool_t *pchild, server_rec *main_server)
{
    apr_status_t rv = APR_SUCCESS;

    memset(&shared, 0, sizeof(shared));
    shared.stats = la_counters_attach(retained->stats_bytes, retained->stats_count + 1, pchild);
    if (la_registry_providers()->nelts > 0) {
        rv = attach_providers(pchild, main_server);
    }
    if (rv == APR_SUCCESS) {
        rv = la_quota_memory_attach(&life, pchild);
    }
    return rv == APR_SUCCESS ? rv : failed(main_server, rv, "a child's view of shared memory");
}

const la_shared_t *la_shared_get(void)
{
    return &shared;
}

la_outage_t *la_shared_outage(const la_provider_t *provider)
{
    return &runtime.outages[provider->index];
}

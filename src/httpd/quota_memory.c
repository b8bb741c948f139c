/* Finds, makes and keeps the memory of quotas:
 *
 *   meters    LlamaAuthQuotaSize bytes, laid out by meter_layout.h
 *   permits   a place for each request in flight that a Concurrent limit counts, 8 bytes each
 *
 * create() runs in the parent, attach() in each child before its threads, get() in any thread.
 */
#include "httpd/quota_memory.h"

#include "base/clock.h"
#include "base/hash.h"
#include "httpd/config/quotas.h"
#include "io/server.h"

#include <apr_general.h>
#include <apr_shm.h>
#include <http_core.h>

#include <string.h>

/* Under this name the memory is remembered across restarts; a new layout gets a new name. */
#define RETAINED_KEY "mod_llama_auth quotas 2"

/* Requests in flight may be more than workers: those that only wait for the client are no worker's.
 */
#define PERMITS_PER_WORKER 8
#define PERMITS_MIN        256u
#define PERMITS_MAX        65536u

/* What outlives a restart. */
typedef struct retained_t {
    apr_pool_t *pool; /* holds the memory; NULL: nothing yet */
    char *meters;
    apr_size_t bytes;
    la_place_t *permits;
    uint32_t permit_count;
    uint64_t points[2];
} retained_t;

/* What the module keeps: the parent's memory, and the child's handle on it. */
static struct {
    retained_t *retained;
    la_quota_memory_t handle;
    int is_attached;
} quota_memory;

static uint32_t count_permits(void)
{
    uint64_t wanted = (uint64_t)la_host()->workers() * PERMITS_PER_WORKER;
    uint32_t count = PERMITS_MIN;

    while (count < wanted && count < PERMITS_MAX) {
        count *= 2;
    }
    return count;
}

static apr_status_t allocate(server_rec *s, retained_t *made)
{
    apr_size_t permits = made->permit_count * sizeof(la_place_t);
    apr_uintptr_t base;
    apr_status_t rv;
    apr_shm_t *shm;

    apr_pool_create(&made->pool, s->process->pool);
    apr_pool_tag(made->pool, "llama_auth quotas");
    rv = apr_shm_create(&shm, made->bytes + permits + LA_METER_ALIGN, NULL, made->pool);
    if (rv != APR_SUCCESS) {
        apr_pool_destroy(made->pool);
        return rv;
    }
    base = (apr_uintptr_t)apr_shm_baseaddr_get(shm);
    base = (base + LA_METER_ALIGN - 1) / LA_METER_ALIGN * LA_METER_ALIGN;
    made->permits = (la_place_t *)base;
    made->meters = (char *)base + permits;
    memset((void *)base, 0, permits);
    return la_meters_format(made->meters, made->bytes);
}

/* Takes over what was counted, and the requests in flight of the children that go on. */
static apr_status_t take_over(retained_t *made, const retained_t *old, la_holder_t *life,
                              apr_pool_t *pool)
{
    la_meter_now_t now = {la_clock_us(), apr_time_now()};
    la_meters_t *from;
    la_meters_t *to;
    apr_status_t rv = la_meters_attach(made->meters, made->bytes, life, pool, &to);

    if (rv == APR_SUCCESS) {
        rv = la_meters_attach(old->meters, old->bytes, life, pool, &from);
    }
    if (rv == APR_SUCCESS) {
        la_meters_copy(to, from, &now);
        for (uint32_t i = 0; i < old->permit_count && i < made->permit_count; i++) {
            atomic_store(&made->permits[i], atomic_load(&old->permits[i]));
        }
    }
    return rv;
}

static apr_status_t draw_points(retained_t *made)
{
    unsigned char random[16];
    apr_status_t rv = apr_generate_random_bytes(random, sizeof(random));

    made->points[0] = la_hash_point(random);
    made->points[1] = la_hash_point(random + 8);
    return rv;
}

static apr_status_t remake(server_rec *s, apr_size_t bytes, uint32_t permits, la_holder_t *life,
                           apr_pool_t *pconf)
{
    retained_t *old = quota_memory.retained;
    retained_t made = {.bytes = bytes, .permit_count = permits};
    apr_status_t rv = allocate(s, &made);

    if (rv == APR_SUCCESS && old->pool) {
        memcpy(made.points, old->points, sizeof(made.points));
        rv = take_over(&made, old, life, pconf);
    } else if (rv == APR_SUCCESS) {
        rv = draw_points(&made);
    }
    if (rv == APR_SUCCESS) {
        if (old->pool) {
            apr_pool_destroy(old->pool);
        }
        *old = made;
    }
    return rv;
}

apr_status_t la_quota_memory_create(server_rec *s, apr_size_t bytes, la_holder_t *life,
                                    apr_pool_t *pconf)
{
    uint32_t permits = count_permits();
    retained_t *retained = ap_retained_data_get(RETAINED_KEY);

    if (!retained) {
        retained = ap_retained_data_create(RETAINED_KEY, sizeof(*retained));
    }
    quota_memory.retained = retained;
    if (retained->permit_count > permits) {
        permits = retained->permit_count; /* all that are taken go into the new memory */
    }
    if (la_collected.quotas->nelts == 0 ||
        (retained->pool && retained->bytes == bytes && retained->permit_count == permits)) {
        return APR_SUCCESS;
    }
    return remake(s, bytes, permits, life, pconf);
}

apr_status_t la_quota_memory_attach(la_holder_t *life, apr_pool_t *pool)
{
    const retained_t *retained = quota_memory.retained;
    la_quota_memory_t *handle = &quota_memory.handle;

    quota_memory.is_attached = la_collected.quotas->nelts > 0 && retained->pool;
    if (!quota_memory.is_attached) {
        return APR_SUCCESS;
    }
    handle->permits = (la_permits_t){retained->permits, retained->permit_count, life};
    memcpy(handle->points, retained->points, sizeof(handle->points));
    for (int i = 0; i < la_collected.quotas->nelts; i++) {
        la_quota_seed(APR_ARRAY_IDX(la_collected.quotas, i, la_quota_entry_t).quota,
                      handle->points);
    }
    return la_meters_attach(retained->meters, retained->bytes, life, pool, &handle->meters);
}

const la_quota_memory_t *la_quota_memory_get(void)
{
    return quota_memory.is_attached ? &quota_memory.handle : NULL;
}

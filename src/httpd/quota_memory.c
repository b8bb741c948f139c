/* Finds, makes and keeps the memory of quotas:
 *
 *   permits   a place for each request in flight that a Concurrent limit counts, 8 bytes each
 *   labels    whose these are, 64 bytes each
 *   refusals  of each limit
 *   meters    LlamaAuthQuotaSize bytes, laid out by meter_layout.h
 *
 * create() runs in the parent, attach() in each child before its threads, get() in any thread.
 */
#include "httpd/quota_memory.h"

#include "base/clock.h"
#include "base/hash.h"
#include "httpd/config/quotas.h"
#include "io/server.h"
#include "shm/memory.h"

#include <apr_general.h>

#include <string.h>

/* Under this name httpd keeps the memory over restarts; another layout needs another name. */
#define RETAINED_KEY "mod_llama_auth quotas 3"

/* More requests than workers may be in flight: some only wait for the client. */
#define PERMITS_PER_WORKER 8
#define PERMITS_MIN        256u
#define PERMITS_MAX        65536u

/* What outlives a restart. */
typedef struct retained_t {
    la_memory_t memory;
    apr_size_t bytes; /* of the meters */
    uint32_t permit_count;
    uint64_t points[2];
} retained_t;

/* What the module keeps: the parent's memory, and the child's handle on it. */
static struct {
    retained_t *retained;
    la_quota_memory_t handle;
    int is_attached;
} quota_memory;

_Static_assert(sizeof(la_tally_t) % LA_METER_ALIGN == 0 &&
                   PERMITS_MIN * sizeof(la_place_t) % LA_METER_ALIGN == 0,
               "each part is aligned");

static apr_size_t size_before_meters(uint32_t permits)
{
    return permits * (sizeof(la_place_t) + sizeof(la_permit_label_t)) + sizeof(la_tally_t);
}

static apr_status_t attach(const retained_t *to, la_holder_t *life, apr_pool_t *pool,
                           la_quota_memory_t *handle)
{
    char *bytes = to->memory.bytes;
    char *labels = bytes + to->permit_count * sizeof(la_place_t);

    handle->permits = (la_permits_t){(la_place_t *)(void *)bytes,
                                     (la_permit_label_t *)(void *)labels, to->permit_count, life};
    handle->refusals =
        (la_tally_t *)(void *)(labels + to->permit_count * sizeof(la_permit_label_t));
    memcpy(handle->points, to->points, sizeof(handle->points));
    return la_meters_attach(bytes + size_before_meters(to->permit_count), to->bytes, life, pool,
                            &handle->meters);
}

static uint32_t count_permits(void)
{
    uint64_t wanted = (uint64_t)la_host()->workers() * PERMITS_PER_WORKER;
    uint32_t count = PERMITS_MIN;

    while (count < wanted && count < PERMITS_MAX) {
        count *= 2;
    }
    return count;
}

/* Takes over what was counted, and the requests in flight of the children that go on. */
static apr_status_t take_over(const retained_t *made, const retained_t *old, la_holder_t *life,
                              apr_pool_t *pool)
{
    la_meter_now_t now = {la_clock_us(), apr_time_now()};
    la_quota_memory_t from;
    la_quota_memory_t to;
    apr_status_t rv = attach(made, life, pool, &to);

    rv = rv == APR_SUCCESS ? attach(old, life, pool, &from) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    la_meters_copy(to.meters, from.meters, &now);
    memcpy(to.refusals, from.refusals, sizeof(*to.refusals));
    for (uint32_t i = 0; i < from.permits.count && i < to.permits.count; i++) {
        memcpy(&to.permits.labels[i], &from.permits.labels[i], sizeof(la_permit_label_t));
        atomic_store(&to.permits.places[i], atomic_load(&from.permits.places[i]));
    }
    return APR_SUCCESS;
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
                           apr_pool_t *ptemp)
{
    retained_t *old = quota_memory.retained;
    retained_t made = {.bytes = bytes, .permit_count = permits};
    apr_size_t before = size_before_meters(permits);
    apr_status_t rv = la_memory_make(&made.memory, before + bytes, s->process->pool);

    rv = rv == APR_SUCCESS ? la_meters_format(made.memory.bytes + before, bytes) : rv;
    if (rv == APR_SUCCESS && old->memory.pool) {
        memcpy(made.points, old->points, sizeof(made.points));
        rv = take_over(&made, old, life, ptemp);
    } else if (rv == APR_SUCCESS) {
        rv = draw_points(&made);
    }
    if (rv != APR_SUCCESS) {
        la_memory_free(&made.memory);
        return rv;
    }
    la_memory_free(&old->memory);
    *old = made;
    return APR_SUCCESS;
}

apr_status_t la_quota_memory_create(server_rec *s, apr_size_t bytes, la_holder_t *life,
                                    apr_pool_t *ptemp)
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
        (retained->memory.pool && retained->bytes == bytes && retained->permit_count == permits)) {
        return APR_SUCCESS;
    }
    return remake(s, bytes, permits, life, ptemp);
}

apr_status_t la_quota_memory_attach(la_holder_t *life, apr_pool_t *pool)
{
    const retained_t *retained = quota_memory.retained;

    quota_memory.is_attached = la_collected.quotas->nelts > 0 && retained->memory.pool;
    if (!quota_memory.is_attached) {
        return APR_SUCCESS;
    }
    for (int i = 0; i < la_collected.quotas->nelts; i++) {
        la_quota_seed(APR_ARRAY_IDX(la_collected.quotas, i, la_entry_t).quota, retained->points);
    }
    return attach(retained, life, pool, &quota_memory.handle);
}

const la_quota_memory_t *la_quota_memory_get(void)
{
    return quota_memory.is_attached ? &quota_memory.handle : NULL;
}

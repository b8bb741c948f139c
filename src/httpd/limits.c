/* Finds or makes the memory of gates and flights, and says which gates are whose. Runs in the
 * parent only, which never understands what children wrote; attaching is segments.c's.
 *
 * A provider is known by its label, as with the counters, and keeps its gates while the label is
 * configured. When its definition changed, calls that are under way still count, but an open
 * breaker sends the next request as the probe: the change may be the repair. So does the remote
 * cache's gate. A new provider gets gates that nobody has used for the longest.
 *
 * When the memory is too small (more workers, a larger MaxConcurrent, more providers), or its
 * layout is another version's, it is made again. Breakers and calls under way are copied; a copied
 * call counts until its deadline, since the process that made it gives its permit back in the old
 * memory.
 */
#include "httpd/limits.h"

#include "httpd/config/registry.h"
#include "io/server.h"
#include "provider/workers.h"

#include <apr_shm.h>
#include <http_core.h>

#include <string.h>

/* Under this name it is remembered; another retained_t needs another name. */
#define RETAINED_KEY "mod_llama_auth limits 2"

#define SECOND_GATE (LA_WORKERS_GATE + 1)
#define FIRST_GATE  (LA_WORKERS_GATE + 2)

/* Providers that can be added before the memory is too small. */
#define SPARE_PROVIDERS 4

/* Most providers: gate.h allows 4096 gates. */
#define SLOTS_MAX 2047

/* Most requests that can wait for a gate at once, whatever the number of workers. */
#define QUEUE_MAX 16384

/* Two gates, and whose they are. */
typedef struct slot_t {
    unsigned char name[LA_DIGEST_BYTES]; /* digest of the label */
    unsigned char fingerprint[LA_DIGEST_BYTES];
    apr_uint32_t generation; /* the last that used it; 0: none */
} slot_t;

/* What outlives a restart. */
typedef struct retained_t {
    apr_pool_t *pool; /* holds all that follows, and is replaced with it; NULL: nothing yet */
    la_limits_t limits;
    slot_t *slots;
    apr_uint32_t slot_count;
    apr_uint32_t generation;
} retained_t;

apr_uint32_t la_limits_second_gate(void)
{
    return SECOND_GATE;
}

static const la_provider_entry_t *entry_at(apr_uint32_t i)
{
    return &APR_ARRAY_IDX(la_registry_providers(), (int)i, la_provider_entry_t);
}

static apr_uint32_t provider_count(void)
{
    return (apr_uint32_t)la_registry_providers()->nelts;
}

static apr_uint32_t gate_of_slot(apr_uint32_t slot)
{
    return FIRST_GATE + 2 * slot;
}

/* ---- how large ---- */

/* Places of a gate: for the largest MaxConcurrent, and for as many requests to wait as there are
 * workers. */
static apr_uint32_t permits_needed(void)
{
    int workers = la_host()->workers();
    apr_uint32_t most = workers < QUEUE_MAX ? (apr_uint32_t)workers : QUEUE_MAX;

    for (apr_uint32_t i = 0; i < provider_count(); i++) {
        apr_uint32_t limit = entry_at(i)->provider->common.max_concurrent;

        most = limit > most ? limit : most;
    }
    return most;
}

/* So that a few workers more do not need other memory. */
static apr_uint32_t rounded_up(apr_uint32_t number)
{
    apr_uint32_t power = 64;

    while (power < number) {
        power *= 2;
    }
    return power;
}

/* ---- the memory ---- */

static char *aligned(char *at)
{
    return (char *)(((apr_uintptr_t)at + LA_GATE_ALIGN - 1) / LA_GATE_ALIGN * LA_GATE_ALIGN);
}

static apr_status_t attach_gates(const la_limits_t *limits, la_holder_t *life, apr_pool_t *pool,
                                 la_gates_t **gates)
{
    return la_gates_attach(limits->gates, limits->gate_count, limits->permits, life, pool, gates);
}

/* Whether what is remembered can be used as it is. */
static int fits(const retained_t *r, la_holder_t *life, apr_pool_t *pool)
{
    la_gates_t *gates;
    la_flight_t *flight;

    return r->pool && r->slot_count >= provider_count() && r->limits.permits >= permits_needed() &&
           attach_gates(&r->limits, life, pool, &gates) == APR_SUCCESS &&
           la_flight_attach(r->limits.flight, LA_LIMITS_FLIGHTS, life, pool, &flight) ==
               APR_SUCCESS;
}

static apr_status_t format_memory(retained_t *made)
{
    la_limits_t *limits = &made->limits;
    apr_size_t gates = la_gates_bytes(limits->gate_count, limits->permits);
    apr_size_t flight = la_flight_bytes(LA_LIMITS_FLIGHTS);
    apr_shm_t *shm;
    apr_status_t rv;

    if (gates == 0) {
        return APR_EINVAL;
    }
    rv = apr_shm_create(&shm, gates + flight + (apr_size_t)2 * LA_GATE_ALIGN, NULL, made->pool);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    limits->gates = aligned(apr_shm_baseaddr_get(shm));
    limits->flight = aligned((char *)limits->gates + gates);
    rv = la_gates_format(limits->gates, limits->gate_count, limits->permits);
    la_flight_format(limits->flight, LA_LIMITS_FLIGHTS);
    return rv;
}

static apr_status_t make_memory(server_rec *s, const retained_t *old, retained_t *made)
{
    apr_uint32_t slots = provider_count() + SPARE_PROVIDERS;
    apr_status_t rv = apr_pool_create(&made->pool, s->process->pool);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    apr_pool_tag(made->pool, "llama_auth limits");
    slots = slots > old->slot_count ? slots : old->slot_count;
    made->slot_count = slots < SLOTS_MAX ? slots : SLOTS_MAX;
    made->slots = apr_pcalloc(made->pool, made->slot_count * sizeof(*made->slots));
    made->limits = (la_limits_t){.gate_count = gate_of_slot(made->slot_count),
                                 .permits = rounded_up(permits_needed())};
    rv = format_memory(made);
    if (rv != APR_SUCCESS) {
        apr_pool_destroy(made->pool);
    }
    return rv;
}

/* ---- whose they are ---- */

static slot_t *find_slot(const retained_t *r, const unsigned char *name)
{
    for (apr_uint32_t i = 0; i < r->slot_count; i++) {
        if (r->slots[i].generation &&
            memcmp(r->slots[i].name, name, sizeof(r->slots[i].name)) == 0) {
            return &r->slots[i];
        }
    }
    return NULL;
}

/* The slot that is unused for the longest. */
static slot_t *find_unused(const retained_t *r)
{
    slot_t *oldest = NULL;

    for (apr_uint32_t i = 0; i < r->slot_count; i++) {
        if (r->slots[i].generation != r->generation &&
            (!oldest || r->slots[i].generation < oldest->generation)) {
            oldest = &r->slots[i];
        }
    }
    return oldest;
}

static void assign(const retained_t *r, slot_t *slot, la_provider_t *provider)
{
    memcpy(slot->fingerprint, provider->fingerprint, sizeof(slot->fingerprint));
    slot->generation = r->generation;
    provider->gate = (int)gate_of_slot((apr_uint32_t)(slot - r->slots));
    provider->document_gate = provider->gate + 1;
}

/* Gives a provider the gates that its label had. */
static void keep_slot(const retained_t *r, la_gates_t *gates, slot_t *slot, la_provider_t *provider)
{
    int changed = memcmp(slot->fingerprint, provider->fingerprint, sizeof(slot->fingerprint)) != 0;

    assign(r, slot, provider);
    if (changed) {
        la_gate_retry(gates, (apr_uint32_t)provider->gate);
        la_gate_reset(gates, (apr_uint32_t)provider->document_gate);
    }
}

static void take_slot(const retained_t *r, la_gates_t *gates, slot_t *slot,
                      const unsigned char *name, la_provider_t *provider)
{
    memcpy(slot->name, name, sizeof(slot->name));
    assign(r, slot, provider);
    la_gate_reset(gates, (apr_uint32_t)provider->gate);
    la_gate_reset(gates, (apr_uint32_t)provider->document_gate);
}

/* First all that keep theirs, so that none of these is given to a new provider. */
static apr_status_t assign_all(retained_t *r, la_holder_t *life, apr_pool_t *pool)
{
    unsigned char(*names)[LA_DIGEST_BYTES] =
        apr_palloc(pool, (provider_count() + 1) * sizeof(*names));
    la_gates_t *gates;
    apr_status_t rv = attach_gates(&r->limits, life, pool, &gates);

    r->generation++;
    if (rv == APR_SUCCESS) {
        la_gate_retry(gates, SECOND_GATE);
    }
    for (apr_uint32_t i = 0; i < provider_count() && rv == APR_SUCCESS; i++) {
        const char *label = entry_at(i)->label;
        slot_t *slot;

        rv = la_digest_sha256(la_slice_of(label), names[i]);
        slot = find_slot(r, names[i]);
        if (rv == APR_SUCCESS && slot) {
            keep_slot(r, gates, slot, entry_at(i)->provider);
        }
    }
    for (apr_uint32_t i = 0; i < provider_count() && rv == APR_SUCCESS; i++) {
        slot_t *slot = find_slot(r, names[i]);

        if (!slot && (slot = find_unused(r)) != NULL) {
            take_slot(r, gates, slot, names[i], entry_at(i)->provider);
        }
        rv = slot ? rv : APR_ENOSPC; /* else it would take the first gate for its own */
    }
    return rv;
}

/* Takes over into new memory what there was in the old one. */
static void copy_slots(retained_t *made, const retained_t *old, la_holder_t *life, apr_pool_t *pool)
{
    la_gates_t *from;
    la_gates_t *to;

    if (!old->pool || attach_gates(&old->limits, life, pool, &from) != APR_SUCCESS ||
        attach_gates(&made->limits, life, pool, &to) != APR_SUCCESS) {
        return;
    }
    made->generation = old->generation;
    memcpy(made->slots, old->slots, old->slot_count * sizeof(*made->slots));
    for (apr_uint32_t slot = 0; slot < old->slot_count; slot++) {
        la_gate_copy(to, gate_of_slot(slot), from, gate_of_slot(slot));
        la_gate_copy(to, gate_of_slot(slot) + 1, from, gate_of_slot(slot) + 1);
    }
}

apr_status_t la_limits_create(server_rec *s, la_holder_t *life, apr_pool_t *pconf,
                              la_limits_t *limits)
{
    retained_t *retained = ap_retained_data_get(RETAINED_KEY);
    apr_status_t rv = APR_SUCCESS;

    if (!retained) {
        retained = ap_retained_data_create(RETAINED_KEY, sizeof(*retained));
    }
    if (!fits(retained, life, pconf)) {
        retained_t made = {0};

        rv = make_memory(s, retained, &made);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        copy_slots(&made, retained, life, pconf);
        if (retained->pool) {
            apr_pool_destroy(retained->pool);
        }
        *retained = made;
    }
    *limits = retained->limits;
    return assign_all(retained, life, pconf);
}

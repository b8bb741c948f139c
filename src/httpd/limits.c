/* Keeps or makes the memory of gates and flights, and decides which gates are whose. In the parent
 * only, which never interprets what children wrote, except for la_limits_attach().
 *
 * A provider is known by its label, as with the counters, and keeps its gates while the label is
 * configured. When its definition changed, calls under way still count, but an open breaker sends
 * the next request as the probe: the change may be the repair. So does the remote cache's gate. A
 * new provider gets the gates that have been unused for the longest.
 *
 * When the memory is too small or of another layout, it is made again. Breakers and calls under way
 * are copied; a copied call counts until its deadline, since its permit is given back in the old
 * memory. */
#include "httpd/limits.h"

#include "httpd/config/registry.h"
#include "io/server.h"

#include <string.h>

#define FIRST_GATE (LA_LIMITS_REMOTE_GATE + 1)

/* Keys that can be in flight at once. */
#define FLIGHTS 1024
_Static_assert(FLIGHTS % LA_FLIGHT_WAYS == 0, "whole groups");

/* Providers that can be added before the memory is too small. */
#define SPARE_PROVIDERS 4

/* Most providers: gate.h allows 4096 gates. */
#define SLOTS_MAX 2047

/* Most requests that can wait for a gate at once, whatever the number of workers. */
#define QUEUE_MAX 16384

/* Two gates, and whose they are. */
typedef struct la_limits_slot_t {
    unsigned char name[LA_DIGEST_BYTES]; /* digest of the label */
    unsigned char fingerprint[LA_DIGEST_BYTES];
    apr_uint32_t generation; /* the last that used it; 0: none */
} slot_t;

static apr_uint32_t provider_count(void)
{
    return (apr_uint32_t)la_registry_count();
}

static apr_uint32_t gate_of_slot(apr_uint32_t slot)
{
    return FIRST_GATE + 2 * slot;
}

/* A gate has permits for the largest MaxConcurrent, and a waiting request for each worker. */
static apr_uint32_t permits_needed(void)
{
    int workers = la_host()->workers();
    apr_uint32_t most = workers < QUEUE_MAX ? (apr_uint32_t)workers : QUEUE_MAX;

    for (apr_uint32_t i = 0; i < provider_count(); i++) {
        apr_uint32_t limit = la_registry_at((int)i)->provider->common.max_concurrent;

        most = limit > most ? limit : most;
    }
    return most;
}

/* Rounds up, so that a few workers more do not need other memory. */
static apr_uint32_t rounded_up(apr_uint32_t number)
{
    apr_uint32_t power = 64;

    while (power < number) {
        power *= 2;
    }
    return power;
}

static apr_status_t attach_gates(const la_limits_t *limits, la_holder_t *life, apr_pool_t *pool,
                                 la_gates_t **gates)
{
    return la_gates_attach(limits->gates, gate_of_slot(limits->slot_count), limits->permits, life,
                           pool, gates);
}

apr_status_t la_limits_attach(const la_limits_t *limits, la_holder_t *life, apr_pool_t *pool,
                              la_gates_t **gates, la_flight_t **flight)
{
    apr_status_t rv = attach_gates(limits, life, pool, gates);

    return rv == APR_SUCCESS ? la_flight_attach(limits->flight, FLIGHTS, life, pool, flight) : rv;
}

static int fits(const la_limits_t *limits, la_holder_t *life, apr_pool_t *ptemp)
{
    la_gates_t *gates;
    la_flight_t *flight;

    return limits->memory.pool && limits->slot_count >= provider_count() &&
           limits->permits >= permits_needed() &&
           la_limits_attach(limits, life, ptemp, &gates, &flight) == APR_SUCCESS;
}

static apr_status_t make_memory(server_rec *s, apr_uint32_t slots_before, la_limits_t *made)
{
    apr_uint32_t slots = provider_count() + SPARE_PROVIDERS;
    apr_size_t gates;
    apr_size_t flight;
    apr_status_t rv;

    slots = slots > slots_before ? slots : slots_before;
    *made = (la_limits_t){.slot_count = slots < SLOTS_MAX ? slots : SLOTS_MAX,
                          .permits = rounded_up(permits_needed())};
    gates = la_gates_bytes(gate_of_slot(made->slot_count), made->permits);
    gates = (gates + LA_MEMORY_ALIGN - 1) / LA_MEMORY_ALIGN * LA_MEMORY_ALIGN;
    flight = la_flight_bytes(FLIGHTS);
    rv = gates ? la_memory_make(&made->memory, gates + flight, s->process->pool) : APR_EINVAL;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    made->slots = apr_pcalloc(made->memory.pool, made->slot_count * sizeof(*made->slots));
    made->gates = made->memory.bytes;
    made->flight = made->memory.bytes + gates;
    la_flight_format(made->flight, FLIGHTS);
    rv = la_gates_format(made->gates, gate_of_slot(made->slot_count), made->permits);
    if (rv != APR_SUCCESS) {
        la_memory_free(&made->memory);
    }
    return rv;
}

static void copy_slots(la_limits_t *made, const la_limits_t *old, la_holder_t *life,
                       apr_pool_t *ptemp)
{
    la_gates_t *from;
    la_gates_t *to;

    if (!old->memory.pool || attach_gates(old, life, ptemp, &from) != APR_SUCCESS ||
        attach_gates(made, life, ptemp, &to) != APR_SUCCESS) {
        return;
    }
    made->generation = old->generation;
    memcpy(made->slots, old->slots, old->slot_count * sizeof(*made->slots));
    for (apr_uint32_t gate = FIRST_GATE; gate < gate_of_slot(old->slot_count); gate++) {
        la_gate_copy(to, gate, from, gate);
    }
}

static slot_t *find_slot(const la_limits_t *limits, const unsigned char *name)
{
    for (apr_uint32_t i = 0; i < limits->slot_count; i++) {
        if (limits->slots[i].generation &&
            memcmp(limits->slots[i].name, name, sizeof(limits->slots[i].name)) == 0) {
            return &limits->slots[i];
        }
    }
    return NULL;
}

/* Finds the slot that has been unused for the longest. */
static slot_t *find_unused(const la_limits_t *limits)
{
    slot_t *oldest = NULL;

    for (apr_uint32_t i = 0; i < limits->slot_count; i++) {
        if (limits->slots[i].generation != limits->generation &&
            (!oldest || limits->slots[i].generation < oldest->generation)) {
            oldest = &limits->slots[i];
        }
    }
    return oldest;
}

/* Gives a provider a slot's gates. is_own: its label had them before. */
static void assign(const la_limits_t *limits, la_gates_t *gates, slot_t *slot,
                   la_provider_t *provider, int is_own)
{
    int changed = memcmp(slot->fingerprint, provider->fingerprint, sizeof(slot->fingerprint)) != 0;
    apr_uint32_t gate = gate_of_slot((apr_uint32_t)(slot - limits->slots));

    memcpy(slot->fingerprint, provider->fingerprint, sizeof(slot->fingerprint));
    slot->generation = limits->generation;
    provider->gate = (int)gate;
    provider->document_gate = provider->gate + 1;
    if (!is_own) {
        la_gate_reset(gates, gate);
    } else if (changed) {
        la_gate_retry(gates, gate);
    }
    if (!is_own || changed) {
        la_gate_reset(gates, gate + 1);
    }
}

/* Lets all known providers keep theirs first, so that none of these is given to a new one. */
static apr_status_t assign_all(la_limits_t *limits, la_holder_t *life, apr_pool_t *ptemp)
{
    unsigned char(*names)[LA_DIGEST_BYTES] =
        apr_palloc(ptemp, (provider_count() + 1) * sizeof(*names));
    la_gates_t *gates;
    apr_status_t rv = attach_gates(limits, life, ptemp, &gates);

    limits->generation++;
    if (rv == APR_SUCCESS) {
        la_gate_retry(gates, LA_LIMITS_REMOTE_GATE);
    }
    for (apr_uint32_t i = 0; i < provider_count() && rv == APR_SUCCESS; i++) {
        slot_t *slot;

        rv = la_digest_sha256(la_slice_of(la_registry_at((int)i)->label), names[i]);
        slot = rv == APR_SUCCESS ? find_slot(limits, names[i]) : NULL;
        if (slot) {
            assign(limits, gates, slot, la_registry_at((int)i)->provider, 1);
        }
    }
    for (apr_uint32_t i = 0; i < provider_count() && rv == APR_SUCCESS; i++) {
        slot_t *slot = find_slot(limits, names[i]);

        if (!slot && (slot = find_unused(limits)) != NULL) {
            memcpy(slot->name, names[i], sizeof(slot->name));
            assign(limits, gates, slot, la_registry_at((int)i)->provider, 0);
        }
        rv = slot ? APR_SUCCESS : APR_ENOSPC; /* else it would take the first gate for its own */
    }
    return rv;
}

apr_status_t la_limits_create(server_rec *s, la_holder_t *life, apr_pool_t *ptemp,
                              la_limits_t *limits)
{
    la_limits_t made;
    apr_status_t rv;

    if (!fits(limits, life, ptemp)) {
        rv = make_memory(s, limits->slot_count, &made);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        copy_slots(&made, limits, life, ptemp);
        la_memory_free(&limits->memory);
        *limits = made;
    }
    return assign_all(limits, life, ptemp);
}

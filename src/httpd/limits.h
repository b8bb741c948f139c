/* The memory of gates and flights. It is the server's, not a generation's: after a graceful restart
 * the children of both generations use the same, so that MaxConcurrent, breakers and single flight
 * hold over all of them. */
#pragma once

#include "provider/workers.h"
#include "shm/flight.h"
#include "shm/gate.h"
#include "shm/memory.h"

#include <httpd.h>

/* The remote cache's gate. */
#define LA_LIMITS_REMOTE_GATE (LA_WORKERS_GATE + 1)

/* Kept over restarts. Zeroed, there is no memory yet. */
typedef struct la_limits_t {
    la_memory_t memory; /* of all that follows */
    void *gates;        /* the workers', the remote cache's, then two for each slot */
    void *flight;
    apr_uint32_t permits;
    struct la_limits_slot_t *slots; /* whose gates are whose */
    apr_uint32_t slot_count;
    apr_uint32_t generation; /* counts restarts */
} la_limits_t;

/* Keeps the memory of the generation before or makes it, and gives each provider its gates
 * (provider->gate and document_gate). In the parent, once they have labels.
 * life: of this server. ptemp: for the time of the call. Returns APR_SUCCESS, or what failed. */
apr_status_t la_limits_create(server_rec *s, la_holder_t *life, apr_pool_t *ptemp,
                              la_limits_t *limits);

/* Makes a process's handles, in `pool`. Returns APR_SUCCESS, or what failed. */
apr_status_t la_limits_attach(const la_limits_t *limits, la_holder_t *life, apr_pool_t *pool,
                              la_gates_t **gates, la_flight_t **flight);

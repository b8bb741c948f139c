/* The memory of gates and flights. It is the server's, not a generation's: after a graceful restart
 * the children of both generations use the same, so that MaxConcurrent, breakers and single flight
 * hold over all of them.
 */
#ifndef LA_LIMITS_H
#define LA_LIMITS_H

#include "shm/flight.h"
#include "shm/gate.h"

#include <httpd.h>

/* Keys that can be in flight at once. */
#define LA_LIMITS_FLIGHTS 1024
_Static_assert(LA_LIMITS_FLIGHTS % LA_FLIGHT_WAYS == 0, "whole groups");

/* Where it is and how large: for la_gates_attach() and la_flight_attach(). */
typedef struct la_limits_t {
    void *gates;
    void *flight;
    apr_uint32_t
        gate_count; /* the workers' (workers.h), the remote cache's, then two for each provider */
    apr_uint32_t permits;
} la_limits_t;

/* Finds the memory of the generation before or makes it, and gives each provider its gates
 * (provider->gate and document_gate). In the parent, after la_registry_label().
 *
 * life: of this server. pconf: the configuration's pool. limits: the memory lives as long as the
 * server. Returns APR_SUCCESS, or what failed.
 */
apr_status_t la_limits_create(server_rec *s, la_holder_t *life, apr_pool_t *pconf,
                              la_limits_t *limits);

/* The remote cache's gate. */
apr_uint32_t la_limits_second_gate(void);

#endif

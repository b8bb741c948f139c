/* Places for the requests that wait: a gate without a queue. lookup.c takes a place for a look-up
 * that the cache did not answer, remote_doc.c for a request that fetches outside of one. Any
 * thread. */
#include "provider/workers.h"

#include "io/server.h"

#include <stdatomic.h>

/* A process of so many threads keeps one free. */
#define MANY_THREADS 16

struct la_workers_t {
    la_gates_t *gates;
    _Atomic apr_uint32_t inside; /* of this process */
};

la_workers_t *la_workers_make(la_gates_t *gates, apr_pool_t *pool)
{
    la_workers_t *made = apr_palloc(pool, sizeof(*made));

    made->gates = gates;
    atomic_init(&made->inside, 0);
    return made;
}

static apr_uint32_t count_places(void)
{
    int half = la_host()->workers() / 2;

    return half > 1 ? (apr_uint32_t)half : 1;
}

static apr_uint32_t count_threads(void)
{
    int threads = la_host()->threads();

    return threads < MANY_THREADS ? APR_UINT32_MAX : (apr_uint32_t)threads - 1;
}

int la_workers_enter(la_workers_t *workers, apr_interval_time_t longest_us, la_gate_permit_t *place)
{
    la_gate_terms_t terms = {.limit = count_places(), .call_us = longest_us};

    if (atomic_fetch_add(&workers->inside, 1) < count_threads() &&
        la_gate_enter(workers->gates, LA_WORKERS_GATE, &terms, place)) {
        return 1;
    }
    atomic_fetch_sub(&workers->inside, 1);
    return 0;
}

void la_workers_leave(la_workers_t *workers, const la_gate_permit_t *place)
{
    la_gate_leave(workers->gates, LA_WORKERS_GATE, place);
    atomic_fetch_sub(&workers->inside, 1);
}

/* What the tests of gate.c share: gates in shared memory. */
#ifndef LA_TEST_GATES_H
#define LA_TEST_GATES_H

#include "shm/gate.h"

#include "procs.h"

#define GATES   3u
#define PERMITS 16u
#define GATE    1u

#define FOREVER (10 * HANG_SECONDS * APR_USEC_PER_SEC)

typedef struct world_t {
    _Atomic uint32_t inside;
    _Atomic uint32_t most;
    _Atomic uint32_t entered;
    event_t ready;
    event_t go;
} world_t;

static la_holder_t life;
static world_t *world;
static void *bytes;
static la_gates_t *gates;
static apr_pool_t *pool;
static la_gate_terms_t terms;

static inline int make_world(void **state)
{
    (void)state;
    bytes = shared_alloc(la_gates_bytes(GATES, PERMITS));
    world = shared_alloc(sizeof(*world));
    terms = (la_gate_terms_t){.limit = 3,
                              .max_waiting = PERMITS,
                              .wait_us = 0,
                              .failures = 3,
                              .open_us = 10 * APR_USEC_PER_SEC,
                              .call_us = 20 * APR_USEC_PER_SEC};
    return apr_pool_create(&pool, NULL) != APR_SUCCESS ||
           la_gates_format(bytes, GATES, PERMITS) != APR_SUCCESS ||
           la_gates_attach(bytes, GATES, PERMITS, &life, pool, &gates) != APR_SUCCESS;
}

static inline int drop_world(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    shared_free(world, sizeof(*world));
    shared_free(bytes, la_gates_bytes(GATES, PERMITS));
    return 0;
}

static inline la_gate_state_t read_gate(apr_time_t now)
{
    la_gate_state_t state;

    la_gate_read(gates, GATE, &terms, now, &state);
    return state;
}

/* What does not hold of gates that nobody uses at the moment, as a literal; NULL when all does. */
static inline const char *find_fault(void)
{
    const _Atomic uint64_t *words = bytes;
    size_t stride = (la_gates_bytes(2, PERMITS) - la_gates_bytes(1, PERMITS)) / 8;

    if (atomic_load(&words[1]) != GATES || atomic_load(&words[2]) != PERMITS) {
        return "the header is of another geometry";
    }
    for (size_t gate = 0; gate < GATES; gate++) {
        const _Atomic uint64_t *breaker = words + 8 + gate * stride;

        if (atomic_load(breaker) >> 62 > LA_GATE_PHASE_PROBING) {
            return "a breaker is in no phase";
        }
        for (size_t place = 0; place < 2 * PERMITS; place++) {
            uint64_t held = atomic_load(&breaker[8 + place]);

            if (held != 0 && held >> 32 == 0) {
                return "a place is held by nobody";
            }
        }
    }
    return NULL;
}

/* Enters, and waits inside. */
static inline int stay_inside(void *unused)
{
    la_gate_permit_t permit;

    (void)unused;
    if (!la_gate_enter(gates, GATE, &terms, &permit))
        return 1;
    event_set(&world->ready);
    event_wait(&world->go, 1);
    la_gate_leave(gates, GATE, &permit);
    return 0;
}

static inline int open_life(void)
{
    int fd;

    if (la_holder_open(&fd) != APR_SUCCESS)
        return 0;
    la_holder_init(&life, fd);
    return 1;
}

static inline void add_in(const char *name, CMUnitTestFunction function, void *row)
{
    add(name, function, row);
    tests[test_count - 1].setup_func = make_world;
    tests[test_count - 1].teardown_func = drop_world;
}

#endif

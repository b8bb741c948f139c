/* What the tests of flight share, included after shm/flight.c: a structure in shared memory, and
 * visits that count their answers. */
#ifndef LA_TEST_FLIGHTS_H
#define LA_TEST_FLIGHTS_H

#include "shm/flight.h"

#include "procs.h"

#include <apr_strings.h>

#define SLOTS 32u

#define FOREVER (10 * HANG_SECONDS * APR_USEC_PER_SEC)

typedef struct world_t {
    _Atomic uint32_t answers[LA_FLIGHT_SHARED + 1]; /* how often each was given */
    _Atomic uint32_t wrong;                         /* outcomes that are not for the key */
    _Atomic uint32_t lost;                          /* ends that came too late */
    _Atomic int leader;                             /* pid of the last to lead */
    event_t led;                                    /* somebody leads */
    event_t go;
    event_t ended;
} world_t;

static la_holder_t life;
static world_t *world;
static void *bytes;
static size_t bytes_size;
static la_flight_t *flight;
static apr_pool_t *pool;
static la_flight_terms_t terms; /* of a test; children inherit it */

typedef int fixture_t(void **state);

static inline int make_world_of(uint32_t slots)
{
    bytes_size = la_flight_bytes(slots);
    bytes = shared_alloc(bytes_size);
    world = shared_alloc(sizeof(*world));
    terms = (la_flight_terms_t){.lead_us = FOREVER, .wait_us = FOREVER};
    la_flight_format(bytes, slots);
    return apr_pool_create(&pool, NULL) != APR_SUCCESS ||
           la_flight_attach(bytes, slots, &life, pool, &flight) != APR_SUCCESS;
}

static inline int make_world(void **state)
{
    (void)state;
    return make_world_of(SLOTS);
}

static inline int make_small_world(void **state)
{
    (void)state;
    return make_world_of(LA_FLIGHT_WAYS);
}

static inline int drop_world(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    shared_free(world, sizeof(*world));
    shared_free(bytes, bytes_size);
    return 0;
}

static inline void make_key(unsigned char *key, uint64_t number)
{
    for (size_t i = 0; i < LA_FLIGHT_KEY_BYTES / 8; i++) {
        uint64_t word = next_random(&number);

        memcpy(key + 8 * i, &word, 8);
    }
}

static inline la_flight_outcome_t outcome_for(uint64_t number)
{
    la_flight_outcome_t outcome = {.code = (apr_uint32_t)number + 1};

    apr_snprintf(outcome.text, sizeof(outcome.text), "outcome %" APR_UINT64_T_FMT, number);
    outcome.len = (apr_uint32_t)strlen(outcome.text);
    return outcome;
}

static inline la_flight_e begin(uint64_t number, la_flight_ticket_t *ticket)
{
    unsigned char key[LA_FLIGHT_KEY_BYTES];
    la_flight_outcome_t outcome;
    la_flight_outcome_t expected = outcome_for(number);
    la_flight_e answer;

    make_key(key, number);
    answer = la_flight_begin(flight, key, &terms, ticket, &outcome);
    atomic_fetch_add(&world->answers[answer], 1);
    if (answer == LA_FLIGHT_SHARED && memcmp(&outcome, &expected, sizeof(outcome)) != 0)
        atomic_fetch_add(&world->wrong, 1);
    return answer;
}

static inline int end(uint64_t number, const la_flight_ticket_t *ticket)
{
    la_flight_outcome_t outcome = outcome_for(number);

    return la_flight_end(flight, ticket, &outcome);
}

/* Requests that sleep now, those of processes that were killed then included. */
static inline uint32_t waiting(void)
{
    return atomic_load(&flight->header->sleepers);
}

static inline slot_t *slot_at(uint32_t index)
{
    return &flight->groups[index / LA_FLIGHT_WAYS].slots[index % LA_FLIGHT_WAYS];
}

static inline uint32_t given(la_flight_e answer)
{
    return atomic_load(&world->answers[answer]);
}

/* Waits once; the answer is counted in `world`. The exit code is the answer. */
static inline int one_visit(void *unused)
{
    la_flight_ticket_t ticket;

    (void)unused;
    return (int)begin(7, &ticket);
}

static inline int open_life(void)
{
    int fd;

    if (la_holder_open(&fd) != APR_SUCCESS)
        return 0;
    la_holder_init(&life, fd);
    return 1;
}

static inline void add_in(fixture_t *setup, const char *name, CMUnitTestFunction function,
                          void *row)
{
    add(name, function, row);
    tests[test_count - 1].setup_func = setup;
    tests[test_count - 1].teardown_func = drop_world;
}

#endif

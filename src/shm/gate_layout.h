/* The layout of gates in shared memory, for gate.c and breaker.c alone.
 *
 *   header    layout, gates, permits                            64 bytes
 *   gates     for each:
 *     state     breaker, counters, wake word                    64 bytes
 *     permits   a place (holder.h) for each call in flight         8 bytes each
 *     queue     a place for each request that waits              8 bytes each
 *               rounded up to 64 bytes
 *
 * Any bytes are sound: none of them is an address or a length. */
#pragma once

#include "shm/gate.h"

typedef _Atomic uint64_t la_gate_word_t;

typedef struct la_gate_t {
    la_gate_word_t breaker;
    la_gate_word_t openings;
    la_gate_word_t refusals;
    la_gate_word_t exhaustions;
    _Atomic uint32_t wake;     /* changes when a permit is given back */
    _Atomic uint32_t turn;     /* distinguishes the permits that one process takes in turn */
    _Atomic uint32_t sleepers; /* those that were killed in their sleep included */
    uint32_t unused[5];
    la_place_t places[]; /* permits, then queue */
} la_gate_t;

typedef struct la_gate_header_t {
    la_gate_word_t layout;
    la_gate_word_t gates;
    la_gate_word_t permits;
    uint64_t unused[5];
} la_gate_header_t;

_Static_assert(sizeof(la_gate_t) == 64 && sizeof(la_gate_header_t) == 64, "a line each");

/* Nothing in it was read from the shared bytes. */
struct la_gates_t {
    unsigned char *bytes;
    uint32_t permits;
    la_holder_t *life;
};

/* Bytes from one gate to the next. */
static inline apr_size_t la_gate_stride(uint32_t permits)
{
    return (sizeof(la_gate_t) + 2 * (apr_size_t)permits * sizeof(la_place_t) + 63) &
           ~(apr_size_t)63;
}

static inline la_gate_t *la_gate_at(const la_gates_t *gates, uint32_t index)
{
    return (la_gate_t *)(void *)(gates->bytes + sizeof(la_gate_header_t) +
                                 index * la_gate_stride(gates->permits));
}

static inline void la_gate_count(la_gate_word_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* Closes the breaker, which ignores the reports of older calls from then on. */
void la_gate_close(la_gate_t *gate);

/* Fills phase, failures and retry_us. */
void la_gate_read_breaker(const la_gate_t *gate, const la_gate_terms_t *terms, apr_time_t now,
                          la_gate_state_t *state);

/* Single flight: of all threads and processes that miss the same key at the same time, one (the
 * leader) asks the provider, and the others wait for its outcome.
 *
 * Life cycle: before the fork la_flight_format() once, then la_flight_attach() anywhere; a handle
 * serves any number of threads, and forked children too. A miss calls la_flight_begin() once; a
 * leader calls la_flight_end(), from any thread of the same process.
 *
 * What the caller does:
 *   LEADER    look the key up again (the last leader may have ended between the caller's miss and
 *             its begin), else ask the provider and store the verdict; then la_flight_end().
 *   SHARED    act on the outcome; after an acceptance look the key up: identities travel through
 *             the cache. If it is not there (evicted, too large), go on as for ALONE.
 *   ALONE     ask the provider without la_flight_end().
 *   TIMED_OUT answer as unavailable.
 *
 * Whatever the bytes hold, a call returns in time, stays within the bytes, and shares an outcome
 * only with waiters of the key it was published for.
 */
#pragma once

#include "shm/holder.h"

#include <apr_pools.h>
#include <apr_time.h>

/* A key is a keyed digest: uniformly random and not for clients to choose. */
#define LA_FLIGHT_KEY_BYTES 32

/* What the bytes must be aligned to. */
#define LA_FLIGHT_ALIGN 64

/* Longest text of an outcome. */
#define LA_FLIGHT_TEXT_BYTES 240

/* Slots come in groups of this many; a key can be in one group. */
#define LA_FLIGHT_WAYS 16

typedef struct la_flight_t la_flight_t;

typedef enum la_flight_e {
    LA_FLIGHT_TIMED_OUT, /* zero; waited for wait_us without an outcome */
    LA_FLIGHT_ALONE,     /* no slot is free, the leader shares nothing, or the lock stays taken */
    LA_FLIGHT_LEADER,
    LA_FLIGHT_SHARED
} la_flight_e;

typedef struct la_flight_terms_t {
    /* How long a leader may take, its wait for a permit included: more than a call, less than
     * wait_us. Then another takes its place. */
    apr_interval_time_t lead_us;
    apr_interval_time_t wait_us; /* how long a waiter stays here at most */
} la_flight_terms_t;

/* What a leader tells its waiters. */
typedef struct la_flight_outcome_t {
    uint32_t code; /* the caller's own */
    uint32_t len;  /* bytes of text, at most LA_FLIGHT_TEXT_BYTES */
    char text[LA_FLIGHT_TEXT_BYTES];
} la_flight_outcome_t;

/* A leader's claim, for la_flight_end(). */
typedef struct la_flight_ticket_t {
    uint32_t slot;
    uint64_t lead;
    uint64_t key[LA_FLIGHT_KEY_BYTES / 8];
} la_flight_ticket_t;

/* Bytes for that many slots, each a key in flight: a multiple of LA_FLIGHT_WAYS. */
apr_size_t la_flight_bytes(uint32_t slots);

/* Makes `bytes`, aligned to LA_FLIGHT_ALIGN, an empty structure; nobody may use them meanwhile. */
void la_flight_format(void *bytes, uint32_t slots);

/* Makes a handle on formatted bytes.
 *
 * life: of this server; must outlive the handle.
 * flight: lives in `pool`; NULL on failure.
 * Returns APR_SUCCESS, or APR_EGENERAL when the bytes have another number of slots or layout.
 */
apr_status_t la_flight_attach(void *bytes, uint32_t slots, la_holder_t *life, apr_pool_t *pool,
                              la_flight_t **flight);

/* Joins or starts the flight of `key`; may sleep, terms->wait_us at most.
 *
 * ticket: for la_flight_end(), on LA_FLIGHT_LEADER.
 * outcome: filled on LA_FLIGHT_SHARED, else zeroed.
 */
la_flight_e la_flight_begin(la_flight_t *flight, const unsigned char *key,
                            const la_flight_terms_t *terms, la_flight_ticket_t *ticket,
                            la_flight_outcome_t *outcome);

/* Ends a flight and wakes its waiters with the outcome. Later visitors start another flight.
 *
 * outcome: NULL for an answer that must not be shared; the waiters go on alone.
 * Returns 1, or 0 when another has taken the flight over; then the outcome is dropped.
 */
int la_flight_end(la_flight_t *flight, const la_flight_ticket_t *ticket,
                  const la_flight_outcome_t *outcome);

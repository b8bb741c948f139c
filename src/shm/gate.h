/* The gate in front of each provider: how many calls all processes together may have in flight
 * (MaxConcurrent), and whether any is made after outages (Breaker).
 *
 * Life cycle: before the fork la_gates_format() once, then la_gates_attach() anywhere; a handle
 * serves any number of threads, and forked children too. A call goes la_gate_allow() ->
 * la_gate_enter() -> the call -> la_gate_leave() -> la_gate_report(). A caller that is allowed
 * always reports, with LA_GATE_NO_CALL if it could not enter.
 *
 * Whatever the bytes hold, a call returns in time and stays within the bytes; garbage that looks
 * like an open breaker lasts until open_us or call_us is over. */
#pragma once

#include "shm/holder.h"

#include <apr_pools.h>
#include <apr_time.h>

/* What the bytes must be aligned to. */
#define LA_GATE_ALIGN 64

typedef struct la_gates_t la_gates_t;

/* One provider's limits; the same in all processes. */
typedef struct la_gate_terms_t {
    uint32_t limit;       /* calls in flight, 1 to the permits of the geometry */
    uint32_t max_waiting; /* requests that wait for a permit, 0 to the permits of the geometry */
    apr_interval_time_t wait_us; /* how long each of them waits */
    uint32_t failures;           /* consecutive outages that open the breaker; 0: no breaker */
    apr_interval_time_t open_us; /* how long no call is made then */
    /* How long a call may take, at most a day; 0: a day. Then the call counts as lost, whether its
     * process is dead, stopped or slow: its permit is free, and if it was the probe the next
     * request is another. */
    apr_interval_time_t call_us;
} la_gate_terms_t;

/* A place among the calls in flight, until its deadline. */
typedef struct la_gate_permit_t {
    uint32_t index;
    uint32_t mark; /* the deadline, and which permit of the process this is */
} la_gate_permit_t;

typedef enum la_gate_e {
    LA_GATE_REFUSED, /* zero; the breaker is open, or a probe is under way */
    LA_GATE_CALL,
    LA_GATE_PROBE /* the one call that decides whether the breaker closes */
} la_gate_e;

/* What la_gate_allow() said, for la_gate_report(). */
typedef struct la_gate_pass_t {
    la_gate_e kind;
    uint64_t word;                /* the breaker as it was */
    apr_interval_time_t retry_us; /* refused: when to ask again, above 0 */
} la_gate_pass_t;

/* How a call ended. */
typedef enum la_gate_result_e {
    LA_GATE_OUTAGE,  /* the provider was unavailable */
    LA_GATE_SUCCESS, /* it answered, whatever it said of the token */
    LA_GATE_NO_CALL  /* it was not asked, or the caller gave up for reasons of its own */
} la_gate_result_e;

/* What a report changed, for the log: told to one caller only. */
typedef enum la_gate_change_e { LA_GATE_SAME, LA_GATE_OPENED, LA_GATE_CLOSED } la_gate_change_e;

typedef enum la_gate_phase_e {
    LA_GATE_PHASE_CLOSED,
    LA_GATE_PHASE_OPEN, /* refuses, or if retry_us is 0 sends the next request as a probe */
    LA_GATE_PHASE_PROBING
} la_gate_phase_e;

/* A gate as the status page shows it. Counters count since the bytes were formatted. */
typedef struct la_gate_state_t {
    la_gate_phase_e phase;
    uint32_t failures;            /* consecutive outages so far; closed only */
    apr_interval_time_t retry_us; /* how long the gate still refuses; 0 when it does not */
    uint32_t in_flight;
    uint32_t waiting;
    uint64_t openings;    /* of the breaker, from closed */
    uint64_t refusals;    /* by the breaker */
    uint64_t exhaustions; /* by the limit */
} la_gate_state_t;

/* Bytes for that many gates. permits: the largest limit of any of them. Returns 0 when a number is
 * not allowed: 0, above 65536 permits, above 4096 gates. */
apr_size_t la_gates_bytes(uint32_t gates, uint32_t permits);

/* Makes `bytes` (la_gates_bytes() of them, aligned to LA_GATE_ALIGN) gates that are closed and
 * empty; nobody may use them meanwhile. Returns APR_SUCCESS or APR_EINVAL. */
apr_status_t la_gates_format(void *bytes, uint32_t gates, uint32_t permits);

/* Makes a handle on formatted bytes. life: of this server; must outlive the handle. made: lives in
 * `pool`; NULL on failure. Returns APR_SUCCESS, APR_EINVAL as above, or APR_EGENERAL when the bytes
 * were formatted for another geometry or layout. */
apr_status_t la_gates_attach(void *bytes, uint32_t gates, uint32_t permits, la_holder_t *life,
                             apr_pool_t *pool, la_gates_t **made);

/* Takes a permit, waiting up to terms->wait_us for one. It is valid for terms->call_us. The permits
 * of a killed process and those past their deadline are free. permit: for la_gate_leave(). Returns
 * 1, or 0 when no permit is free. */
int la_gate_enter(la_gates_t *gates, uint32_t index, const la_gate_terms_t *terms,
                  la_gate_permit_t *permit);

/* Whether this process still holds the permit: no other has taken it after its deadline. */
int la_gate_holds(la_gates_t *gates, uint32_t index, const la_gate_permit_t *permit);

/* Gives the permit back, from any thread of the process that entered. Does nothing the second time,
 * or when another has taken the permit after its deadline. */
void la_gate_leave(la_gates_t *gates, uint32_t index, const la_gate_permit_t *permit);

/* Asks the breaker. now: la_clock_us(), or any clock that all processes share. If it is put back,
 * an open breaker makes the next request the probe. */
la_gate_e la_gate_allow(la_gates_t *gates, uint32_t index, const la_gate_terms_t *terms,
                        apr_time_t now, la_gate_pass_t *pass);

/* Whether the breaker is closed or off, so that no call is a probe. */
int la_gate_is_closed(const la_gates_t *gates, uint32_t index, const la_gate_terms_t *terms);

/* Tells the breaker how the call went that was allowed with `pass`. Ignores calls that were allowed
 * before the breaker opened, and probes that took longer than call_us. After LA_GATE_NO_CALL the
 * next request is the probe. */
la_gate_change_e la_gate_report(la_gates_t *gates, uint32_t index, const la_gate_terms_t *terms,
                                const la_gate_pass_t *pass, la_gate_result_e result,
                                apr_time_t now);

/* Makes the gate as new, for another provider. Permits that were taken before change nothing when
 * they are given back. Atomic in each word; also for the parent. */
void la_gate_reset(la_gates_t *gates, uint32_t index);

/* If the breaker is open, makes the next request the probe and ignores older probes, for a provider
 * that may have been repaired. Also for the parent. */
void la_gate_retry(la_gates_t *gates, uint32_t index);

/* Copies breaker, counters and permits, so that calls in flight count in the copy too, until their
 * deadlines. `to` has at least as many permits. Also for the parent. */
void la_gate_copy(la_gates_t *to, uint32_t to_index, const la_gates_t *from, uint32_t from_index);

/* Reads the state of a gate, each number for itself, without calls and waiters of dead processes
 * and those past their deadline. */
void la_gate_read(la_gates_t *gates, uint32_t index, const la_gate_terms_t *terms, apr_time_t now,
                  la_gate_state_t *state);

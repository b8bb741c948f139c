/* What flight.c (beginning and ending) and flight_wait.c (waiting) share: the types of the
 * layout that is drawn in flight.c, and the small steps of its protocol. Nobody else includes this.
 */
#ifndef LA_FLIGHT_LAYOUT_H
#define LA_FLIGHT_LAYOUT_H

#include "core/flight.h"

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t la_flight_word_t;

/* Changes with the layout: bytes that an older build left are refused. */
#define LA_FLIGHT_LAYOUT 0x31464c4cu /* "LLF1" */

#define LA_FLIGHT_KEY_WORDS     (LA_FLIGHT_KEY_BYTES / 8)
#define LA_FLIGHT_OUTCOME_WORDS (sizeof(la_flight_outcome_t) / 8)

/* Length that says: no outcome to share. */
#define LA_FLIGHT_NOTHING 0xffffffffu

/* The three low bits of a slot's control. */
typedef enum la_flight_phase_e {
    LA_FLIGHT_FREE = 0,
    LA_FLIGHT_CLAIMED = 1, /* its key is being written; not listed yet */
    LA_FLIGHT_PENDING = 2, /* the leader asks the provider */
    LA_FLIGHT_WRITING = 3, /* the outcome is being written */
    LA_FLIGHT_DONE = 4     /* the outcome may be read; not listed any more */
} la_flight_phase_e;

typedef struct la_flight_slot_t {
    la_flight_word_t control;
    la_flight_word_t due;
    la_flight_word_t key[LA_FLIGHT_KEY_WORDS];
    la_flight_word_t sum;
    la_flight_word_t outcome[LA_FLIGHT_OUTCOME_WORDS];
    _Atomic uint32_t wake; /* changes when waiters should look */
    uint32_t unused[3];
} la_flight_slot_t;

typedef struct la_flight_group_t {
    la_flight_word_t list;
    uint64_t unused[7];
} la_flight_group_t;

typedef struct la_flight_header_t {
    la_flight_word_t layout;
    la_flight_word_t slots;
    la_flight_word_t seats;
    uint64_t unused[5];
} la_flight_header_t;

_Static_assert(sizeof(la_flight_word_t) == 8 && ATOMIC_LLONG_LOCK_FREE == 2,
               "a word is read and written without a lock");
_Static_assert(sizeof(la_flight_outcome_t) % 8 == 0, "an outcome is whole words");
_Static_assert(LA_FLIGHT_KEY_BYTES % 8 == 0, "a key is whole words");
_Static_assert(sizeof(la_flight_slot_t) == 320, "five lines, no padding");
_Static_assert(sizeof(la_flight_group_t) == 64, "a group has a line of its own");
_Static_assert(sizeof(la_flight_header_t) == 64, "so has the header");
_Static_assert(LA_FLIGHT_WAYS == 16, "a list has 16 bits for ways");

/* A process's own idea of where everything is; nothing in it was read from the shared bytes. */
struct la_flight_t {
    la_flight_header_t *header;
    la_flight_group_t *groups;
    la_flight_slot_t *slots;
    la_place_t *seats;
    apr_uint32_t group_count;
    apr_uint32_t slot_count;
    apr_uint32_t seat_count;
    la_life_t *life;
};

/* One la_flight_begin(). */
typedef struct la_flight_visit_t {
    la_flight_t *flight;
    const la_flight_terms_t *terms;
    uint64_t key[LA_FLIGHT_KEY_WORDS];
    uint32_t self;  /* this process's id */
    uint32_t group; /* of the key */
    apr_time_t ends;
    int reserved; /* slot and control are of an unlisted way that is ready to be listed */
    uint32_t slot;
    uint64_t control;
} la_flight_visit_t;

/* ---- words ------------------------------------------------------------------- */

/* Data words are read with acquire and written with release, so that a control that is the same before and
 * after proves that what lies between was read whole; no fences, which ThreadSanitizer cannot follow. */
static inline uint64_t la_flight_load(const la_flight_word_t *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

static inline void la_flight_store(la_flight_word_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

static inline int la_flight_swap(la_flight_word_t *word, uint64_t from, uint64_t to)
{
    return atomic_compare_exchange_strong(word, &from, to);
}

/* ---- control ----------------------------------------------------------------- */

static inline la_flight_phase_e la_flight_phase(uint64_t control)
{
    return (la_flight_phase_e)(control & 7);
}

static inline uint32_t la_flight_lead(uint64_t control)
{
    return (uint32_t)control >> 3;
}

static inline uint32_t la_flight_leader(uint64_t control)
{
    return (uint32_t)(control >> 32);
}

static inline uint64_t la_flight_in_phase(uint64_t control, la_flight_phase_e phase)
{
    return (control & ~(uint64_t)7) | (uint64_t)phase;
}

/* The control of the next lead, for a claim or a takeover. */
static inline uint64_t la_flight_next(uint64_t control, uint32_t leader, la_flight_phase_e phase)
{
    uint32_t lead = (la_flight_lead(control) + 1) & 0x1fffffffu;

    return ((uint64_t)leader << 32) | ((uint64_t)lead << 3) | (uint64_t)phase;
}

static inline int la_flight_joinable(uint64_t control)
{
    return la_flight_phase(control) == LA_FLIGHT_PENDING ||
           la_flight_phase(control) == LA_FLIGHT_WRITING;
}

/* ---- due --------------------------------------------------------------------- */

static inline uint64_t la_flight_due(uint64_t control, apr_time_t at_us)
{
    return ((uint64_t)la_flight_lead(control) << 48) | ((uint64_t)(at_us / 1000) & 0xffffffffffffu);
}

/* Whether a due word was written in the lead of that control. */
static inline int la_flight_due_fits(uint64_t due, uint64_t control)
{
    return due >> 48 == (la_flight_lead(control) & 0xffff);
}

static inline apr_time_t la_flight_due_ms(uint64_t due)
{
    return (apr_time_t)(due & 0xffffffffffffu);
}

/* ---- list -------------------------------------------------------------------- */

static inline int la_flight_listed(uint64_t list, uint32_t way)
{
    return (int)((list >> way) & 1);
}

/* The list after a change of one way. */
static inline uint64_t la_flight_relist(uint64_t list, uint32_t way, int listed)
{
    uint64_t bit = (uint64_t)1 << way;
    uint64_t ways = (listed ? list | bit : list & ~bit) & 0xffffu;

    return (((list >> 16) + 1) << 16) | ways;
}

/* ---- between the files ------------------------------------------------------- */

/* Whether the slot holds a flight of that key that can be joined; `control` is as it was when that held. */
int la_flight_find_in(const la_flight_slot_t *slot, const uint64_t *key, uint64_t *control);

/* Waits for the flight that had `control`. Returns 1 with the answer, for LA_FLIGHT_LEADER with slot and
 * control of the visit; or 0 when the flight went by unseen. */
int la_flight_wait(la_flight_visit_t *visit, la_flight_slot_t *slot, uint64_t control,
                   la_flight_outcome_t *outcome, la_flight_e *answer);

/* Guards an outcome: over lead, key and the outcome's words. */
uint64_t la_flight_sum(uint64_t control, const uint64_t *key, const uint64_t *outcome);

#endif

/* Meters of quotas in shared memory: how much each caller has used of each limit.
 *
 * A meter is a rate (a token bucket, kept as the theoretical arrival time of GCRA: one word) or a
 * window (its end, and what was used in it: two words). Charging takes no lock: it is a
 * compare-and-swap of one word, which fits only what the reader based its decision on. A meter that
 * does not exist yet is made under the short lock of its group (holder.h).
 *
 * Life cycle: before the fork la_meters_format() once, then la_meters_attach() anywhere; a handle
 * serves any number of threads. Whatever the bytes hold, a call stays within them and returns. */
#pragma once

#include "base/slice.h"
#include "shm/holder.h"

#include <apr_pools.h>
#include <apr_time.h>

/* What the bytes must be aligned to. */
#define LA_METER_ALIGN 64

/* What is kept of a name for the status page, in bytes. */
#define LA_METER_NAME_BYTES 48

/* The most that a window counts; more stays at it. */
#define LA_METER_MOST ((UINT64_C(1) << 48) - 1)

typedef struct la_meters_t la_meters_t;

/* Whose meter of which limit it is: two keyed hashes, so that nobody can choose names that meet. */
typedef struct la_meter_key_t {
    uint64_t tag[2];
} la_meter_key_t;

/* Now, on both clocks of the machine. */
typedef struct la_meter_now_t {
    apr_time_t steady_us; /* la_clock_us(): for all but aligned windows */
    apr_time_t wall_us;   /* apr_time_now() */
} la_meter_now_t;

/* One limit, and how much of it a request takes. */
typedef struct la_meter_terms_t {
    uint64_t limit;                /* N per period, above 0 */
    uint64_t burst;                /* of a rate; 0: a window */
    apr_interval_time_t period_us; /* at least a second */
    int aligned;                   /* a window that starts at a multiple of the period since 1970 */
    uint64_t room;                 /* what must be free, at least `cost`; of a rate always 1 */
    uint64_t cost;                 /* what is charged */
    uint64_t kind;                 /* of the limit, for la_meter_read_all() */
    int apart;                     /* 1: in the part for names that strangers can make up */
    int is_alone;                  /* another store counts it too, and does not answer */
    la_slice_t name;               /* whose it is, for the status page */
} la_meter_terms_t;

/* What is left, after a charge or without one. */
typedef struct la_meter_reading_t {
    uint64_t left;
    apr_interval_time_t reset_us; /* until there is room (a rate), or until the window ends */
    apr_interval_time_t retry_us; /* until the same request may fit; 0 when it fits now */
    /* Used in the window and until its end; of a rate nanoseconds, and microseconds, until the
     * bucket is full. */
    uint64_t used;
    apr_interval_time_t full_us;
} la_meter_reading_t;

typedef enum la_meter_e {
    LA_METER_FAILED, /* zero: the meter went to others again and again */
    LA_METER_REFUSED,
    LA_METER_CHARGED
} la_meter_e;

/* What was charged, to give it back or to settle it. */
typedef struct la_meter_receipt_t {
    la_meter_key_t key;
    uint64_t place;  /* of the meter; 0: nothing was charged */
    uint64_t amount; /* a rate's in nanoseconds */
    uint16_t serial; /* of the window */
    int is_rate;
    int is_alone; /* the other store does not know of it */
} la_meter_receipt_t;

/* A meter as the status page shows it. */
typedef struct la_meter_entry_t {
    la_meter_key_t key;
    uint64_t kind;
    uint64_t limit; /* as it was at the last request */
    uint64_t used;
    uint64_t refusals;
    apr_interval_time_t reset_us; /* until it is as new */
    char name[LA_METER_NAME_BYTES + 1];
} la_meter_entry_t;

/* Makes `bytes` (at least LA_METERS_BYTES_MIN, aligned to LA_METER_ALIGN) empty meters; nobody may
 * use them meanwhile. Returns APR_SUCCESS or APR_EINVAL. */
#define LA_METERS_BYTES_MIN ((apr_size_t)64 * 1024)
apr_status_t la_meters_format(void *bytes, apr_size_t len);

/* Makes a handle on formatted bytes. life: of this server; must outlive the handle. made: lives in
 * `pool`; NULL on failure. Returns APR_SUCCESS, or APR_EGENERAL when the bytes were formatted for
 * another length or layout. */
apr_status_t la_meters_attach(void *bytes, apr_size_t len, la_holder_t *life, apr_pool_t *pool,
                              la_meters_t **made);

/* Charges a meter, if there is room; makes it if there is none. receipt: for la_meter_settle().
 * reading: after the charge, or as it is when there is no room. */
la_meter_e la_meter_charge(la_meters_t *meters, const la_meter_key_t *key,
                           const la_meter_terms_t *terms, const la_meter_now_t *now,
                           la_meter_receipt_t *receipt, la_meter_reading_t *reading);

/* Counts a refusal that another store decided. apart: as in the terms. */
void la_meter_count_refusal(la_meters_t *meters, const la_meter_key_t *key, int apart);

/* Reads a meter without charging it; one that does not exist is full. */
void la_meter_read(const la_meters_t *meters, const la_meter_key_t *key,
                   const la_meter_terms_t *terms, const la_meter_now_t *now,
                   la_meter_reading_t *reading);

/* What a reading says of a rate whose bucket is full in `lack_ns`, and of a window that ends in
 * `left_us`. */
la_meter_reading_t la_meter_reading_of_rate(const la_meter_terms_t *terms, uint64_t lack_ns);
la_meter_reading_t la_meter_reading_of_window(const la_meter_terms_t *terms, uint64_t used,
                                              apr_interval_time_t left_us);

/* Makes what was charged `amount` in all: 0 gives it back. Does nothing when the window has ended
 * or the meter is gone. A rate can only be given back. */
void la_meter_settle(la_meters_t *meters, la_meter_receipt_t *receipt, uint64_t amount);

/* Sets used and full_us as another store, which has charged the terms, tells them: so that this
 * machine can go on from there alone. Returns the receipt. */
la_meter_receipt_t la_meter_set(la_meters_t *meters, const la_meter_key_t *key,
                                const la_meter_terms_t *terms, const la_meter_now_t *now,
                                const la_meter_reading_t *told);

/* What was charged alone since this was asked last, to tell it to the other store; of a rate only
 * whether anything was. */
uint64_t la_meter_take_alone(la_meters_t *meters, const la_meter_key_t *key,
                             const la_meter_terms_t *terms, const la_meter_now_t *now);

/* Puts it back if the other store could not be told. */
void la_meter_return_alone(la_meters_t *meters, const la_meter_key_t *key,
                           const la_meter_terms_t *terms, uint64_t alone);

/* Forgets one meter (`key`), all of one kind (`kind`), or all (both 0). Returns how many. */
uint64_t la_meters_forget(la_meters_t *meters, const la_meter_key_t *key, uint64_t kind);

/* How many meters there are room for, are in use, and were given up before their time because the
 * memory was full. */
typedef struct la_meters_state_t {
    uint64_t capacity;
    uint64_t used;
    uint64_t evictions;
} la_meters_state_t;

/* Calls `visit` with each meter that is not as new. state: of all, in the end. */
typedef void la_meter_visit_fn(void *baton, const la_meter_entry_t *entry);
void la_meters_visit(const la_meters_t *meters, const la_meter_now_t *now, la_meter_visit_fn *visit,
                     void *baton, la_meters_state_t *state);

/* Whether it is time to log that the memory is full: meters were given up since then, and the last
 * time was a minute ago. evictions: how many in all. */
int la_meters_tell(la_meters_t *meters, const la_meter_now_t *now, uint64_t *evictions);

/* Copies the meters that are not as new to a segment of another size, before children use it. */
void la_meters_copy(la_meters_t *to, const la_meters_t *from, const la_meter_now_t *now);

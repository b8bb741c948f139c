/* The memory of what may be taken once: a set of digests, each with the end of its life, in shared
 * memory. Remembering is one atomic step: of all threads and processes that come with the same
 * digest one is told that it is new, and no other ever again, whatever the clock does meanwhile and
 * whoever is stopped or killed, at any instruction.
 *
 * Life cycle: before the fork la_replay_format() once, then la_replay_attach() anywhere; a handle
 * serves any number of threads. Whatever the bytes hold, a call stays within them and returns.
 */
#pragma once

#include "base/digest.h"
#include "shm/holder.h"

#include <apr_pools.h>
#include <apr_time.h>

/* Another one for each change of what the bytes mean. Whoever keeps them over a change of the
 * module finds them by it. */
#define LA_REPLAY_LAYOUT 2

/* What the bytes must be aligned to. */
#define LA_REPLAY_ALIGN 64

/* Bytes of a memory whose part for one minute has that many levels. The last level of five holds
 * 262,144 digests and all of them 349,184: over 4,000 a second in each of the minutes that are kept
 * at the same time. Lower levels are filled first, so that memory that is not needed is never
 * touched: with less than one digest a second four pages a minute are. */
#define LA_REPLAY_FIRST_BYTES ((apr_size_t)16 * 64 * 128)
#define LA_REPLAY_LEVELS      5
#define LA_REPLAY_BYTES_OF(levels)                                                                 \
    ((apr_size_t)33 * 4096 + LA_REPLAY_FIRST_BYTES * (((apr_size_t)1 << 2 * (levels)) - 1) / 3)
#define LA_REPLAY_BYTES     LA_REPLAY_BYTES_OF(LA_REPLAY_LEVELS)
#define LA_REPLAY_BYTES_MIN LA_REPLAY_BYTES_OF(1)

/* The farthest end that is taken: a proof lives for 300 s from its `iat`, which may be 300 s ahead;
 * and for a second more, since `iat` is cut to whole seconds. */
#define LA_REPLAY_AHEAD_US (APR_TIME_C(660) * APR_USEC_PER_SEC)

/* If the clock is put back to before the memory's beginning, all is refused until it gets there
 * again; but if that would take longer than this, the memory begins at the clock's time, and waits
 * only when what was issued right before it was made would be taken. */
#define LA_REPLAY_BACK_US (APR_TIME_C(3600) * APR_USEC_PER_SEC)

typedef struct la_replay_t la_replay_t;

typedef enum la_replay_e {
    LA_REPLAY_REFUSED, /* zero: the memory cannot be had */
    LA_REPLAY_FULL,    /* there is no room for what ends in that minute */
    LA_REPLAY_OVER,    /* there is, but the owner has had his share of it */
    LA_REPLAY_SEEN,    /* it was remembered before */
    LA_REPLAY_OLD,     /* it may have been remembered by a memory that is gone */
    LA_REPLAY_NEW      /* it is remembered now */
} la_replay_e;

/* Matters of which the log is told once a minute. */
typedef enum la_replay_matter_e {
    LA_REPLAY_NO_MATTER,
    LA_REPLAY_IS_FULL,
    LA_REPLAY_IS_OVER,
    LA_REPLAY_IS_BUSY, /* a process that does not go on holds the lock */
    LA_REPLAY_IS_LATE, /* the clock was put back to before the memory's beginning */
    LA_REPLAY_IS_ALONE /* for the caller: another store does not answer */
} la_replay_matter_e;

/* What was counted, and how much there is room for. */
typedef struct la_replay_state_t {
    uint64_t results[LA_REPLAY_NEW + 1]; /* by la_replay_e */
    uint64_t alone;                      /* of those new: another store did not answer */
    uint64_t held;                       /* digests of minutes that are not over */
    uint64_t fullest;                    /* of these, the most that end in the same minute */
    uint64_t capacity;                   /* for digests that end in the same minute */
} la_replay_state_t;

/* Makes an empty memory that begins now.
 *
 * bytes: aligned to LA_REPLAY_ALIGN, zero, as a new anonymous mapping is. len:
 * LA_REPLAY_BYTES_OF(any number of levels).
 * Returns APR_SUCCESS, or APR_EINVAL when they are too few.
 */
apr_status_t la_replay_format(void *bytes, apr_size_t len, apr_time_t now);

/* Makes a handle on formatted bytes.
 *
 * points: la_hash_point(), the same in all processes, never in the bytes: without them nobody can
 * choose digests that meet. life: of this server; must outlive the handle. made: lives in `pool`;
 * NULL on failure.
 * Returns APR_SUCCESS, or APR_EGENERAL when the bytes were formatted for another length or layout.
 */
apr_status_t la_replay_attach(void *bytes, apr_size_t len, const uint64_t points[2],
                              la_holder_t *life, apr_pool_t *pool, la_replay_t **made);

/* What is remembered. */
typedef struct la_replay_item_t {
    const unsigned char *digest; /* LA_DIGEST_BYTES */
    la_slice_t owner[2];         /* whose it is: where his name holds, and his name */
    apr_time_t issued;           /* by the wall clock, cut to seconds or not */
    apr_time_t until;            /* from then on the caller refuses it without asking */
} la_replay_item_t;

/* Remembers an item, unless its digest is remembered, with whatever end. Waits for nobody, but at
 * the first item of a minute for LA_REPLAY_LOCK_US at most.
 *
 * Of the room for what ends in one minute an owner gets a quarter, less when others have much, and
 * a little always (shares.h).
 *
 * now: apr_time_now(). matter: of which to tell the log; LA_REPLAY_NO_MATTER: none.
 */
la_replay_e la_replay_remember(la_replay_t *replay, const la_replay_item_t *item, apr_time_t now,
                               la_replay_matter_e *matter);

/* Counts what became of an item in the end. is_alone: another store was to be asked and did not
 * answer. */
void la_replay_count(la_replay_t *replay, la_replay_e result, int is_alone);

/* How long to wait for the lock under which a minute begins. It is held for microseconds unless its
 * holder is stopped. */
#define LA_REPLAY_LOCK_US 100000

/* The wall clock's time for which the memory waits after LA_REPLAY_IS_LATE. now: as it was then. */
apr_time_t la_replay_ready(const la_replay_t *replay, apr_time_t now);

void la_replay_read(const la_replay_t *replay, apr_time_t now, la_replay_state_t *state);

/* Whether it is time to log the matter again, in whatever process. steady_us: la_clock_us(). */
int la_replay_tell(la_replay_t *replay, la_replay_matter_e matter, apr_time_t steady_us);

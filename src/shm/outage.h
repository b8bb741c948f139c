/* What the log was told of a provider's outages: one line of shared memory, used by all processes
 * without a lock.
 *
 * A line is due once for each reason, change of state and minute. Numbers in a reason (times,
 * sizes, positions) make no other reason of it, a status does. What is about one caller alone
 * changes no state: it is told once a minute, however often other callers' calls succeed in
 * between.
 */
#ifndef LA_OUTAGE_H
#define LA_OUTAGE_H

#include <apr.h>
#include <apr_time.h>

#include <stdatomic.h>

/* Reasons that are remembered; when there are more within a minute, the oldest is forgotten. */
#define LA_OUTAGE_REASONS 7

/* Starts zeroed; whatever it holds costs at most a line more or less. */
typedef struct la_outage_t {
    _Atomic uint64_t state; /* 1 bit: an outage was told; above it: how often that ended */
    _Atomic uint64_t
        reasons[LA_OUTAGE_REASONS]; /* 32 bits of a hash, 32 bits of seconds; 0: free */
} la_outage_t;

/* What is to be told. */
typedef struct la_outage_reason_t {
    const char *text;
    int status;    /* of the answer; 0: there was none */
    int of_caller; /* no outage of the provider, but something about one caller */
} la_outage_reason_t;

/* Notes an outage. now: la_clock_us(). Returns 1 when a line is due, to one caller of all that ask
 * at once. */
int la_outage_begin(la_outage_t *outage, const la_outage_reason_t *reason, apr_time_t now);

/* Notes that the provider is there. Returns 1 when it had been told to be away, to one caller only.
 */
int la_outage_end(la_outage_t *outage);

#endif

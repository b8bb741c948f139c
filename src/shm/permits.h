/* Permits for requests in flight, of many names, in one array of places (holder.h): a process that
 * is killed gives up what it held. Beside each place a label says whose the permit is, for the
 * status page. Life cycle: zeroed memory is an array of free places. One handle for all threads of
 * a process. */
#pragma once

#include "base/slice.h"
#include "shm/holder.h"

/* What is kept of a name, in bytes. */
#define LA_PERMIT_NAME_BYTES 40

/* A line of shared memory. */
typedef struct la_permit_label_t {
    _Atomic uint64_t mark; /* of the place that it belongs to; 0: it is being written */
    _Atomic uint64_t kind;
    _Atomic uint64_t limit;
    _Atomic uint64_t name[LA_PERMIT_NAME_BYTES / 8];
} la_permit_label_t;

typedef struct la_permits_t {
    la_place_t *places;
    la_permit_label_t *labels; /* one for each place; NULL: none */
    uint32_t count;
    la_holder_t *life;
} la_permits_t;

/* A permit as the status page shows it. */
typedef struct la_permit_entry_t {
    uint32_t mark;
    uint64_t kind;
    uint64_t limit;
    char name[LA_PERMIT_NAME_BYTES + 1];
} la_permit_entry_t;

typedef enum la_permits_e {
    LA_PERMITS_FULL, /* zero: no place is free for anybody */
    LA_PERMITS_REFUSED,
    LA_PERMITS_TAKEN
} la_permits_e;

/* Takes a permit if fewer than `limit` of that name are taken. Two that ask for the last one at the
 * same time may both be refused. name: a hash of the name, not 0. index: for la_permits_leave(). */
la_permits_e la_permits_take(const la_permits_t *permits, uint32_t name, uint64_t limit,
                             uint32_t *index);

/* Says whose the permit is, after it was taken. entry->name is closed with NUL. */
void la_permits_label(const la_permits_t *permits, uint32_t index, const la_permit_entry_t *entry);

/* Reads the permit at `index`. Returns 0 when it is free, or has no label yet. */
int la_permits_read(const la_permits_t *permits, uint32_t index, la_permit_entry_t *entry);

/* Gives a permit back; does nothing a second time. */
void la_permits_leave(const la_permits_t *permits, uint32_t name, uint32_t index);

/* How many of that name are taken. */
uint32_t la_permits_count(const la_permits_t *permits, uint32_t name);

/* Which purges of all machines this machine has carried out.
 *
 * Each purge increments the generation, so that the cache does not keep a verdict that was asked
 * for before the purge and comes after it.
 *
 * Purges that go through the remote cache (Redis) have positions: an era, which is drawn when Redis
 * has none, and a number in it. An era begins with a time, so positions are ordered, and the known
 * one never goes down. If Redis shows a lower position, it has lost purges; if it shows a higher
 * one, it has purges that are not known here. Entries of another position are not believed.
 *
 * Life cycle: the bytes begin as zeroes and need no formatting. Any thread of any process, no lock;
 * a process may die at any instruction. */
#pragma once

#include "base/slice.h"
#include "shm/table.h"

typedef struct la_purge_log_t la_purge_log_t;

/* Bytes of a log; aligned to 64. */
apr_size_t la_purge_log_bytes(void);

/* How many purges there were. la_purge_begin() comes before anything is dropped. */
uint64_t la_purge_generation(const la_purge_log_t *log);
void la_purge_begin(la_purge_log_t *log);

/* A position among the purges of all machines; zeroes: before the first. */
typedef struct la_purge_position_t {
    uint64_t era;
    uint64_t number; /* 1 to LA_PURGE_NUMBER_MAX */
} la_purge_position_t;

#define LA_PURGE_NUMBER_MAX ((UINT64_C(1) << 40) - 1)

/* Below 0, 0 or above 0 if a is before, at or after b. */
int la_purge_compare(la_purge_position_t a, la_purge_position_t b);

/* Whether such an era can have been drawn by now, with a century for wrong clocks, so that there is
 * always a later one. */
int la_purge_era_is_sound(uint64_t era, apr_time_t now);

/* The known position: every purge up to it was carried out here. May be too low for a moment. */
la_purge_position_t la_purge_known(const la_purge_log_t *log);

/* Notes that every purge up to the position has been carried out here. Ignores a lower position
 * than the known one. */
void la_purge_advance(la_purge_log_t *log, la_purge_position_t position);

/* Draws a new era, later than the known one. Returns 0 when there are no random numbers. */
uint64_t la_purge_draw(const la_purge_log_t *log, apr_time_t now);

/* Makes the known position later than all that Redis can have: for a purge that could not be
 * written to Redis, and for another Redis. Then Redis seems to have lost purges, gets a new era,
 * and all machines drop everything. */
void la_purge_raise(la_purge_log_t *log, apr_time_t now);

/* Binds the position to one remote cache (or to LA_PURGE_ALONE), in each child before anything
 * else. If it was bound to another, raises the known position, and children of the configuration
 * before are not bound any more. Returns 1 if it was another. */
int la_purge_bind(la_purge_log_t *log, uint64_t place, apr_time_t now);
int la_purge_is_bound(const la_purge_log_t *log, uint64_t place);

/* Places are digests, except these. */
#define LA_PURGE_ALONE    1
#define LA_PURGE_CHANGING 2

/* Notes that this machine has told a server of a purge. server: a digest, not 0. */
void la_purge_note_told(la_purge_log_t *log, uint64_t server);

/* Whether the last purge was told to another server than this one, which may not know of it: an old
 * master takes purges for as long as it is thought to be one. Raises the known position then, and
 * forgets it. */
int la_purge_was_told_elsewhere(la_purge_log_t *log, uint64_t server, apr_time_t now);

/* Whether it is this caller's turn to ask Redis: once in `interval` for all processes together. */
int la_purge_turn(la_purge_log_t *log, apr_time_t now, apr_interval_time_t interval);

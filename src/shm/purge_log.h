/* How far this machine is with the purges of all machines.
 *
 * Each purge counts up the generation, so that a verdict that was asked for before and comes after
 * is not kept.
 *
 * Purges that go through the second-level cache have positions there: an era, which is drawn
 * whenever the numbers begin anew, and a number in it. Eras are ordered, as the later half of their
 * bits is random and the earlier is a time; so all positions are, and the one that is known here
 * only ever goes up. Redis that shows a lower one has lost purges; Redis that shows a higher one
 * has purges that are not known here. What was stored at another position is not believed.
 *
 * Life cycle: the bytes begin as zeroes and need no formatting. Any thread of any process, no lock;
 * a process may die at any instruction.
 */
#ifndef LA_PURGE_LOG_H
#define LA_PURGE_LOG_H

#include "base/slice.h"
#include "shm/table.h"

typedef struct la_purge_log_t la_purge_log_t;

/* Bytes of a log; aligned to 64. */
apr_size_t la_purge_log_bytes(void);

/* How many purges there were; counts up before anything is dropped. */
uint64_t la_purge_generation(const la_purge_log_t *log);
void la_purge_begin(la_purge_log_t *log);

/* A position among the purges of all machines; zeroes: before any. */
typedef struct la_purge_position_t {
    uint64_t era;
    uint64_t number; /* 1 to LA_PURGE_NUMBER_MAX */
} la_purge_position_t;

#define LA_PURGE_NUMBER_MAX ((UINT64_C(1) << 40) - 1)

/* Below 0, 0 or above 0 as a is before, at or after b. */
int la_purge_compare(la_purge_position_t a, la_purge_position_t b);

/* Whether such an era can have been drawn by now, with a century for wrong clocks: so there is
 * always a later one. */
int la_purge_era_is_sound(uint64_t era, apr_time_t now);

/* The position known here: every purge up to it has been carried out here. May be lower than that
 * for a moment. */
la_purge_position_t la_purge_known(const la_purge_log_t *log);

/* Says that every purge up to the position is carried out here; a lower one than is known changes
 * nothing. */
void la_purge_advance(la_purge_log_t *log, la_purge_position_t position);

/* Draws an era that nobody has drawn before, later than the one that is known. Returns 0 when there
 * are no random numbers. */
uint64_t la_purge_draw(const la_purge_log_t *log, apr_time_t now);

/* Puts what is known here past everything that Redis can have: for a purge that Redis could not be
 * told, or when it is another Redis. It looks then as if it had lost purges, is told to begin anew,
 * and so everything is dropped everywhere. */
void la_purge_raise(la_purge_log_t *log, apr_time_t now);

/* Binds the position to one second-level cache (or LA_PURGE_ALONE for none), in each child before
 * anything else; if it was bound to another, what is known is raised. Children of the configuration
 * before are not bound any more then. Returns 1 when it was another. */
int la_purge_bind(la_purge_log_t *log, uint64_t place, apr_time_t now);
int la_purge_is_bound(const la_purge_log_t *log, uint64_t place);

/* Places are digests, but for these. */
#define LA_PURGE_ALONE    1
#define LA_PURGE_CHANGING 2

/* Whether it is this caller's turn to ask for news: once in `interval` for all processes together.
 */
int la_purge_turn(la_purge_log_t *log, apr_time_t now, apr_interval_time_t interval);

#endif

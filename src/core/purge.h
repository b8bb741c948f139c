/* Purges: what an administrator wants forgotten, and the log of the last ones, in shared memory.
 *
 * Each purge counts up the generation, so that a verdict that was asked for before and comes after is not kept. Purges
 * that come from the second-level cache have numbers there; the log holds the last of them, to tell whether an
 * entry from there is older than one that concerns it.
 *
 * Life cycle: the bytes begin as zeroes and need no formatting. Any thread of any process, no lock.
 */
#ifndef LA_PURGE_H
#define LA_PURGE_H

#include "core/slice.h"
#include "core/table.h"

typedef enum la_purge_e { LA_PURGE_ALL, LA_PURGE_PRINCIPAL, LA_PURGE_CLIENT_ID } la_purge_e;

/* One purge. The name is borrowed: a principal, or a client id's hex digits in lower case; empty for all. */
typedef struct la_purge_t {
    la_purge_e kind;
    la_slice_t name;
} la_purge_t;

/* Reads `all`, `principal:NAME` or `client_id:ID`. Returns 1, or 0 when the text is none of these. */
int la_purge_parse(la_slice_t text, la_purge_t *purge);

/* Numbered purges that the log remembers. */
#define LA_PURGE_LOG_LENGTH 256

typedef struct la_purge_log_t la_purge_log_t;

/* Bytes of a log; aligned to 64. */
apr_size_t la_purge_log_bytes(void);

/* How many purges there were; counts up before anything is dropped. */
apr_uint64_t la_purge_generation(const la_purge_log_t *log);
void la_purge_begin(la_purge_log_t *log);

/* The number of the last purge known from the second-level cache; all up to it have been carried out here. */
apr_uint64_t la_purge_known(const la_purge_log_t *log);

/* Remembers the purge of that number. tag: of whom it concerns; ignored for all. */
void la_purge_note(la_purge_log_t *log, apr_uint64_t number, la_purge_e kind,
                   const unsigned char tag[LA_TABLE_PURGE_TAG_BYTES]);

/* Says that all purges up to `number` are carried out; a lower one than before is ignored unless `reset`, for a
 * second-level cache that began anew. */
void la_purge_set_known(la_purge_log_t *log, apr_uint64_t number, int reset);

/* Whether an entry made when `since` was the last known purge may have been purged after: one of the purges since is
 * all, or concerns one of the tags, or is not remembered any more. */
int la_purge_covers(const la_purge_log_t *log, apr_uint64_t since,
                    const unsigned char client[LA_TABLE_PURGE_TAG_BYTES],
                    const unsigned char principal[LA_TABLE_PURGE_TAG_BYTES]);

/* Whether it is this caller's turn to ask for news: once in `interval` for all processes together. */
int la_purge_turn(la_purge_log_t *log, apr_time_t now, apr_interval_time_t interval);

#endif

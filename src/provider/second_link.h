/* How the second-level cache's parts reach Redis and their keys: second.c (entries) and second_purges.c share it. */
#ifndef LA_SECOND_LINK_H
#define LA_SECOND_LINK_H

#include "provider/second.h"

#include <apr_thread_mutex.h>

/* Matters that are logged once, for la_stats_first(). */
enum { LA_SECOND_TOLD_UNREADABLE, LA_SECOND_TOLD_SECRET, LA_SECOND_TOLD_FORGOTTEN };

/* The keys of one secret, as of the last time it was looked at. */
typedef struct la_second_derived_t {
    la_seal_keys_t keys;
    const char *value; /* what they were derived from; NULL: nothing yet */
    apr_pool_t *pool;  /* of the value */
} la_second_derived_t;

struct la_second_t {
    const la_second_options_t *options;
    la_second_shared_t shared;
    la_redis_t *redis;
    apr_thread_mutex_t *lock; /* guards `derived` */
    la_second_derived_t derived[LA_SECOND_SECRETS];
};

/* Counts an event. */
void la_second_count(const la_second_t *second, la_second_e event);

/* Keeps the reason as the last error. */
void la_second_note_error(const la_second_t *second, const char *reason);

/* One command through the breaker. An answer that is an error is an outage where `errors` says so: of a read there is
 * no other reason for it; a full server refuses writes only. */
la_redis_e la_second_command(la_second_t *second, apr_size_t count, const la_slice_t *words,
                             int errors, apr_pool_t *pool, la_redis_answer_t *answer);

/* The keys in force of secret `i`. Returns 0 when it never had good ones. To be cleansed after use. */
int la_second_keys(la_second_t *second, int i, apr_pool_t *pool, la_seal_keys_t *keys);

/* A name in Redis: the prefix, a kind and a name, in `pool`. */
la_slice_t la_second_word(const la_second_t *second, apr_pool_t *pool, const char *kind,
                          const char *name);

/* Carries out what was purged on all machines up to `number`, the last one that Redis tells of. `least` is what was known
 * before it was asked: if it tells of less it has lost purges; none of its entries can be believed until that was put
 * right, which is tried once a second. Returns 1 when every purge is known and done now. */
int la_second_catch_up(la_second_t *second, apr_uint64_t least, apr_uint64_t number,
                       apr_pool_t *pool);

/* The number of the last purge that is known here: to be asked for before Redis is. */
apr_uint64_t la_second_known(const la_second_t *second);

/* The number in an answer; 0 for none. Returns 0 when it is something else. */
int la_second_number(const la_redis_answer_t *answer, apr_uint64_t *number);

#endif

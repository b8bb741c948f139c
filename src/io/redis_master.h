/* Where the server is, as this process knows it: the address of its host, or that of the master
 * which Redis Sentinel names. Life cycle: la_redis_master_make() in each child; then any number of
 * threads. */
#pragma once

#include "io/redis_connection.h"

typedef struct la_redis_master_t la_redis_master_t;

/* An address, and how often it has changed before. */
typedef struct la_redis_known_t {
    la_redis_address_t address; /* ip empty: none */
    unsigned generation;
    int is_sound; /* no session with it has failed since it was named */
} la_redis_known_t;

apr_status_t la_redis_master_make(apr_pool_t *pool, const la_redis_options_t *options,
                                  la_redis_master_t **master);

/* Returns what is known now. */
la_redis_known_t la_redis_master_known(la_redis_master_t *master);

/* Notes that a session with what was known failed: sentinels are asked again, the next one first.
 */
void la_redis_master_doubt(la_redis_master_t *master, const la_redis_known_t *known);

/* Asks the sentinels in order. Each may take its share of the time that the call has left, so that
 * one that hangs does not keep us from the others. known: what they name. Returns 1 or 0. */
int la_redis_master_find(la_redis_master_t *master, la_redis_call_t *call, la_redis_known_t *known);

/* Looks the server's name up, or asks sentinels whether there is another master. May take as long
 * as the resolver, and connect_timeout for each sentinel, so no request's thread calls it. answers:
 * whether the server answered last time; its name is not looked up then. */
void la_redis_master_watch(la_redis_master_t *master, int answers, apr_pool_t *pool);

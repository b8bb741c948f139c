/* A client of Redis, or of anything that speaks its protocol: single commands, each with a deadline
 * that holds. Life cycle: la_redis_parse() while the configuration is read, la_redis_make() in each
 * child; then any number of threads. Connections are kept between commands, and replaced when they
 * fail. */
#pragma once

#include "io/redis_answer.h"
#include "io/redis_options.h"

typedef struct la_redis_t la_redis_t;

/* Makes this process's client. pool: lives as long as the process. */
apr_status_t la_redis_make(apr_pool_t *pool, const la_redis_options_t *options, int connections,
                           la_redis_t **redis);

/* Sends one command and waits for its answer, connect_timeout and timeout at most. If the server
 * has closed an idle connection, the command is sent again over a new one; it may so run twice,
 * which the answer tells. words: the command and its arguments. */
la_redis_e la_redis_command(la_redis_t *redis, apr_size_t count, const la_slice_t *words,
                            apr_pool_t *pool, la_redis_answer_t *answer);

/* Looks the server's name up for new connections if it does not answer, or asks its sentinels who
 * the master is. May take as long as the resolver and all sentinels, so no request's thread calls
 * it; about once a second. */
void la_redis_watch(la_redis_t *redis, int answers, apr_pool_t *pool);

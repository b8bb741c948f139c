/* Asks Redis Sentinel who the master is. */
#pragma once

#include "io/redis_connection.h"

/* Asks one sentinel for the address of options->master. A sentinel that demands a password gets the
 * URL's.
 *
 * sentinel: its place among the options'. at: its address. may_resolve: whether a master that is
 * named by a host name may be looked up, which may take as long as the resolver; else it is a
 * failure. kept: a connection to it that is used again and stays open, if there is one, or begins;
 * NULL: none is kept. master: not to be believed before its server says that it is one. Returns 1,
 * or 0; the reason begins with the sentinel's name.
 */
int la_redis_sentinel_ask(const la_redis_options_t *options, int sentinel,
                          const la_redis_address_t *at, int may_resolve,
                          la_redis_connection_t *kept, la_redis_call_t *call,
                          la_redis_address_t *master);

/* Reads its answer: of get-master-addr-by-name, a list of host and port. Returns NULL, or what is
 * wrong with it. */
const char *la_redis_sentinel_read(const la_redis_answer_t *answer, int may_resolve,
                                   la_redis_address_t *master);

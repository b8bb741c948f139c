/* A session with Redis: logs in, chooses the database, and makes sure of whom it is talking to.
 *
 * After a failover the old master may go on for some seconds, as a master. What is counted and told
 * there is lost. So whoever learns of a new master leaves word at the old one, in
 *   moved     the address of its successor, for ten seconds
 * and where sentinels name the server, no answer counts while that is there.
 */
#pragma once

#include "io/redis_connection.h"

/* Length of a server's name for itself, without the closing NUL. */
#define LA_REDIS_SERVER_LEN 63

/* Opens one. A cluster and a sentinel are refused; where sentinels name the server, also a replica,
 * and a master whose place another has taken. address: NULL for the options' socket. server: run_id
 * of the server process; where it does not tell, its address if sentinels name it, else empty.
 * Returns 1, or 0 and the connection is closed. */
int la_redis_session_open(la_redis_connection_t *connection, const la_redis_options_t *options,
                          const la_redis_address_t *address, la_redis_call_t *call,
                          char server[LA_REDIS_SERVER_LEN + 1]);

/* Sends a command and waits for its answer. FAILED with call->moved if another server has taken its
 * place; the command may have been carried out, where nobody will ask. */
la_redis_e la_redis_session_run(la_redis_connection_t *connection,
                                const la_redis_options_t *options, apr_size_t count,
                                const la_slice_t *words, la_redis_call_t *call,
                                la_redis_answer_t *answer);

/* Leaves word at an old master, if it can be reached, and is not the same server at another
 * address. server: of the successor, by la_redis_session_open(). */
void la_redis_session_leave_word(const la_redis_options_t *options, const la_redis_address_t *old,
                                 const la_redis_address_t *successor, const char *server,
                                 la_redis_call_t *call);

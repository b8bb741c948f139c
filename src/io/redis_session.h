/* Begins a session with Redis: logs in, chooses the database, and makes sure of whom it is talking
 * to. */
#ifndef LA_REDIS_SESSION_H
#define LA_REDIS_SESSION_H

#include "io/redis_connection.h"

/* Length of a server's name for itself, without the closing NUL. */
#define LA_REDIS_SERVER_LEN 63

/* Opens one. A cluster, a sentinel, and where sentinels name the server a replica, are refused.
 *
 * address: NULL for the options' socket. server: run_id of the server process; where it does not
 * tell, its address if sentinels name it, else empty. Returns 1, or 0 and the connection is closed.
 */
int la_redis_session_open(la_redis_connection_t *connection, const la_redis_options_t *options,
                          const la_redis_address_t *address, la_redis_call_t *call,
                          char server[LA_REDIS_SERVER_LEN + 1]);

#endif

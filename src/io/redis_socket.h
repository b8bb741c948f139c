/* Sockets to Redis: close-on-exec, since no CGI may inherit a connection that is logged in, with
 * deadlines of la_clock_us(). No state; any thread. */
#pragma once

#include <netinet/in.h>

#include <apr_pools.h>
#include <apr_time.h>

/* A numeric address; empty while there is none. */
typedef struct la_redis_address_t {
    char ip[INET6_ADDRSTRLEN];
    int port;
} la_redis_address_t;

/* Finds a host's numeric address. flags: AI_NUMERICHOST keeps it from asking DNS, which may take as
 * long as the resolver does. Returns 1, or 0 when it has none. */
int la_redis_address(const char *host, int flags, char ip[INET6_ADDRSTRLEN]);

/* Waits until the socket is ready for `events` of poll(). Returns NULL, or why it is not: "timeout"
 * at the deadline. */
const char *la_redis_await(int fd, short events, apr_time_t deadline_us);

/* Connects to a numeric address; empty: the host's name has none. fd: the caller's to close;
 * non-blocking, connected; -1 on failure. Returns NULL, or what failed, in `pool`. */
const char *la_redis_connect_tcp(const char *ip, int port, apr_time_t deadline_us, apr_pool_t *pool,
                                 int *fd);

/* The same for a unix socket. */
const char *la_redis_connect_unix(const char *path, apr_time_t deadline_us, apr_pool_t *pool,
                                  int *fd);

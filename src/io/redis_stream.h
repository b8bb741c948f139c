/* Bytes to and from Redis, plain or by TLS, each step with a deadline of la_clock_us(). One thread
 * at a time uses a stream; no other state. */
#pragma once

#include "base/slice.h"
#include "io/redis_tls.h"

#include <apr_time.h>

typedef struct la_redis_stream_t {
    int fd;             /* non-blocking */
    struct ssl_st *tls; /* NULL: plain */
} la_redis_stream_t;

/* Takes over a connected socket, and begins TLS on it. tls: NULL for none. host: whose certificate
 * the server must show. Returns NULL, or why nothing may be sent, in `pool` or a literal; the
 * socket is closed then. */
const char *la_redis_stream_open(la_redis_stream_t *stream, int fd, la_redis_tls_t *tls,
                                 const char *host, apr_time_t deadline_us, apr_pool_t *pool);

/* Sends all bytes. Returns NULL, or why it could not. closed: 1 when the server has closed. */
const char *la_redis_stream_write(la_redis_stream_t *stream, la_slice_t bytes,
                                  apr_time_t deadline_us, apr_pool_t *pool, int *closed);

/* Waits for bytes. len: how many came, above 0 on success. Returns as above. */
const char *la_redis_stream_read(la_redis_stream_t *stream, char *buffer, apr_size_t size,
                                 apr_time_t deadline_us, apr_pool_t *pool, apr_size_t *len,
                                 int *closed);

/* Returns 1 if the stream is open and there is nothing to read. */
int la_redis_stream_is_quiet(la_redis_stream_t *stream);

/* Closes it, also a second time. */
void la_redis_stream_close(la_redis_stream_t *stream);

/* Reads from and writes to a socket, or a TLS session over it. A session does both in either
 * direction: it may want to write when we read. */
#include "io/redis_stream.h"

#include "base/clock.h"
#include "io/redis_socket.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <apr_strings.h>

/* The longest that a look for bytes takes. */
#define LOOK_US 1000

/* What a call on a plain socket said. blocked: what it waits for if it would block. */
static la_redis_step_e step_of_socket(ssize_t result, la_redis_step_e blocked)
{
    if (result > 0) {
        return LA_REDIS_STEP_DONE;
    }
    if (result == 0) {
        return LA_REDIS_STEP_CLOSED;
    }
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? blocked
                                                                     : LA_REDIS_STEP_FAILED;
}

static const char *reason_of(const la_redis_stream_t *stream, const char *host, int error,
                             apr_pool_t *pool)
{
    char text[120];

    errno = error;
    return stream->tls ? la_redis_tls_reason(stream->tls, host, pool)
                       : apr_pstrdup(pool, apr_strerror(error, text, sizeof(text)));
}

/* Waits for what a step wants. host: in a handshake. Returns NULL, or why it failed. */
static const char *await(const la_redis_stream_t *stream, la_redis_step_e step, const char *host,
                         apr_time_t deadline_us, apr_pool_t *pool, int *closed)
{
    int error = errno;

    *closed = step == LA_REDIS_STEP_CLOSED || step == LA_REDIS_STEP_FAILED;
    switch (step) {
    case LA_REDIS_STEP_WANTS_READ:
        return la_redis_await(stream->fd, POLLIN, deadline_us);
    case LA_REDIS_STEP_WANTS_WRITE:
        return la_redis_await(stream->fd, POLLOUT, deadline_us);
    case LA_REDIS_STEP_CLOSED:
        return "it closed the connection";
    case LA_REDIS_STEP_FAILED:
        return la_clock_us() >= deadline_us ? "timeout" : reason_of(stream, host, error, pool);
    case LA_REDIS_STEP_DONE:
        break;
    }
    return NULL;
}

/* ---- beginning and end ---- */

static const char *shake_hands(const la_redis_stream_t *stream, const char *host,
                               apr_time_t deadline_us, apr_pool_t *pool)
{
    la_redis_step_e step = LA_REDIS_STEP_FAILED;
    const char *reason = NULL;
    int closed;

    while (step != LA_REDIS_STEP_DONE && !reason) {
        step = la_redis_tls_shake_hands(stream->tls, deadline_us);
        reason = await(stream, step, host, deadline_us, pool, &closed);
    }
    return reason;
}

const char *la_redis_stream_open(la_redis_stream_t *stream, int fd, la_redis_tls_t *tls,
                                 const char *host, apr_time_t deadline_us, apr_pool_t *pool)
{
    const char *reason = NULL;

    *stream = (la_redis_stream_t){.fd = fd};
    if (tls) {
        stream->tls = la_redis_tls_begin(tls, host, fd, pool);
        reason = stream->tls ? shake_hands(stream, host, deadline_us, pool) : "out of memory";
    }
    if (reason) {
        la_redis_stream_close(stream);
    }
    return reason;
}

void la_redis_stream_close(la_redis_stream_t *stream)
{
    la_redis_tls_end(stream->tls);
    if (stream->fd >= 0) {
        close(stream->fd);
    }
    *stream = (la_redis_stream_t){.fd = -1};
}

/* ---- bytes ---- */

static la_redis_step_e write_some(const la_redis_stream_t *stream, la_slice_t bytes,
                                  apr_time_t deadline_us, apr_size_t *len)
{
    ssize_t sent;

    if (stream->tls) {
        return la_redis_tls_write(stream->tls, bytes, deadline_us, len);
    }
    sent = send(stream->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
    *len = sent > 0 ? (apr_size_t)sent : 0;
    return step_of_socket(sent, LA_REDIS_STEP_WANTS_WRITE);
}

const char *la_redis_stream_write(la_redis_stream_t *stream, la_slice_t bytes,
                                  apr_time_t deadline_us, apr_pool_t *pool, int *closed)
{
    const char *reason = NULL;

    *closed = 0;
    while (bytes.len > 0 && !reason) {
        apr_size_t len;
        la_redis_step_e step = write_some(stream, bytes, deadline_us, &len);

        bytes = (la_slice_t){bytes.data + len, bytes.len - len};
        reason = await(stream, step, NULL, deadline_us, pool, closed);
    }
    return reason;
}

static la_redis_step_e read_some(const la_redis_stream_t *stream, char *buffer, apr_size_t size,
                                 apr_time_t deadline_us, apr_size_t *len)
{
    ssize_t got;

    if (stream->tls) {
        return la_redis_tls_read(stream->tls, buffer, size, deadline_us, len);
    }
    got = recv(stream->fd, buffer, size, 0);
    *len = got > 0 ? (apr_size_t)got : 0;
    return step_of_socket(got, LA_REDIS_STEP_WANTS_READ);
}

const char *la_redis_stream_read(la_redis_stream_t *stream, char *buffer, apr_size_t size,
                                 apr_time_t deadline_us, apr_pool_t *pool, apr_size_t *len,
                                 int *closed)
{
    /* An answer takes its time: a read before it has come would be in vain. */
    la_redis_step_e step = stream->tls && la_redis_tls_has_pending(stream->tls)
                               ? LA_REDIS_STEP_DONE
                               : LA_REDIS_STEP_WANTS_READ;
    const char *reason = await(stream, step, NULL, deadline_us, pool, closed);

    *len = 0;
    while (*len == 0 && !reason) {
        step = read_some(stream, buffer, size, deadline_us, len);
        reason = await(stream, step, NULL, deadline_us, pool, closed);
    }
    return reason;
}

int la_redis_stream_is_quiet(la_redis_stream_t *stream)
{
    struct pollfd descriptor = {.fd = stream->fd, .events = POLLIN};
    apr_size_t len;
    char byte;

    if (!stream->tls) {
        return poll(&descriptor, 1, 0) == 0;
    }
    /* There may be records that bring nothing, as tickets. A byte that comes is nobody's answer. */
    return la_redis_tls_read(stream->tls, &byte, 1, la_clock_us() + LOOK_US, &len) ==
           LA_REDIS_STEP_WANTS_READ;
}

/* Reads from and writes to a socket, or a TLS session over it. OpenSSL does both in either
 * direction: a handshake may go on while we read.
 */
#include "io/redis_stream.h"

#include "base/clock.h"
#include "io/redis_socket.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <apr_strings.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

/* The longest that a look for bytes takes. */
#define LOOK_US 1000

/* How one call ended. */
typedef enum step_e {
    STEP_FAILED, /* zero */
    STEP_CLOSED, /* by the server */
    STEP_DONE,
    STEP_WANTS_READ,
    STEP_WANTS_WRITE
} step_e;

static const char *system_reason(int error, apr_pool_t *pool)
{
    char text[120];

    return apr_pstrdup(pool, apr_strerror(error, text, sizeof(text)));
}

/* What a call on a plain socket said. */
static step_e step_of_socket(ssize_t result, step_e blocked)
{
    if (result > 0) {
        return STEP_DONE;
    }
    if (result == 0) {
        return STEP_CLOSED;
    }
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? blocked : STEP_FAILED;
}

static step_e step_of_tls(SSL *tls, int result)
{
    int error = SSL_get_error(tls, result);

    if (result > 0) {
        return STEP_DONE;
    }
    if (error == SSL_ERROR_WANT_READ) {
        return STEP_WANTS_READ;
    }
    if (error == SSL_ERROR_WANT_WRITE) {
        return STEP_WANTS_WRITE;
    }
    return error == SSL_ERROR_ZERO_RETURN || (error == SSL_ERROR_SYSCALL && errno == 0)
               ? STEP_CLOSED
               : STEP_FAILED;
}

/* ---- deadlines inside OpenSSL ---- */

/* One call reads for as long as records come that bring nothing: a server that sends them without
 * end would keep a thread for ever. So each read from the socket looks at the clock. */
static long refuse_late_reads(BIO *bio, int operation, const char *buffer, size_t len, int command,
                              long argument, int result, size_t *done)
{
    const apr_time_t *deadline_us = (const void *)BIO_get_callback_arg(bio);

    (void)buffer;
    (void)len;
    (void)command;
    (void)argument;
    (void)done;
    if (operation == BIO_CB_READ && deadline_us && la_clock_us() >= *deadline_us) {
        errno = ETIMEDOUT;
        return -1;
    }
    return result;
}

/* deadline_us: must stay until the next call of this; NULL: nothing is called meanwhile. */
static void set_deadline(const la_redis_stream_t *stream, apr_time_t *deadline_us)
{
    if (stream->tls) {
        BIO_set_callback_arg(SSL_get_rbio(stream->tls), (char *)deadline_us);
    }
}

/* Forgets what earlier calls of this thread left: SSL_get_error() looks at it. */
static void clear_errors(void)
{
    ERR_clear_error();
    errno = 0;
}

/* Why the last call on the stream failed. */
static const char *reason_of(const la_redis_stream_t *stream, int error, apr_pool_t *pool)
{
    unsigned long code = stream->tls ? ERR_peek_error() : 0;
    const char *text = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    if (text) {
        return apr_pstrcat(pool, "TLS: ", text, NULL);
    }
    return code || error == 0 ? "TLS failed" : system_reason(error, pool);
}

/* Waits for what a step wants. Returns NULL, or why it failed. */
static const char *after(const la_redis_stream_t *stream, step_e step, apr_time_t deadline_us,
                         apr_pool_t *pool, int *closed)
{
    int error = errno;

    *closed = step == STEP_CLOSED || step == STEP_FAILED;
    switch (step) {
    case STEP_WANTS_READ:
        return la_redis_await(stream->fd, POLLIN, deadline_us);
    case STEP_WANTS_WRITE:
        return la_redis_await(stream->fd, POLLOUT, deadline_us);
    case STEP_CLOSED:
        return "it closed the connection";
    case STEP_FAILED:
        return la_clock_us() >= deadline_us ? "timeout" : reason_of(stream, error, pool);
    case STEP_DONE:
        break;
    }
    return NULL;
}

/* ---- beginning and end ---- */

/* Why the handshake failed: of a certificate that is not accepted, which rule. Before there is one,
 * OpenSSL says that it is fine or that it is unspecified. */
static const char *reason_of_handshake(const la_redis_stream_t *stream, const char *host,
                                       const char *reason, apr_pool_t *pool)
{
    long verdict = SSL_get_verify_result(stream->tls);

    return verdict == X509_V_OK ? reason
                                : apr_psprintf(pool, "its certificate is not accepted for %s: %s",
                                               host, X509_verify_cert_error_string(verdict));
}

static const char *shake_hands(const la_redis_stream_t *stream, const char *host,
                               apr_time_t deadline_us, apr_pool_t *pool)
{
    const char *reason = NULL;
    step_e step = STEP_FAILED;
    int closed;

    BIO_set_callback_ex(SSL_get_rbio(stream->tls), refuse_late_reads);
    set_deadline(stream, &deadline_us);
    while (step != STEP_DONE && !reason) {
        clear_errors();
        step = step_of_tls(stream->tls, SSL_connect(stream->tls));
        reason = after(stream, step, deadline_us, pool, &closed);
    }
    set_deadline(stream, NULL);
    return reason ? reason_of_handshake(stream, host, reason, pool) : NULL;
}

const char *la_redis_stream_open(la_redis_stream_t *stream, int fd, const la_redis_tls_t *tls,
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
    SSL_free(stream->tls);
    if (stream->fd >= 0) {
        close(stream->fd);
    }
    *stream = (la_redis_stream_t){.fd = -1};
}

/* ---- bytes ---- */

static step_e write_some(const la_redis_stream_t *stream, la_slice_t bytes, apr_size_t *done)
{
    ssize_t sent;

    *done = 0;
    if (stream->tls) {
        clear_errors();
        return step_of_tls(stream->tls, SSL_write_ex(stream->tls, bytes.data, bytes.len, done));
    }
    sent = send(stream->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
    *done = sent > 0 ? (apr_size_t)sent : 0;
    return step_of_socket(sent, STEP_WANTS_WRITE);
}

const char *la_redis_stream_write(la_redis_stream_t *stream, la_slice_t bytes,
                                  apr_time_t deadline_us, apr_pool_t *pool, int *closed)
{
    const char *reason = NULL;

    *closed = 0;
    set_deadline(stream, &deadline_us);
    while (bytes.len > 0 && !reason) {
        apr_size_t done;
        step_e step = write_some(stream, bytes, &done);

        bytes = (la_slice_t){bytes.data + done, bytes.len - done};
        reason = after(stream, step, deadline_us, pool, closed);
    }
    set_deadline(stream, NULL);
    return reason;
}

static step_e read_some(const la_redis_stream_t *stream, char *buffer, apr_size_t size,
                        apr_size_t *len)
{
    ssize_t got;

    *len = 0;
    if (stream->tls) {
        clear_errors();
        return step_of_tls(stream->tls, SSL_read_ex(stream->tls, buffer, size, len));
    }
    got = recv(stream->fd, buffer, size, 0);
    *len = got > 0 ? (apr_size_t)got : 0;
    return step_of_socket(got, STEP_WANTS_READ);
}

const char *la_redis_stream_read(la_redis_stream_t *stream, char *buffer, apr_size_t size,
                                 apr_time_t deadline_us, apr_pool_t *pool, apr_size_t *len,
                                 int *closed)
{
    /* An answer takes its time: a read before it has come would be in vain. */
    step_e step = stream->tls && SSL_has_pending(stream->tls) ? STEP_DONE : STEP_WANTS_READ;
    const char *reason = after(stream, step, deadline_us, pool, closed);

    *len = 0;
    set_deadline(stream, &deadline_us);
    while (*len == 0 && !reason) {
        step = read_some(stream, buffer, size, len);
        reason = after(stream, step, deadline_us, pool, closed);
    }
    set_deadline(stream, NULL);
    return reason;
}

/* A session may have got records that bring nothing, as tickets; what comes after them counts. */
static int is_quiet_tls(const la_redis_stream_t *stream)
{
    apr_time_t deadline_us = la_clock_us() + LOOK_US;
    step_e step;
    char byte;

    set_deadline(stream, &deadline_us);
    clear_errors();
    step = step_of_tls(stream->tls, SSL_peek(stream->tls, &byte, 1));
    set_deadline(stream, NULL);
    return step == STEP_WANTS_READ;
}

int la_redis_stream_is_quiet(la_redis_stream_t *stream)
{
    struct pollfd descriptor = {.fd = stream->fd, .events = POLLIN};

    return stream->tls ? is_quiet_tls(stream) : poll(&descriptor, 1, 0) == 0;
}

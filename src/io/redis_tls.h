/* TLS to Redis: certificates and keys, and sessions that verify the server. A server whose
 * certificate is not accepted gets no byte; there is no way to turn that off. It is there where
 * hiredis has TLS (LA_REDIS_TLS, set by Makefile.apxs); elsewhere la_redis_tls_make() refuses, and
 * nothing else is called. */
#pragma once

#include "base/slice.h"

#include <apr_pools.h>
#include <apr_time.h>

/* A session, of OpenSSL. */
struct ssl_st;

/* Absolute paths of PEM files. */
typedef struct la_redis_tls_files_t {
    const char *ca;   /* NULL: the system's authorities */
    const char *cert; /* of this client, with its chain; NULL: none */
    const char *key;  /* NULL: in `cert` */
} la_redis_tls_files_t;

/* What sessions are made of, OpenSSL's SSL_CTX. */
typedef struct ssl_ctx_st la_redis_tls_t;

/* How one call on a stream ended. */
typedef enum la_redis_step_e {
    LA_REDIS_STEP_FAILED, /* zero */
    LA_REDIS_STEP_CLOSED, /* by the server */
    LA_REDIS_STEP_DONE,
    LA_REDIS_STEP_WANTS_READ, /* nothing was done: again once there is something to read */
    LA_REDIS_STEP_WANTS_WRITE
} la_redis_step_e;

/* Reads the files, in the parent, which may read what its children may not. Children inherit the
 * result. tls: lives in `pool`; NULL on failure. Returns NULL, or what is wrong, beginning with the
 * word of the configuration: "cafile: ...". */
const char *la_redis_tls_make(apr_pool_t *pool, const la_redis_tls_files_t *files,
                              la_redis_tls_t **tls);

/* Begins a session over a connected socket that is not blocking. Any thread. host: a name or an
 * address; the handshake fails unless the certificate is of it. Returns NULL when there is no
 * memory. The caller ends it, and closes the socket afterwards. */
struct ssl_st *la_redis_tls_begin(la_redis_tls_t *tls, const char *host, int fd, apr_pool_t *pool);

/* One step each; none reads on after the deadline, of la_clock_us(). len: bytes that were read or
 * written. */
la_redis_step_e la_redis_tls_shake_hands(struct ssl_st *session, apr_time_t deadline_us);
la_redis_step_e la_redis_tls_read(struct ssl_st *session, char *buffer, apr_size_t size,
                                  apr_time_t deadline_us, apr_size_t *len);
la_redis_step_e la_redis_tls_write(struct ssl_st *session, la_slice_t bytes, apr_time_t deadline_us,
                                   apr_size_t *len);

/* Returns 1 if bytes wait inside the session, and the socket need not have any. */
int la_redis_tls_has_pending(const struct ssl_st *session);

/* Returns why the last step of this thread failed, in `pool` or a literal. host: after a
 * handshake, whose certificate was not accepted; else NULL. */
const char *la_redis_tls_reason(const struct ssl_st *session, const char *host, apr_pool_t *pool);

/* Frees it, and forgets what OpenSSL noted for this thread; NULL is fine. */
void la_redis_tls_end(struct ssl_st *session);

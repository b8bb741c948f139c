/* TLS to Redis: certificates and keys, and sessions that verify the server. A server whose
 * certificate is not accepted gets no byte; there is no way to turn that off.
 */
#ifndef LA_REDIS_TLS_H
#define LA_REDIS_TLS_H

#include <apr_pools.h>

struct ssl_st;

/* Absolute paths of PEM files. */
typedef struct la_redis_tls_files_t {
    const char *ca;   /* NULL: the system's authorities */
    const char *cert; /* of this client, with its chain; NULL: none */
    const char *key;  /* NULL: in `cert` */
} la_redis_tls_files_t;

typedef struct la_redis_tls_t la_redis_tls_t;

/* Reads the files, in the parent, which may read what its children may not. Children inherit the
 * result.
 *
 * tls: lives in `pool`; NULL on failure. Returns NULL, or what is wrong, beginning with the word of
 * the configuration: "cafile: ...".
 */
const char *la_redis_tls_make(apr_pool_t *pool, const la_redis_tls_files_t *files,
                              la_redis_tls_t **tls);

/* Begins a session, for SSL_connect(), which fails unless the certificate is of `host`, a name or
 * an address. Returns NULL when there is no memory. The caller frees it, and closes the socket. Any
 * thread.
 */
struct ssl_st *la_redis_tls_begin(const la_redis_tls_t *tls, const char *host, int fd,
                                  apr_pool_t *pool);

#endif

/* A client of Redis, or of anything that speaks its protocol: single commands, each with a deadline
 * that holds.
 *
 * Life cycle: la_redis_parse() while the configuration is read, la_redis_make() in each child; then
 * any number of threads. Connections are kept between commands, and replaced when they fail.
 */
#ifndef LA_REDIS_H
#define LA_REDIS_H

#include "base/slice.h"
#include "io/redis_tls.h"
#include "io/secret.h"

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

/* Length of a server's name for itself, without the closing NUL. */
#define LA_REDIS_SERVER_LEN 63

/* Where the server is and how to talk to it. */
typedef struct la_redis_options_t {
    const char *host; /* name or address; NULL for a socket */
    const char *ip;   /* what la_redis_resolve_options() found; NULL: nothing */
    int port;
    const char *path;      /* of a unix socket; NULL for TCP */
    const char *address;   /* for log and status page: host:port or unix:path, never a password */
    la_redis_tls_t *tls;   /* NULL: plain */
    const char *user;      /* NULL: only a password */
    la_secret_t *password; /* NULL: none */
    int db;
    const char *prefix;             /* of every name */
    apr_interval_time_t timeout_us; /* for a command */
    apr_interval_time_t connect_timeout_us;
} la_redis_options_t;

typedef struct la_redis_t la_redis_t;

/* How a command ended. */
typedef enum la_redis_e {
    LA_REDIS_FAILED, /* zero: not connected, timed out, or no answer that can be read */
    LA_REDIS_ERROR,  /* the server answered with an error */
    LA_REDIS_OK
} la_redis_e;

typedef enum la_redis_kind_e {
    LA_REDIS_NIL,
    LA_REDIS_TEXT,
    LA_REDIS_INTEGER,
    LA_REDIS_LIST
} la_redis_kind_e;

/* An answer, in the caller's pool. */
typedef struct la_redis_answer_t {
    la_redis_kind_e kind;
    la_slice_t text; /* also the reason of what is not OK; never a secret */
    apr_int64_t integer;
    apr_size_t count; /* of a list */
    const struct la_redis_answer_t *items;
    const char
        *server; /* run_id of the server process that answered; empty when it does not tell */
} la_redis_answer_t;

/* Reads LlamaAuthCacheShared's words: the URL, then timeout=, connect_timeout=, prefix=, and for
 * rediss:// cafile=, certfile= and keyfile=, in any order. The password is percent-decoded, and
 * then a secret's notation: file:PATH, env:NAME or literally.
 *
 * Returns NULL, or what is wrong, never with a password in it.
 */
const char *la_redis_parse(apr_pool_t *pool, int count, const char *const *words,
                           la_redis_options_t *options);

/* Looks the host's name up, at startup. Returns 1, or 0 when it has no address. */
int la_redis_resolve_options(la_redis_options_t *options, apr_pool_t *pool);

/* Makes this process's client. pool: lives as long as the process. */
apr_status_t la_redis_make(apr_pool_t *pool, const la_redis_options_t *options, int connections,
                           la_redis_t **redis);

/* Sends one command and waits for its answer, connect_timeout and timeout at most. If the server
 * has closed an idle connection, the command is sent again over a new one; it may so run twice.
 *
 * words: the command and its arguments.
 */
la_redis_e la_redis_command(la_redis_t *redis, apr_size_t count, const la_slice_t *words,
                            apr_pool_t *pool, la_redis_answer_t *answer);

/* Looks the server's name up for new connections. May take as long as the resolver, so no request's
 * thread calls it. Returns 1 when there is an address, also an old one. */
int la_redis_resolve(la_redis_t *redis);

#endif

/* Where Redis is and how to talk to it: LlamaAuthCacheShared's words. Constant once the
 * configuration is read. */
#pragma once

#include "io/redis_tls.h"
#include "io/secret.h"

#include <apr_pools.h>
#include <apr_time.h>

/* Most sentinels that may be named. */
#define LA_REDIS_SENTINELS_MAX 16

/* A host: a name or an address. */
typedef struct la_redis_host_t {
    const char *name;
    const char *ip; /* what la_redis_resolve_options() found; NULL: nothing */
    int port;
} la_redis_host_t;

typedef struct la_redis_options_t {
    la_redis_host_t host;             /* name NULL: a socket, or sentinels know */
    const char *path;                 /* of a unix socket; NULL for TCP */
    const char *master;               /* what sentinels know the server by; NULL: there are none */
    const la_redis_host_t *sentinels; /* in the order in which they are asked */
    int sentinel_count;
    const char *address;   /* for log and status page: host:port or unix:path, never a password */
    la_redis_tls_t *tls;   /* NULL: plain */
    const char *user;      /* NULL: only a password */
    la_secret_t *password; /* NULL: none */
    int db;
    const char *prefix;             /* of every name */
    apr_interval_time_t timeout_us; /* for a command */
    apr_interval_time_t connect_timeout_us;
} la_redis_options_t;

/* Reads LlamaAuthCacheShared's words: the URL, then timeout=, connect_timeout=, prefix=, and for
 * rediss:// cafile=, certfile= and keyfile=, in any order. The password is percent-decoded, and
 * then a secret's notation: file:PATH, env:NAME or literally. Returns NULL, or what is wrong, never
 * with a password in it. */
const char *la_redis_parse(apr_pool_t *pool, int count, const char *const *words,
                           la_redis_options_t *options);

/* Looks the names up, at startup. Returns 1, or 0 when none has an address. */
int la_redis_resolve_options(la_redis_options_t *options, apr_pool_t *pool);

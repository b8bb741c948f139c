/* In place of redis_tls.c where hiredis has no TLS. */
#ifndef LA_REDIS_TLS
#include "io/redis_tls.h"

const char *la_redis_tls_make(apr_pool_t *pool, const la_redis_tls_files_t *files,
                              la_redis_tls_t **tls)
{
    (void)pool;
    (void)files;
    *tls = NULL;
    return "rediss:// needs hiredis with TLS (hiredis_ssl), and this module was built without it";
}

struct ssl_st *la_redis_tls_begin(la_redis_tls_t *tls, const char *host, int fd, apr_pool_t *pool)
{
    (void)tls;
    (void)host;
    (void)fd;
    (void)pool;
    return NULL;
}

void la_redis_tls_end(struct ssl_st *session)
{
    (void)session;
}

la_redis_step_e la_redis_tls_shake_hands(struct ssl_st *session, apr_time_t deadline_us)
{
    (void)session;
    (void)deadline_us;
    return LA_REDIS_STEP_FAILED;
}

la_redis_step_e la_redis_tls_read(struct ssl_st *session, char *buffer, apr_size_t size,
                                  apr_time_t deadline_us, apr_size_t *len)
{
    (void)session;
    (void)buffer;
    (void)size;
    (void)deadline_us;
    *len = 0;
    return LA_REDIS_STEP_FAILED;
}

la_redis_step_e la_redis_tls_write(struct ssl_st *session, la_slice_t bytes, apr_time_t deadline_us,
                                   apr_size_t *len)
{
    (void)session;
    (void)bytes;
    (void)deadline_us;
    *len = 0;
    return LA_REDIS_STEP_FAILED;
}

int la_redis_tls_has_pending(const struct ssl_st *session)
{
    (void)session;
    return 0;
}

const char *la_redis_tls_reason(const struct ssl_st *session, const char *host, apr_pool_t *pool)
{
    (void)session;
    (void)host;
    (void)pool;
    return "there is no TLS";
}
#endif

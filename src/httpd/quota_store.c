/* Lends quotas the second-level cache's way to Redis, with its breaker and its deadlines. */
#include "httpd/quota_store.h"

#include "base/clock.h"
#include "httpd/child.h"
#include "lookup/remote_options.h"

#define RETRY_MAX_S 30

static la_redis_e send_command(apr_size_t count, const la_slice_t *words, apr_pool_t *pool,
                               la_redis_answer_t *answer)
{
    return la_remote_send(la_shared_get()->remote, count, words, pool, answer);
}

static const char *make_name(la_slice_t quota, const la_slice_t *counter, apr_pool_t *pool)
{
    return la_remote_counter(la_shared_get()->remote, quota, counter, pool);
}

const la_quota_store_t *la_quota_store_get(void)
{
    static const la_quota_store_t store = {send_command, make_name};

    return la_shared_get()->remote ? &store : NULL;
}

int la_quota_store_retry_s(void)
{
    la_remote_t *remote = la_shared_get()->remote;
    apr_interval_time_t wait = remote ? la_remote_retry_us(remote, la_clock_us()) : 0;
    apr_int64_t seconds = (wait + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC;

    return seconds < 1 ? 1 : seconds > RETRY_MAX_S ? RETRY_MAX_S : (int)seconds;
}

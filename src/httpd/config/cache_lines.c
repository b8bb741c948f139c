/* Reads lines of LlamaAuthCacheSize, LlamaAuthCacheShared and LlamaAuthCacheSecret. */
#include "httpd/config/cache_lines.h"

#include "base/units.h"
#include "lookup/cache.h"

#include <apr_strings.h>

#define BYTES_MAX ((apr_size_t)1 << 40)

const char *la_cache_lines_size(apr_pool_t *pool, const char *arg, la_cache_conf_t *conf)
{
    apr_size_t least = la_cache_bytes_min();

    if (strcasecmp(arg, "off") == 0) {
        conf->bytes = 0;
        return NULL;
    }
    if (!la_units_size(arg, &conf->bytes)) {
        return apr_psprintf(pool, "'%s' is no size: write 64M, 1G or off", arg);
    }
    if (conf->bytes > BYTES_MAX) {
        return apr_psprintf(pool, "%s is too large, the most is 1024G", arg);
    }
    return conf->bytes < least
               ? apr_psprintf(pool, "%s is too small, the least is %" APR_SIZE_T_FMT "K", arg,
                              (least + 1023) / 1024)
               : NULL;
}

const char *la_cache_lines_shared(apr_pool_t *pool, int count, char *const words[],
                                  la_cache_conf_t *conf)
{
    const char *error;

    if (conf->remote_seen) {
        return "may be given only once";
    }
    conf->remote_seen = 1;
    if (count == 0) {
        return "takes a URL or none";
    }
    if (count == 1 && strcasecmp(words[0], "none") == 0) {
        return NULL;
    }
    error = la_redis_parse(pool, count, (const char *const *)words, &conf->remote.redis);
    conf->remote_on = error == NULL;
    return error;
}

const char *la_cache_lines_secret(apr_pool_t *pool, const char *first, const char *older,
                                  la_cache_conf_t *conf)
{
    const char *const specs[LA_REMOTE_SECRETS] = {first, older};
    const char *error = conf->remote.secret_count > 0 ? "may be given only once" : NULL;

    for (int i = 0; i < LA_REMOTE_SECRETS && specs[i] && !error; i++) {
        error = strncmp(specs[i], "file:", 5) == 0
                    ? la_remote_secret(pool, specs[i] + 5, &conf->remote)
                    : "takes file:PATH, and file:PATH of an older one";
    }
    return error;
}

const char *la_cache_lines_check(const la_cache_conf_t *conf)
{
    if (conf->remote_on && conf->remote.secret_count == 0) {
        return "LlamaAuthCacheShared needs LlamaAuthCacheSecret, which seals what is stored there";
    }
    if (conf->remote_on && conf->bytes == 0) {
        return "LlamaAuthCacheShared needs a cache of this server's own, and LlamaAuthCacheSize is "
               "off";
    }
    return NULL;
}

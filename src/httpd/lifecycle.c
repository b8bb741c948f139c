/* The module's life in the parent: lends the lower floors httpd's functions, resets what the
 * configuration builds, and has shared memory made. post_config runs twice at startup. */
#include "httpd/hooks.h"

#include "httpd/child.h"
#include "httpd/config/config.h"
#include "httpd/config/entries.h"
#include "httpd/config/quotas.h"
#include "httpd/config/registry.h"
#include "httpd/config/signers.h"
#include "httpd/segments.h"
#include "io/server.h"

#include <ap_mpm.h>
#include <ap_regex.h>
#include <http_core.h>
#include <http_log.h>
#include <http_main.h>

APLOG_USE_MODULE(llama_auth);

static void host_log(la_log_e level, const char *line)
{
    static const int levels[] = {[LA_LOG_ERROR] = APLOG_ERR,
                                 [LA_LOG_WARNING] = APLOG_WARNING,
                                 [LA_LOG_NOTICE] = APLOG_NOTICE,
                                 [LA_LOG_INFO] = APLOG_INFO,
                                 [LA_LOG_DEBUG] = APLOG_DEBUG};

    ap_log_error(APLOG_MARK, levels[level], 0, ap_server_conf, "%s", line);
}

static const char *host_path(apr_pool_t *pool, const char *path)
{
    return ap_server_root_relative(pool, path);
}

static const void *host_regex_compile(apr_pool_t *pool, const char *pattern)
{
    return ap_pregcomp(pool, pattern, AP_REG_EXTENDED | AP_REG_NOSUB);
}

static int host_regex_match(const void *regex, la_slice_t text)
{
    return ap_regexec_len(regex, text.data, text.len, 0, NULL, 0) == 0;
}

static int host_threads(void)
{
    int threads = 0;

    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    return threads > 0 ? threads : 1;
}

static int host_workers(void)
{
    int processes = 0;

    ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &processes);
    return (processes > 0 ? processes : 1) * host_threads();
}

static const la_server_t host = {.log = host_log,
                                 .path = host_path,
                                 .regex_compile = host_regex_compile,
                                 .regex_match = host_regex_match,
                                 .threads = host_threads,
                                 .workers = host_workers};

int la_lifecycle_pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)plog;
    (void)ptemp;
    la_server_set(&host);
    la_collected_reset(pconf);
    return OK;
}

/* Looks the remote cache's server up: in the parent, since the resolver may take long. */
static void resolve_remote(server_rec *s, apr_pool_t *pconf)
{
    la_remote_options_t *options = la_config_remote(s);

    if (options && !la_redis_resolve_options(&options->redis, pconf)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     LA_LOGNO(0045) "second-level cache %s: its name has no address now",
                     options->redis.address);
    }
}

int la_lifecycle_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    (void)plog;
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK;
    }
    la_entries_label(pconf, la_collected.providers);
    la_quotas_label(pconf);
    la_entries_label(pconf, la_collected.signers);
    if (la_shared_create(ptemp, s) != APR_SUCCESS) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    for (int i = 0; i < la_registry_count(); i++) {
        const la_entry_t *entry = la_registry_at(i);

        entry->provider->index = i;
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, s, LA_LOGNO(0041) "provider %s (%s), %s:%d",
                     entry->provider->name, entry->provider->type->name, entry->filename,
                     entry->line);
    }
    la_signers_announce(s);
    if (la_registry_count() == 0) {
        return OK;
    }
    resolve_remote(s, pconf);
    return la_child_start_tasks(s, pconf) == APR_SUCCESS ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

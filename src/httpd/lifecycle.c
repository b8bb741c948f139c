/* The module's life: resets what the configuration builds, has shared memory made, readies
 * providers in each child, and lends the provider floor httpd's functions.
 *
 * pre_config and post_config run in the parent (post_config twice at startup), child_init in each
 * child before its threads.
 */
#include "httpd/lifecycle.h"

#include "httpd/config/collected.h"
#include "httpd/config/config.h"
#include "httpd/credential.h"
#include "httpd/forward.h"
#include "httpd/config/quotas.h"
#include "httpd/config/registry.h"
#include "httpd/segments.h"
#include "io/server.h"

#include <ap_mpm.h>
#include <ap_regex.h>
#include <http_core.h>
#include <http_log.h>
#include <http_main.h>
#include <mod_watchdog.h>
#include <mpm_common.h>

#include <signal.h>
#include <stdatomic.h>

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

/* Set once this child's providers are ready. */
static atomic_int ready;

/* Refreshes what a provider fetches ahead: in a thread of its own, so that a server that hangs
 * delays no other provider's fetch. */
static apr_status_t tick_provider(int state, void *data, apr_pool_t *pool)
{
    const la_provider_t *provider = data;
    apr_pool_t *scratch;

    if (state != AP_WATCHDOG_STATE_STOPPING && atomic_load(&ready)) {
        apr_pool_create(&scratch, pool);
        provider->type->tick(provider, scratch);
        apr_pool_destroy(scratch);
    }
    return APR_SUCCESS;
}

/* Asks for purges by other machines: in a thread of its own, so that no key server and no DNS
 * server keeps them. */
static apr_status_t tick_purges(int state, void *data, apr_pool_t *pool)
{
    apr_pool_t *scratch;

    (void)data;
    if (state != AP_WATCHDOG_STATE_STOPPING && atomic_load(&ready) && la_shared_get()->second) {
        apr_pool_create(&scratch, pool);
        la_remote_tick(la_shared_get()->second, apr_time_now(), scratch);
        apr_pool_destroy(scratch);
    }
    return APR_SUCCESS;
}

/* Asks DNS for the second-level cache's server, which takes as long as the resolver does. */
static apr_status_t tick_names(int state, void *data, apr_pool_t *pool)
{
    apr_pool_t *scratch;

    (void)data;
    if (state != AP_WATCHDOG_STATE_STOPPING && atomic_load(&ready) && la_shared_get()->second) {
        apr_pool_create(&scratch, pool);
        la_remote_resolve(la_shared_get()->second, scratch);
        apr_pool_destroy(scratch);
    }
    return APR_SUCCESS;
}

/* Has mod_watchdog call `tick` about once a second, in a thread of that name in each child. */
static apr_status_t start_thread(const char *name, ap_watchdog_callback_fn_t *tick, void *data,
                                 apr_pool_t *pconf)
{
    APR_OPTIONAL_FN_TYPE(ap_watchdog_get_instance) *get =
        APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_get_instance);
    APR_OPTIONAL_FN_TYPE(ap_watchdog_register_callback) *add =
        APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_register_callback);
    ap_watchdog_t *watchdog;
    apr_status_t rv = get(&watchdog, name, 0, 0, pconf);

    return rv == APR_SUCCESS ? add(watchdog, AP_WD_TM_INTERVAL, data, tick) : rv;
}

static apr_status_t start_provider_threads(apr_pool_t *pconf)
{
    const apr_array_header_t *providers = la_registry_providers();
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < providers->nelts && rv == APR_SUCCESS; i++) {
        la_provider_t *provider = APR_ARRAY_IDX(providers, i, la_provider_entry_t).provider;

        if (provider->type->tick) {
            rv = start_thread(apr_psprintf(pconf, "_llama_auth_%d_", i), tick_provider, provider,
                              pconf);
        }
    }
    return rv;
}

/* Starts what works in the background; without mod_watchdog requests do it. */
static int start_background(server_rec *s, apr_pool_t *pconf)
{
    apr_status_t rv;

    if (!APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_get_instance) ||
        !APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_register_callback)) {
        if (la_config_second(s)) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                         LA_LOGNO(0044) "without mod_watchdog purges by other machines reach this "
                                        "one with its next cache miss only");
        }
        return OK;
    }
    rv = start_provider_threads(pconf);
    if (rv == APR_SUCCESS && la_config_second(s)) {
        rv = start_thread("_llama_auth_purges_", tick_purges, NULL, pconf);
    }
    if (rv == APR_SUCCESS && la_config_second(s) && la_config_second(s)->redis.host) {
        rv = start_thread("_llama_auth_names_", tick_names, NULL, pconf);
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s,
                     LA_LOGNO(0043) "cannot register with mod_watchdog");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

static void resolve_second(server_rec *s, apr_pool_t *pconf)
{
    la_remote_options_t *options = la_config_second(s);

    if (options && !la_redis_resolve_options(&options->redis, pconf)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     LA_LOGNO(0045) "second-level cache %s: its name has no address now",
                     options->redis.address);
    }
}

int la_lifecycle_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    const apr_array_header_t *providers = la_registry_providers();
    int i;

    (void)plog;
    (void)ptemp;
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK;
    }
    la_registry_label(pconf);
    la_quotas_label(pconf);
    if (la_shared_create(pconf, s) != APR_SUCCESS) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    for (i = 0; i < providers->nelts; i++) {
        const la_provider_entry_t *entry = &APR_ARRAY_IDX(providers, i, la_provider_entry_t);

        entry->provider->index = i;
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, s, LA_LOGNO(0041) "provider %s (%s), %s:%d",
                     entry->provider->name, entry->provider->type->name, entry->filename,
                     entry->line);
    }
    if (providers->nelts == 0) {
        return OK;
    }
    resolve_second(s, pconf);
    return start_background(s, pconf);
}

/* A pool that lives as long as the process. httpd destroys pchild while threads may still be in the
 * middle of a call (in prefork even inside a signal handler), so nothing that a call uses may be in
 * it; the kernel takes everything back a moment later. */
static apr_status_t immortal_pool(apr_pool_t **pool)
{
    static apr_pool_t *immortal;
    apr_status_t rv = apr_pool_create_unmanaged_ex(&immortal, NULL, NULL);

    *pool = immortal;
    return rv;
}

static apr_status_t ready_providers(server_rec *s)
{
    const apr_array_header_t *providers = la_registry_providers();
    apr_pool_t *process;
    apr_status_t rv = immortal_pool(&process);
    int i;

    if (rv == APR_SUCCESS && providers->nelts > 0) {
        rv = la_http_child_init(process);
    }
    if (rv == APR_SUCCESS) {
        rv = la_shared_attach(process, s);
    }
    for (i = 0; i < providers->nelts && rv == APR_SUCCESS; i++) {
        la_provider_t *provider = APR_ARRAY_IDX(providers, i, la_provider_entry_t).provider;

        rv = la_provider_child_init(provider, process, la_shared_get()->gates,
                                    la_shared_get()->workers);
    }
    return rv;
}

/* Prefork's children end inside the handlers of these signals, which must not find libcurl or
 * libcrypto half ready. */
static void hold_signals(sigset_t *before)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, AP_SIG_GRACEFUL);
    sigaddset(&signals, AP_SIG_GRACEFUL_STOP);
    pthread_sigmask(SIG_BLOCK, &signals, before);
}

void la_lifecycle_child_init(apr_pool_t *pchild, server_rec *s)
{
    sigset_t before;
    apr_status_t rv;

    (void)pchild;
    hold_signals(&before);
    rv = ready_providers(s);
    if (rv != APR_SUCCESS) {
        /* Without its clients this child would refuse everybody; httpd starts another. */
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, LA_LOGNO(0042) "cannot ready the providers");
        exit(APEXIT_CHILDSICK);
    }
    atomic_store(&ready, 1);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

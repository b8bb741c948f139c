/* child_init runs before the child's threads. */
#include "httpd/child.h"

#include "httpd/assertions.h"
#include "httpd/config/config.h"
#include "httpd/config/registry.h"
#include "httpd/segments.h"
#include "io/server.h"

#include <http_log.h>
#include <mod_watchdog.h>
#include <mpm_common.h>

#include <signal.h>
#include <stdatomic.h>

APLOG_USE_MODULE(llama_auth);

/* How long a child that ends waits for its background threads. */
#define STOP_WAIT_US APR_TIME_C(500000)
#define STOP_STEP_US 1000

static struct {
    la_shared_t shared;
    apr_pool_t *pool; /* lives as long as the process */
    la_proof_keys_t *proof_keys;
    atomic_int is_ready; /* from the end of child_init until the child ends */
    atomic_int running;  /* background tasks that run now */
} child;

const la_shared_t *la_shared_get(void)
{
    return &child.shared;
}

la_proof_keys_t *la_child_proof_keys(void)
{
    return child.proof_keys;
}

/* Returns 1 when a background task may run; then `running` has to be lowered. */
static int enter(void)
{
    atomic_fetch_add(&child.running, 1);
    if (atomic_load(&child.is_ready)) {
        return 1;
    }
    atomic_fetch_sub(&child.running, 1);
    return 0;
}

/* Lets no task begin, and waits for those that run. mod_watchdog's threads outlive pchild, and
 * exit() destroys libcrypto's state under them. */
static apr_status_t stop_tasks(void *unused)
{
    int waited;

    (void)unused;
    atomic_store(&child.is_ready, 0);
    for (waited = 0; atomic_load(&child.running) > 0 && waited < STOP_WAIT_US;
         waited += STOP_STEP_US) {
        apr_sleep(STOP_STEP_US);
    }
    return APR_SUCCESS;
}

static void ask_for_purges(apr_pool_t *scratch)
{
    la_remote_tick(child.shared.remote, apr_time_now(), scratch);
}

static void look_for_server(apr_pool_t *scratch)
{
    la_remote_watch(child.shared.remote, scratch);
}

/* What runs about once a second in a thread of its own, in each child: each may wait for a server
 * and must not delay the others. */
typedef struct task_t {
    void (*run)(apr_pool_t *scratch);
    const la_provider_t *provider; /* whose tick runs; NULL: run() does */
} task_t;

/* scratch: mod_watchdog clears it after the call. */
static apr_status_t run_task(int state, void *data, apr_pool_t *scratch)
{
    const task_t *task = data;

    if (state == AP_WATCHDOG_STATE_RUNNING && enter()) {
        if (task->provider) {
            task->provider->type->tick(task->provider, scratch);
        } else {
            task->run(scratch);
        }
        atomic_fetch_sub(&child.running, 1);
    }
    return APR_SUCCESS;
}

static apr_status_t start_task(const char *thread, task_t task, apr_pool_t *pconf)
{
    APR_OPTIONAL_FN_TYPE(ap_watchdog_get_instance) *get =
        APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_get_instance);
    APR_OPTIONAL_FN_TYPE(ap_watchdog_register_callback) *add =
        APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_register_callback);
    ap_watchdog_t *watchdog;
    apr_status_t rv = get(&watchdog, thread, 0, 0, pconf);

    return rv == APR_SUCCESS
               ? add(watchdog, AP_WD_TM_INTERVAL, apr_pmemdup(pconf, &task, sizeof(task)), run_task)
               : rv;
}

static apr_status_t start_provider_tasks(apr_pool_t *pconf)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < la_registry_count() && rv == APR_SUCCESS; i++) {
        task_t task = {.provider = la_registry_at(i)->provider};

        if (task.provider->type->tick) {
            rv = start_task(apr_psprintf(pconf, "_llama_auth_%d_", i), task, pconf);
        }
    }
    return rv;
}

apr_status_t la_child_start_tasks(server_rec *s, apr_pool_t *pconf)
{
    const la_remote_options_t *remote = la_config_remote(s);
    apr_status_t rv;

    if (!APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_get_instance) ||
        !APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_register_callback)) {
        if (remote) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                         LA_LOGNO(0044) "without mod_watchdog purges by other machines reach this "
                                        "one with its next cache miss only");
        }
        return APR_SUCCESS;
    }
    rv = start_provider_tasks(pconf);
    if (rv == APR_SUCCESS && remote) {
        rv = start_task("_llama_auth_purges_", (task_t){.run = ask_for_purges}, pconf);
    }
    if (rv == APR_SUCCESS && remote && !remote->redis.path) {
        rv = start_task("_llama_auth_names_", (task_t){.run = look_for_server}, pconf);
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s,
                     LA_LOGNO(0043) "cannot register with mod_watchdog");
    }
    return rv;
}

/* Fills in what providers and requests work with. It is in a pool of its own, which is never
 * destroyed: httpd destroys pchild while threads may be in the middle of a call (in prefork even
 * inside a signal handler), and the kernel takes everything back a moment later. */
static apr_status_t ready_providers(server_rec *s)
{
    apr_status_t rv = apr_pool_create_unmanaged_ex(&child.pool, NULL, NULL);

    if (rv == APR_SUCCESS && la_registry_count() > 0) {
        rv = la_http_child_init(child.pool);
        child.proof_keys = la_proof_keys_make(child.pool);
    }
    rv = rv == APR_SUCCESS ? la_shared_attach(child.pool, s, &child.shared) : rv;
    for (int i = 0; i < la_registry_count() && rv == APR_SUCCESS; i++) {
        rv = la_provider_child_init(la_registry_at(i)->provider, child.pool, child.shared.gates,
                                    child.shared.workers);
    }
    if (rv == APR_SUCCESS) {
        rv = la_assertions_child_init(child.pool, la_registry_count() > 0 ? la_shared_life() : NULL,
                                      child.shared.stats);
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

void la_child_init(apr_pool_t *pchild, server_rec *s)
{
    sigset_t before;
    apr_status_t rv;

    hold_signals(&before);
    rv = ready_providers(s);
    if (rv != APR_SUCCESS) {
        /* Without its clients this child would refuse everybody; httpd starts another. */
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, LA_LOGNO(0042) "cannot ready the providers");
        exit(APEXIT_CHILDSICK);
    }
    atomic_store(&child.is_ready, 1);
    apr_pool_pre_cleanup_register(pchild, NULL, stop_tasks);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

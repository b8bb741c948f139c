/* The `static` provider: API keys in a file. Owns the file's life, from startup through every
 * change, and the verdict on a key; the file's form is static_keys.c's.
 *
 * The first version is read while the configuration is read, in the parent. Each child process
 * inherits it and looks for changes itself, on the request path, since it may have been forked much
 * later.
 *
 * Two locks. `reload` is held by the one thread that looks whether the file has changed and, if so,
 * reads it; the others wait for it, so that nobody is answered from a version that is known to be
 * old. `readers` is held shared by a look-up, until what it found is copied, and exclusively for
 * the moment in which the new table takes the old one's place; no writer starves, as new readers
 * queue at `reload` then.
 */
#include "provider/provider.h"

#include "io/file.h"
#include "io/server.h"
#include "provider/static_keys.h"

#include <stddef.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_thread_mutex.h>
#include <apr_thread_rwlock.h>

/* Largest key file. */
#define FILE_LIMIT_BYTES ((apr_size_t)64 * 1024 * 1024)

#define MESSAGE_INVALID "Invalid API key"

/* The keys in force and where they come from. */
typedef struct store_t {
    const la_provider_common_t *common;
    la_file_t *file;     /* guarded by `reload` */
    apr_pool_t *version; /* holds `keys`; guarded by `readers`, as they are */
    la_static_keys_t *keys;
    apr_thread_mutex_t *reload; /* both NULL until the child process exists */
    apr_thread_rwlock_t *readers;
} store_t;

typedef struct static_conf_t {
    const char *path;
    store_t *store;
} static_conf_t;

#define CONF(field) offsetof(static_conf_t, field)

static const la_option_t static_options[] = {{"File", la_option_path, CONF(path), 1, 1, 0, "PATH"},
                                             LA_OPTION_END};

/* ---- the file ---- */

/* Puts a new version in the old one's place, which is `version` then. */
static const char *swap(store_t *store, apr_pool_t **version, la_static_keys_t *keys)
{
    apr_pool_t *old = store->version;

    if (store->readers && apr_thread_rwlock_wrlock(store->readers) != APR_SUCCESS) {
        return "cannot be put in force: the lock failed";
    }
    store->version = *version;
    store->keys = keys;
    *version = old;
    if (store->readers) {
        apr_thread_rwlock_unlock(store->readers);
    }
    return NULL;
}

/* Reads the file into a version of its own and puts it in force if it is sound. Returns NULL, or
 * what is wrong, in `pool`. */
static const char *load(store_t *store, apr_pool_t *pool)
{
    apr_pool_t *version = la_file_version_pool(pool);
    apr_pool_t *scratch = la_file_version_pool(pool); /* far larger than what comes of it */
    la_static_keys_t *keys = NULL;
    la_slice_t text;
    const char *error = la_file_read(store->file, scratch, &text);

    if (!error) {
        error = la_static_keys_parse(text, store->common, version, scratch, &keys);
    }
    if (!error) {
        error = swap(store, &version, keys);
    }
    if (error) {
        error = apr_pstrcat(pool, la_file_path(store->file), ": ", error, NULL);
    }
    apr_pool_destroy(scratch);
    if (version) {
        apr_pool_destroy(version);
    }
    return error;
}

/* Reads the file again if it has changed. */
static void refresh(store_t *store, apr_time_t now, apr_pool_t *pool)
{
    const char *error;

    apr_thread_mutex_lock(store->reload);
    if (la_file_changed(store->file, now)) {
        error = load(store, pool);
        if (error) {
            la_log(LA_LOG_ERROR, LA_LOGNO(0003) "%s; the keys read before stay in force", error);
        } else {
            la_log(LA_LOG_INFO, LA_LOGNO(0004) "%s: read again, %u keys", la_file_path(store->file),
                   la_static_keys_count(store->keys));
        }
    }
    apr_thread_mutex_unlock(store->reload);
}

static apr_status_t drop_version(void *data)
{
    store_t *store = data;

    if (store->version) {
        apr_pool_destroy(store->version);
        store->version = NULL;
    }
    return APR_SUCCESS;
}

static const char *static_finish(la_provider_t *provider, apr_pool_t *pool)
{
    static_conf_t *conf = provider->conf;
    const char *error;
    store_t *store;

    if (!conf->path) {
        return "File is missing";
    }
    store = apr_pcalloc(pool, sizeof(*store));
    store->common = &provider->common;
    store->file = la_file_make(pool, conf->path, FILE_LIMIT_BYTES);
    conf->store = store;
    apr_pool_cleanup_register(pool, store, drop_version, apr_pool_cleanup_null);
    error = load(store, pool);
    return error ? apr_pstrcat(pool, "File: ", error, NULL) : NULL;
}

/* Says so early when this process, which runs as httpd's User, cannot read what the parent could.
 */
static void check_readable(const char *path, apr_pool_t *pool)
{
    int fd;
    const char *error = la_file_open(pool, path, &fd);

    if (error) {
        la_log(LA_LOG_WARNING,
               LA_LOGNO(0005) "%s: %s: changes to it, revocations too, will not be seen before a "
                              "restart",
               path, error);
        return;
    }
    close(fd);
}

static apr_status_t static_child_init(const la_provider_t *provider, apr_pool_t *pchild,
                                      void **state)
{
    static_conf_t *conf = provider->conf;
    store_t *store = conf->store;
    apr_status_t rv = apr_thread_mutex_create(&store->reload, APR_THREAD_MUTEX_DEFAULT, pchild);

    if (rv == APR_SUCCESS) {
        rv = apr_thread_rwlock_create(&store->readers, pchild);
    }
    if (rv == APR_SUCCESS) {
        check_readable(conf->path, pchild);
        *state = store;
    }
    return rv;
}

/* ---- the verdict ---- */

static void judge(const la_cache_key_t *key, apr_time_t now, apr_pool_t *pool, la_result_t *result)
{
    if (!key) {
        result->verdict = LA_VERDICT_NOT_MINE;
        result->message = MESSAGE_INVALID;
        result->reason = "not in the key file";
    } else if (key->expires != 0 && now >= key->expires) {
        result->verdict = LA_VERDICT_REJECTED;
        result->message = MESSAGE_INVALID;
        result->reason = apr_psprintf(pool, "the key %s has expired", key->label);
    } else {
        result->identity = apr_pmemdup(pool, key->identity, la_identity_size(key->identity));
        result->expires = key->expires;
        result->verdict = LA_VERDICT_ACCEPTED;
    }
}

static void static_verify(const la_provider_t *provider, const la_call_t *call, apr_pool_t *pool,
                          la_result_t *result)
{
    store_t *store = provider->child->state;

    refresh(store, call->now, pool);
    if (apr_thread_rwlock_rdlock(store->readers) != APR_SUCCESS) {
        result->verdict = LA_VERDICT_UNAVAILABLE;
        result->message = LA_MESSAGE_ERROR;
        result->reason = "the key file's lock failed";
        return;
    }
    judge(la_static_keys_find(store->keys, call->digest), call->now, pool, result);
    apr_thread_rwlock_unlock(store->readers);
}

static const char *static_hint(const la_provider_t *provider, apr_pool_t *pool)
{
    (void)provider;
    (void)pool;
    return "Authentication required. Please provide your API key as a Bearer token in the "
           "Authorization header";
}

const la_provider_type_t la_static_type = {
    .name = "static",
    .options = static_options,
    .conf_bytes = sizeof(static_conf_t),
    .finish = static_finish,
    .child_init = static_child_init,
    .verify = static_verify,
    .hint = static_hint,
};

/* The `static` provider: API keys in a file. Owns the verdict on a key; static_keys.c reads the
 * file's form, reload.c notices a new version.
 *
 * The file is read while the configuration is read, in the parent. Each child inherits that version
 * and follows the file itself, in its request threads.
 */
#include "provider/provider.h"

#include "base/timestamp.h"
#include "io/reload.h"
#include "provider/static_keys.h"

#include <stddef.h>

#include <apr_strings.h>

/* Largest key file. */
#define FILE_LIMIT_BYTES ((apr_size_t)64 * 1024 * 1024)

#define MESSAGE_INVALID "Invalid API key"

typedef struct static_conf_t {
    const char *path;
    la_reload_t *keys; /* of la_static_keys_t */
} static_conf_t;

#define CONF(field) offsetof(static_conf_t, field)

static const la_option_t static_options[] = {{"File", la_option_path, CONF(path), 1, 1, 0, "PATH"},
                                             LA_OPTION_END};

static const char *parse_keys(void *context, la_slice_t text, apr_pool_t *pool, apr_pool_t *scratch,
                              const void **value)
{
    const la_provider_t *provider = context;
    la_static_keys_t *keys;
    const char *error = la_static_keys_parse(text, &provider->common, pool, scratch, &keys);

    *value = keys;
    return error;
}

static const char *static_finish(la_provider_t *provider, apr_pool_t *pool)
{
    static_conf_t *conf = provider->conf;
    const char *error;

    if (!conf->path) {
        return "File is missing";
    }
    conf->keys = la_reload_make(pool, conf->path, FILE_LIMIT_BYTES, parse_keys, provider);
    error = la_reload_read(conf->keys, pool);
    return error ? apr_pstrcat(pool, "File: ", error, NULL) : NULL;
}

static apr_status_t static_child_init(const la_provider_t *provider, apr_pool_t *pchild,
                                      void **state)
{
    const static_conf_t *conf = provider->conf;

    (void)state;
    la_reload_check_readable(conf->keys, pchild);
    return APR_SUCCESS;
}

static void judge(const static_conf_t *conf, const la_api_key_t *key, apr_time_t now,
                  apr_pool_t *pool, la_result_t *result)
{
    if (!key) {
        la_result_set(result, LA_VERDICT_NOT_MINE, MESSAGE_INVALID,
                      apr_pstrcat(pool, "no key of ", conf->path, " has its SHA-256", NULL));
    } else if (key->expires != 0 && now >= key->expires) {
        la_result_set(result, LA_VERDICT_REJECTED, MESSAGE_INVALID,
                      apr_psprintf(pool, "the key %s expired at %s", key->label,
                                   la_timestamp_text(pool, key->expires)));
    } else {
        result->identity = apr_pmemdup(pool, key->identity, la_identity_size(key->identity));
        result->expires = key->expires;
        result->verdict = LA_VERDICT_ACCEPTED;
    }
}

static void static_verify(const la_provider_t *provider, const la_call_t *call, apr_pool_t *pool,
                          la_result_t *result)
{
    const static_conf_t *conf = provider->conf;
    const la_static_keys_t *keys;
    unsigned held;

    la_reload_look(conf->keys, call->now);
    keys = la_reload_hold(conf->keys, &held);
    judge(conf, la_static_keys_find(keys, call->digest), call->now, pool, result);
    la_reload_release(conf->keys, held);
}

const la_provider_type_t la_static_type = {
    .name = "static",
    .hint = "Authentication required. Please provide your API key as a Bearer token in the "
            "Authorization header",
    .options = static_options,
    .conf_bytes = sizeof(static_conf_t),
    .finish = static_finish,
    .child_init = static_child_init,
    .verify = static_verify,
};

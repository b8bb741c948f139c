/* The `static` provider: API keys in a file. Owns the verdict on a key; static_keys.c reads the
 * file's form, reload.c notices a new version.
 *
 * The file is read while the configuration is read, in the parent. Each child inherits that version
 * and follows the file itself, in its request threads.
 */
#include "provider/provider.h"

#include "io/reload.h"
#include "provider/api_key.h"
#include "provider/static_keys.h"

#include <stddef.h>

#include <apr_strings.h>

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
    la_static_keys_form_t form = {.common = &provider->common};
    la_static_keys_t *keys;
    const char *error = la_static_keys_parse(text, &form, pool, scratch, &keys);

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
    conf->keys = la_reload_make(pool, conf->path, LA_STATIC_KEYS_BYTES, parse_keys, provider);
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

/* Why a key of the file is refused, or NULL. */
static const char *find_refusal(const la_api_key_t *key, const la_call_t *call, apr_pool_t *pool)
{
    const char *refusal = la_static_keys_refusal(key, call->now, pool);

    if (!refusal && !la_static_keys_is_from(key, call->client_ip)) {
        refusal = apr_pstrcat(pool, "is not accepted from ",
                              call->client_ip ? call->client_ip : "nowhere", NULL);
    }
    return refusal;
}

static const char *explain_unknown(const static_conf_t *conf, const la_call_t *call,
                                   apr_pool_t *pool)
{
    if (la_api_key_form(call->token) == LA_API_KEY_MISTYPED) {
        return "it is a mistyped key, its check digits are wrong";
    }
    return apr_pstrcat(pool, "no key of ", conf->path, " has its SHA-256", NULL);
}

static void judge(const static_conf_t *conf, const la_api_key_t *key, const la_call_t *call,
                  apr_pool_t *pool, la_result_t *result)
{
    const char *refusal = key ? find_refusal(key, call, pool) : NULL;

    if (!key) {
        la_result_set(result, LA_VERDICT_NOT_MINE, MESSAGE_INVALID,
                      explain_unknown(conf, call, pool));
    } else if (refusal) {
        la_result_set(result, LA_VERDICT_REJECTED, MESSAGE_INVALID,
                      apr_psprintf(pool, "the key %s %s", key->label, refusal));
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
    judge(conf, la_static_keys_find(keys, call->digest), call, pool, result);
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

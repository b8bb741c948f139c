/* The `static` provider: API keys in a file. Owns the verdict on a key; static_keys.c reads the
 * file's form, reload.c notices a new version. The file is read while the configuration is read, in
 * the parent. Each child inherits that version and follows the file, in its request threads. */
#include "provider/provider.h"

#include "io/reload.h"
#include "provider/api_key.h"
#include "provider/key_uses.h"
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
    const la_api_key_t *key;
    unsigned held;

    la_reload_look(conf->keys, call->now);
    keys = la_reload_hold(conf->keys, &held);
    key = la_static_keys_find(keys, call->digest);
    judge(conf, key, call, pool, result);
    if (result->verdict == LA_VERDICT_ACCEPTED && provider->segment) {
        la_key_uses_note(provider->segment, key->mark, call->now);
    }
    la_reload_release(conf->keys, held);
}

static la_key_report_t report_key(const la_provider_t *provider, const la_api_key_t *key,
                                  apr_time_t now, apr_pool_t *pool)
{
    return (la_key_report_t){
        .id = apr_pstrdup(pool, key->label),
        .entry = key->entry,
        .disabled = key->disabled,
        .ends_soon = la_static_keys_ends_soon(key, now, LA_KEYS_SOON_US),
        .not_before = key->not_before,
        .expires = key->expires,
        .used = provider->segment ? la_key_uses_last(provider->segment, key->mark) : 0};
}

static const la_keys_report_t *static_report_keys(const la_provider_t *provider, apr_time_t now,
                                                  apr_pool_t *pool)
{
    const static_conf_t *conf = provider->conf;
    la_keys_report_t *report = apr_pcalloc(pool, sizeof(*report));
    const apr_array_header_t *all;
    unsigned held;

    report->keys = apr_array_make(pool, 16, sizeof(la_key_report_t));
    la_reload_look(conf->keys, now);
    all = la_static_keys_all(la_reload_hold(conf->keys, &held));
    report->count = all->nelts;
    for (int i = 0; i < all->nelts; i++) {
        const la_api_key_t *key = APR_ARRAY_IDX(all, i, const la_api_key_t *);

        report->ending += la_static_keys_ends_soon(key, now, LA_KEYS_SOON_US);
        if (i < LA_KEYS_REPORTED) {
            APR_ARRAY_PUSH(report->keys, la_key_report_t) = report_key(provider, key, now, pool);
        }
    }
    la_reload_release(conf->keys, held);
    return report;
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
    .shared_bytes = la_key_uses_bytes,
    .report_keys = static_report_keys,
};

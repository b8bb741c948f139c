/* What all providers share: the registry of types, common options, results, a chain's verdict. */
#include "provider/provider.h"

#include "io/server.h"
#include "provider/discovery.h"
#include "provider/mask.h"

#include <apr_strings.h>

#include <stddef.h>

#define DEFAULT_TIMEOUT_US         (10 * APR_USEC_PER_SEC)
#define DEFAULT_CONNECT_TIMEOUT_US (3 * APR_USEC_PER_SEC)
#define DEFAULT_RESPONSE_LIMIT     ((apr_size_t)1024 * 1024)
#define DEFAULT_TTL_US             (300 * APR_USEC_PER_SEC)
#define DEFAULT_NEGATIVE_TTL_US    (10 * APR_USEC_PER_SEC)
#define DEFAULT_MAX_CONCURRENT     64
#define DEFAULT_BREAKER            ((la_breaker_t){5, 10 * APR_USEC_PER_SEC})

const la_vary_t la_vary_nothing = {0};

const char *const la_oauth_principal_claims[] = {"sub", "username", "client_id", NULL};

/* Only scopes are split: a user name with a blank in it is not two roles. */
const la_claim_map_t la_oauth_claims[] = {{"sub", "roles", LA_CLAIM_WHOLE},
                                          {"username", "roles", LA_CLAIM_WHOLE},
                                          {"groups", "teams", LA_CLAIM_WHOLE},
                                          {"team", "teams", LA_CLAIM_WHOLE},
                                          {"project", "projects", LA_CLAIM_WHOLE},
                                          {"tenant", "namespaces", LA_CLAIM_WHOLE},
                                          {"namespace", "namespaces", LA_CLAIM_WHOLE},
                                          {"scope", LA_CATEGORY_SCOPES, LA_CLAIM_SPLIT},
                                          {"scp", LA_CATEGORY_SCOPES, LA_CLAIM_SPLIT},
                                          {NULL, NULL, LA_CLAIM_WHOLE}};

/* The registry. */
static const la_provider_type_t *const types[] = {&la_custom_type,
                                                  &la_kubernetes_type,
                                                  &la_introspection_type,
                                                  &la_jwt_type,
                                                  &la_github_type,
                                                  &la_static_type,
                                                  NULL};

#define COMMON(field) offsetof(la_provider_common_t, field)

static const la_option_t common_options[] = {
    {"Claim", la_option_claim, COMMON(claims), 2, 3, 1, "SOURCE CATEGORY [split|keys]"},
    {"PrincipalClaim", la_option_words, COMMON(principal_claims), 1, -1, 0, "NAME..."},
    {"Match", la_option_regex, COMMON(match), 1, 1, 0, "REGEX"},
    LA_OPTION_END};

/* For types whose verdicts are cached. */
static const la_option_t cache_options[] = {
    {"CacheTTL", la_option_duration, COMMON(cache_ttl_us), 1, 1, 0, "DURATION"},
    {"CacheNegativeTTL", la_option_duration, COMMON(cache_negative_ttl_us), 1, 1, 0, "DURATION"},
    {"CacheStale", la_option_duration, COMMON(cache_stale_us), 1, 1, 0, "DURATION"},
    {"CacheVary", la_option_vary, COMMON(vary), 1, -1, 0, "FIELD..."},
    LA_OPTION_END};

/* For types that have an endpoint. */
static const la_option_t http_options[] = {
    {"MaxConcurrent", la_option_permits, COMMON(max_concurrent), 1, 1, 0, "N"},
    {"Breaker", la_option_breaker, COMMON(breaker), 1, 2, 0, "FAILURES DURATION"},
    {"Timeout", la_option_positive_duration, COMMON(http.timeout_us), 1, 1, 0, "DURATION"},
    {"ConnectTimeout", la_option_positive_duration, COMMON(http.connect_timeout_us), 1, 1, 0,
     "DURATION"},
    {"TLSCAFile", la_option_certificates, COMMON(http.tls_ca_file), 1, 1, 0, "PATH"},
    {"TLSVerify", la_option_on_off, COMMON(http.tls_verify), 1, 1, 0, "on|off"},
    {"TLSCertFile", la_option_certificates, COMMON(http.tls_cert_file), 1, 1, 0, "PATH"},
    {"TLSKeyFile", la_option_readable_file, COMMON(http.tls_key_file), 1, 1, 0, "PATH"},
    {"ResponseLimit", la_option_size, COMMON(http.response_limit_bytes), 1, 1, 0, "SIZE"},
    {"Proxy", la_option_proxy, COMMON(http.proxy), 1, 1, 0, "URL"},
    LA_OPTION_END};

/* For types that read what a token is bound to. */
static const la_option_t binding_options[] = {
    {"Binding", la_option_choice, COMMON(binding), 1, 1, 0, "check|require|dpop|mtls|ignore"},
    {"DPoPNonce", la_option_on_off, COMMON(dpop_nonce), 1, 1, 0, "on|off"},
    LA_OPTION_END};

const la_provider_type_t *la_provider_type_find(const char *name)
{
    for (int i = 0; types[i]; i++) {
        if (strcasecmp(types[i]->name, name) == 0) {
            return types[i];
        }
    }
    return NULL;
}

apr_array_header_t *la_provider_type_names(apr_pool_t *pool)
{
    apr_array_header_t *names = apr_array_make(pool, 8, sizeof(const char *));

    for (int i = 0; types[i]; i++) {
        APR_ARRAY_PUSH(names, const char *) = types[i]->name;
    }
    return names;
}

static void set_defaults(la_provider_common_t *common, const la_provider_type_t *type)
{
    common->http.timeout_us = DEFAULT_TIMEOUT_US;
    common->http.connect_timeout_us = DEFAULT_CONNECT_TIMEOUT_US;
    common->http.response_limit_bytes = DEFAULT_RESPONSE_LIMIT;
    common->http.tls_verify = 1;
    common->cache_ttl_us = DEFAULT_TTL_US;
    common->cache_negative_ttl_us = DEFAULT_NEGATIVE_TTL_US;
    common->max_concurrent = DEFAULT_MAX_CONCURRENT;
    common->breaker = DEFAULT_BREAKER;
    common->binding = type->can_bind ? LA_BINDING_CHECK : LA_BINDING_IGNORE;
    if (type->cache_vary) {
        common->vary = *type->cache_vary;
    }
}

la_provider_t *la_provider_make(apr_pool_t *pool, const char *name, const la_provider_type_t *type)
{
    la_provider_t *provider = apr_pcalloc(pool, sizeof(*provider));

    provider->name = apr_pstrdup(pool, name);
    provider->type = type;
    provider->hint = type->hint;
    provider->conf = apr_pcalloc(pool, type->conf_bytes);
    provider->definition = apr_psprintf(pool, "%s %s\n", type->name, name);
    provider->options_seen = apr_array_make(pool, 8, sizeof(const la_option_t *));
    set_defaults(&provider->common, type);
    if (type->defaults) {
        type->defaults(provider->conf);
    }
    return provider;
}

static const la_option_t no_options[] = {LA_OPTION_END};

#define TABLES 5

/* The option tables of a type, its own first. */
static void list_tables(const la_provider_type_t *type, const la_option_t *tables[TABLES])
{
    tables[0] = type->options;
    tables[1] = common_options;
    tables[2] = type->cache_vary ? cache_options : no_options;
    tables[3] = type->calls_out ? http_options : no_options;
    tables[4] = type->can_bind ? binding_options : no_options;
}

/* Finds an option of the provider. base: the struct that its offset counts from. */
static const la_option_t *find_option(la_provider_t *provider, const char *name, void **base)
{
    const la_option_t *tables[TABLES];
    const la_option_t *option = NULL;

    list_tables(provider->type, tables);
    for (int i = 0; i < TABLES && !option; i++) {
        option = la_option_find(tables[i], name);
        *base = i == 0 ? provider->conf : &provider->common;
    }
    return option;
}

static const char *unknown_option(const la_provider_t *provider, apr_pool_t *pool, const char *name)
{
    apr_array_header_t *names = apr_array_make(pool, 32, sizeof(const char *));
    const la_option_t *tables[TABLES];
    const char *nearest;

    list_tables(provider->type, tables);
    for (int i = 0; i < TABLES; i++) {
        for (const la_option_t *option = tables[i]; option->name; option++) {
            APR_ARRAY_PUSH(names, const char *) = option->name;
        }
    }
    nearest = la_option_nearest(names, name);
    if (nearest) {
        return apr_psprintf(pool, "%s is not an option of a %s provider, did you mean %s?", name,
                            provider->type->name, nearest);
    }
    return apr_psprintf(pool, "%s is not an option of a %s provider; it has %s", name,
                        provider->type->name, apr_array_pstrcat(pool, names, ' '));
}

int la_provider_is_set(const la_provider_t *provider, const char *name)
{
    const apr_array_header_t *seen = provider->options_seen;

    for (int i = 0; i < seen->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(seen, i, const la_option_t *)->name, name) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Adds a line to the definition, with lengths, so that no two lines give one text. */
static void add_to_definition(la_provider_t *provider, apr_pool_t *pool, const la_option_t *option,
                              int count, const char *const *words)
{
    provider->definition = apr_pstrcat(pool, provider->definition, option->name, NULL);
    for (int i = 0; i < count; i++) {
        provider->definition = apr_psprintf(pool, "%s %" APR_SIZE_T_FMT ":%s", provider->definition,
                                            strlen(words[i]), words[i]);
    }
    provider->definition = apr_pstrcat(pool, provider->definition, "\n", NULL);
    APR_ARRAY_PUSH(provider->options_seen, const la_option_t *) = option;
}

void la_provider_warn_of_plain_http(const la_provider_t *provider, const char *option,
                                    const la_url_t *url)
{
    if (url->url && la_discovery_is_exposed(url)) {
        la_log(
            LA_LOG_WARNING,
            LA_LOGNO(0006) "provider %s: %s is plain http to another machine: whoever listens on "
                           "the way reads tokens, whoever can answer decides who your users are",
            provider->name, option);
    }
}

void la_provider_set_issuer(la_provider_t *provider, const char *issuer, const char *else_hint,
                            apr_pool_t *pool)
{
    const char *authority;

    provider->hint =
        apr_pstrcat(pool, "Authentication required. Please provide a valid OAuth2 Bearer token ",
                    issuer ? "from " : else_hint, issuer, NULL);
    if (issuer && !la_discovery_issuer_check(pool, issuer, &authority)) {
        provider->issuer = issuer;
    }
}

const char *la_provider_set(la_provider_t *provider, apr_pool_t *pool, const char *name, int count,
                            const char *const *words)
{
    void *base;
    const la_option_t *option = find_option(provider, name, &base);
    const char *error;

    if (!option) {
        return unknown_option(provider, pool, name);
    }
    if (count < option->min_words || (option->max_words >= 0 && count > option->max_words)) {
        return apr_psprintf(pool, "%s takes %s", option->name, option->help);
    }
    if (!option->repeatable && la_provider_is_set(provider, option->name)) {
        return apr_psprintf(pool, "%s may be given only once", option->name);
    }
    add_to_definition(provider, pool, option, count, words);
    error = option->parse(&(la_option_line_t){pool, option, base, count, words});
    return error ? apr_psprintf(pool, "%s: %s", option->name, error) : NULL;
}

const char *la_provider_shown(la_provider_t *provider, apr_pool_t *pool, const char *name,
                              int count, const char *const *words)
{
    void *base;
    const la_option_t *option = find_option(provider, name, &base);

    return option ? la_mask_option(pool, option->help, count, words) : NULL;
}

/* Without Claim and PrincipalClaim lines the type's defaults hold, if it has any. */
static void set_default_claims(la_provider_common_t *common, const la_provider_type_t *type,
                               apr_pool_t *pool)
{
    if (type->claims && !common->claims) {
        common->claims = apr_array_make(pool, 16, sizeof(la_claim_map_t));
        for (const la_claim_map_t *map = type->claims; map->source; map++) {
            APR_ARRAY_PUSH(common->claims, la_claim_map_t) = *map;
        }
    }
    if (type->principal_claims && !common->principal_claims) {
        common->principal_claims = apr_array_make(pool, 4, sizeof(const char *));
        for (const char *const *name = type->principal_claims; *name; name++) {
            APR_ARRAY_PUSH(common->principal_claims, const char *) = *name;
        }
    }
}

/* Returns NULL, or why the options about bound tokens do not fit together. */
static const char *check_binding(const la_provider_t *provider)
{
    const la_provider_common_t *common = &provider->common;

    if (common->dpop_nonce && common->binding == LA_BINDING_IGNORE) {
        return "DPoPNonce has no use with Binding ignore: no proof is looked at";
    }
    return common->binding == LA_BINDING_DPOP && !la_provider_proof_algorithms(provider)
               ? "Binding dpop with Algorithms that cannot sign a proof: name one with a public "
                 "key, "
                 "as ES256"
               : NULL;
}

const char *la_provider_finish(la_provider_t *provider, apr_pool_t *pool)
{
    const la_http_options_t *http = &provider->common.http;
    la_slice_t definition = {provider->definition, strlen(provider->definition)};
    const char *error = check_binding(provider);

    if (error) {
        return error;
    }
    if (la_digest_sha256(definition, provider->fingerprint) != APR_SUCCESS) {
        return "libcrypto failed";
    }
    if (!http->tls_verify) {
        la_log(
            LA_LOG_WARNING,
            LA_LOGNO(
                0001) "provider %s: TLSVerify is off: whoever can answer in its endpoint's place "
                      "decides who your users are",
            provider->name);
    }
    set_default_claims(&provider->common, provider->type, pool);
    return provider->type->finish(provider, pool);
}

apr_status_t la_provider_child_init(la_provider_t *provider, apr_pool_t *pchild, la_gates_t *gates,
                                    la_workers_t *workers)
{
    const la_provider_type_t *type = provider->type;
    la_provider_child_t *child = apr_pcalloc(pchild, sizeof(*child));
    apr_status_t rv = APR_SUCCESS;

    child->gates = gates;
    child->workers = workers;
    provider->child = child;
    if (type->calls_out) {
        rv = la_http_make(pchild, &provider->common.http, la_host()->threads(), &child->http);
    }
    if (rv == APR_SUCCESS && type->child_init) {
        rv = type->child_init(provider, pchild, &child->state);
    }
    return rv;
}

int la_provider_matches(const la_provider_t *provider, la_slice_t token)
{
    const void *match = provider->common.match;

    return !match || la_host()->regex_match(match, token);
}

la_jwa_set_t la_provider_proof_algorithms(const la_provider_t *provider)
{
    const la_provider_type_t *type = provider->type;

    return (type->algorithms ? type->algorithms(provider) : LA_JWA_DEFAULT) & ~LA_JWA_HMAC;
}

const char *la_source_name(la_source_e source)
{
    static const char *const names[] = {
        [LA_SOURCE_OFF] = "off",      [LA_SOURCE_HIT] = "hit",
        [LA_SOURCE_MISS] = "miss",    [LA_SOURCE_NEGATIVE] = "negative",
        [LA_SOURCE_STALE] = "stale",  [LA_SOURCE_COALESCED] = "coalesced",
        [LA_SOURCE_SHARED] = "shared"};

    return names[source];
}

const char *la_verdict_name(la_verdict_e verdict)
{
    static const char *const names[] = {[LA_VERDICT_UNAVAILABLE] = "unavailable",
                                        [LA_VERDICT_NOT_MINE] = "not_mine",
                                        [LA_VERDICT_REJECTED] = "rejected",
                                        [LA_VERDICT_ACCEPTED] = "accepted"};

    return names[verdict];
}

void la_result_set(la_result_t *result, la_verdict_e verdict, const char *message,
                   const char *reason)
{
    result->verdict = verdict;
    result->message = message;
    result->reason = reason;
}

void la_provider_verify(const la_provider_t *provider, const la_call_t *call, apr_pool_t *pool,
                        la_result_t *result)
{
    *result = (la_result_t){0};
    provider->type->verify(provider, call, pool, result);
    if (result->verdict == LA_VERDICT_ACCEPTED && !result->identity) {
        *result =
            (la_result_t){.message = LA_MESSAGE_ERROR, .reason = "accepted without an identity"};
    }
    if (result->verdict == LA_VERDICT_ACCEPTED) { /* what is cached has to tell it too */
        result->identity = la_identity_ending(pool, result->identity, result->expires);
    }
}

/* How much a verdict weighs in a chain. */
static int weight(const la_result_t *result)
{
    switch (result->verdict) {
    case LA_VERDICT_NOT_MINE:
        return result->message ? 1 : 0;
    case LA_VERDICT_REJECTED:
        return 2;
    case LA_VERDICT_UNAVAILABLE:
        return 3;
    case LA_VERDICT_ACCEPTED:
        return 4;
    }
    return 3;
}

/* What was wrong with the proof is told whichever provider rejects the token after it. */
int la_chain_add(la_chain_t *chain, const la_provider_t *provider, const la_result_t *result)
{
    la_proof_fault_e proof =
        result->proof > chain->result.proof ? result->proof : chain->result.proof;

    if (!chain->provider || weight(result) >= weight(&chain->result)) {
        chain->provider = provider;
        chain->result = *result;
    }
    chain->result.proof = proof;
    return result->verdict == LA_VERDICT_ACCEPTED;
}

const la_result_t *la_chain_end(la_chain_t *chain)
{
    if (chain->provider && chain->result.verdict == LA_VERDICT_NOT_MINE) {
        chain->result.verdict = LA_VERDICT_REJECTED;
        if (!chain->result.message) {
            chain->result.message = "Invalid token";
        }
    }
    return &chain->result;
}

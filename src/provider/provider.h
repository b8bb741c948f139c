/* A provider validates a token and says who the caller is. One struct for each <LlamaAuthProvider>
 * section, one vtable for each type. While the configuration is read: la_provider_make(),
 * la_provider_set() for each line, la_provider_finish() at the section's end. Then the struct is
 * constant. In each child: la_provider_child_init(). In any thread: la_provider_verify(). */
#pragma once

#include "access/claims.h"
#include "access/identity.h"
#include "base/digest.h"
#include "io/http.h"
#include "jose/jwa.h"
#include "provider/option.h"

typedef struct la_provider_t la_provider_t;
typedef struct la_provider_type_t la_provider_type_t;
typedef struct la_cache_key_memo_t la_cache_key_memo_t;
typedef struct la_gates_t la_gates_t;
typedef struct la_workers_t la_workers_t;

/* The four verdicts of spec section 4. Zero admits nobody and blames nobody. */
typedef enum la_verdict_e {
    LA_VERDICT_UNAVAILABLE,
    LA_VERDICT_NOT_MINE,
    LA_VERDICT_REJECTED,
    LA_VERDICT_ACCEPTED
} la_verdict_e;

/* What a provider is told of a request, valid during the call. */
typedef struct la_call_t {
    la_slice_t token;
    const unsigned char *digest; /* la_digest_sha256() of the token */
    apr_time_t now;        /* when the check began: a slow client's request may be much older */
    const char *path;      /* decoded */
    const char *query;     /* as it came, without `?`; NULL if there is none */
    const char *client_ip; /* as text */
    const apr_table_t *headers;          /* all of the request's fields */
    const apr_array_header_t *hidden[2]; /* of const char *: fields that may hold tokens; or NULL */
    const char *resource;      /* LlamaAuthResource: an audience that is ours here; NULL for none */
    la_cache_key_memo_t *memo; /* lookup.h; NULL: nothing is remembered */
} la_call_t;

/* What a client is told of an outage, unless the type has other words. */
#define LA_MESSAGE_TIMEOUT "Authentication service timeout"
#define LA_MESSAGE_ERROR   "Authentication service error"

/* Why a verdict is `unavailable`: what the breaker and the cache make of it. */
typedef enum la_cause_e {
    LA_CAUSE_PROVIDER, /* zero: the provider failed: no connection, a time-out, 5xx, 429 */
    LA_CAUSE_ANSWER,   /* it is up, but its answer is no verdict on this token */
    LA_CAUSE_REQUEST,  /* it was not asked, because of what this request is */
    LA_CAUSE_TOKEN     /* nobody can tell yet: the sender may have made up what the token names */
} la_cause_e;

/* Where a result comes from: the note llama_auth.cache. */
typedef enum la_source_e {
    LA_SOURCE_OFF,
    LA_SOURCE_HIT,
    LA_SOURCE_MISS,
    LA_SOURCE_NEGATIVE,
    LA_SOURCE_STALE,
    LA_SOURCE_COALESCED,
    LA_SOURCE_SHARED /* the second-level cache */
} la_source_e;

/* What was wrong with the proof of a bound token (RFC 9449): it decides the challenge. Of several
 * in a chain the last one here counts. */
typedef enum la_proof_fault_e {
    LA_PROOF_FINE, /* zero: nothing, or no proof was looked at */
    LA_PROOF_BAD,
    LA_PROOF_NONCE /* it needs a nonce of ours */
} la_proof_fault_e;

/* What a provider says. Starts zeroed; every pointer lives in the call's pool or longer. */
typedef struct la_result_t {
    la_verdict_e verdict;
    la_cause_e cause;              /* unavailable */
    int timed_out;                 /* unavailable: because of a timeout */
    int unusable;                  /* rejected: the answer's identity cannot be used */
    la_proof_fault_e proof;        /* rejected by la_binding_check() */
    int status;                    /* of the provider's last answer, for the log; 0 if none came */
    int followed;                  /* learned from another request's call, which has told the log */
    const char *message;           /* for the client, unless accepted */
    const char *reason;            /* for the log; never a token or a secret; may be NULL */
    const la_identity_t *identity; /* accepted: not NULL */
    apr_time_t expires;            /* accepted: the end of its use; 0 for none */
    int max_age_known;             /* accepted: the provider bounds the caching, by max_age_us */
    apr_interval_time_t max_age_us;
    int retry_after_s;  /* unavailable: when to ask again; 0 if unknown */
    apr_uint64_t epoch; /* the type's epoch() that it was judged by; not kept under another one */
    la_source_e source; /* set by la_lookup() */
} la_result_t;

/* Binding: what a token's `cnf` demands (spec section 16), in the order of the option's help. */
typedef enum la_binding_e {
    LA_BINDING_CHECK,   /* zero: what the token is bound to must be proven */
    LA_BINDING_REQUIRE, /* and each token must be bound */
    LA_BINDING_DPOP,    /* by `jkt` */
    LA_BINDING_MTLS,    /* by `x5t#S256` */
    LA_BINDING_IGNORE   /* `cnf` is not looked at */
} la_binding_e;

/* Options that every type has; `http` only the types that call out. */
typedef struct la_provider_common_t {
    apr_array_header_t *claims;           /* of la_claim_map_t; NULL: the type has its own way */
    apr_array_header_t *principal_claims; /* of const char *; NULL: likewise */
    const void *match;                    /* for la_host()->regex_match; NULL matches all */
    la_http_options_t http;
    apr_interval_time_t cache_ttl_us;          /* CacheTTL; 0: no acceptance is kept */
    apr_interval_time_t cache_negative_ttl_us; /* CacheNegativeTTL; 0: no rejection is kept */
    apr_interval_time_t cache_stale_us;        /* CacheStale */
    la_vary_t vary;                            /* CacheVary */
    apr_uint32_t max_concurrent;               /* MaxConcurrent */
    la_breaker_t breaker;                      /* Breaker */
    la_binding_e binding; /* Binding; LA_BINDING_IGNORE for a type that knows no `cnf` */
    int dpop_nonce;       /* DPoPNonce: a proof must hold a nonce of ours */
} la_provider_common_t;

/* What a child process has of a provider. Set before its threads start, then constant; what the
 * pointers lead to locks itself. */
typedef struct la_provider_child_t {
    la_http_t *http;       /* NULL for a type that calls nobody */
    la_gates_t *gates;     /* of all providers; NULL in tests of one provider */
    la_workers_t *workers; /* likewise */
    void *state;           /* what type->child_init() made; NULL if the type needs none */
} la_provider_child_t;

/* What is configured: constant after startup. */
struct la_provider_t {
    const char *name;
    const la_provider_type_t *type;
    la_provider_common_t common;
    void *conf;       /* the type's own options: type->conf_bytes, zeroed, then type->defaults() */
    const char *hint; /* what a client without a token is told: spec section 5 */
    const char *issuer;                         /* RFC 9728's authorization server, or NULL */
    const char *definition;                     /* the section's lines, unambiguously */
    unsigned char fingerprint[LA_DIGEST_BYTES]; /* of the definition */
    apr_array_header_t *options_seen; /* of const la_option_t *: to refuse a second line */
    /* Set at startup, once all providers are read. */
    int index;         /* its place among all providers, and its counters' */
    int gate;          /* of its calls; the same after a restart */
    int document_gate; /* of its document's fetches */
    void *segment;     /* type->shared_bytes(), shared by all processes, 64-byte aligned; or NULL */
    const la_provider_child_t *child; /* this process's; NULL in the parent */
};

/* One key of a key file, as people are shown it. */
typedef struct la_key_report_t {
    const char *id; /* or "keys[3]" */
    int entry;      /* its place among the entries of its id, from 1 */
    int disabled;
    int ends_soon;         /* within LA_KEYS_SOON_US, and no other key of its id lasts longer */
    apr_time_t not_before; /* 0: always */
    apr_time_t expires;    /* 0: never */
    apr_time_t used;       /* last; 0: unknown */
} la_key_report_t;

/* The keys of a key file. */
typedef struct la_keys_report_t {
    int count;
    int ending;               /* how many end soon */
    apr_array_header_t *keys; /* of la_key_report_t, the first LA_KEYS_REPORTED */
} la_keys_report_t;

#define LA_KEYS_SOON_DAYS 14
#define LA_KEYS_SOON_US   (APR_TIME_C(LA_KEYS_SOON_DAYS) * 86400 * APR_USEC_PER_SEC)
#define LA_KEYS_REPORTED  500

struct la_provider_type_t {
    const char *name;           /* as it is written in the configuration */
    const char *hint;           /* provider->hint, unless finish() sets another */
    const la_option_t *options; /* its own, offsets into `conf` */
    apr_size_t conf_bytes;
    int calls_out;    /* has an endpoint: HTTP options, MaxConcurrent and Breaker apply */
    int judges_alone; /* verify() calls nobody for a token: needs no permit, and is not waited for
                       */
    int can_bind;     /* reads what a token is bound to: Binding and DPoPNonce apply */
    int checks_audience;                 /* verdicts depend on la_call_t.resource */
    const la_vary_t *cache_vary;         /* CacheVary's default; NULL: nothing is cached */
    const la_claim_map_t *claims;        /* Claim's default, closed with a NULL source; or NULL */
    const char *const *principal_claims; /* PrincipalClaim's default, closed with NULL; or NULL */

    /* Bytes of provider->segment: zeroed at first, kept over restarts if the definition is the
     * same. May be NULL. */
    apr_size_t (*shared_bytes)(void);

    /* Sets defaults in a zeroed `conf`. May be NULL. */
    void (*defaults)(void *conf);

    /* Checks the options together, and does what startup can do. pool: lives as long as the
     * configuration. Returns NULL, or what is wrong. */
    const char *(*finish)(la_provider_t *provider, apr_pool_t *pool);

    /* Makes what the type keeps in a child process: provider->child->state. May be NULL. */
    apr_status_t (*child_init)(const la_provider_t *provider, apr_pool_t *pchild, void **state);

    /* Validates a token. result: zeroed; its identity and texts live in `pool`. Any thread. */
    void (*verify)(const la_provider_t *provider, const la_call_t *call, apr_pool_t *pool,
                   la_result_t *result);

    /* A number that changes when earlier verdicts no longer hold: the cache does not serve those of
     * another epoch. Each request asks, so it must be cheap. May be NULL. */
    apr_uint64_t (*epoch)(const la_provider_t *provider, apr_time_t now);

    /* A background thread of each process calls it about once a second. May be NULL. */
    void (*tick)(const la_provider_t *provider, apr_pool_t *scratch);

    /* The signature algorithms that it accepts of tokens. NULL: jwt's default. */
    la_jwa_set_t (*algorithms)(const la_provider_t *provider);

    /* Reports the keys of its key file, in `pool`. May be NULL. */
    const la_keys_report_t *(*report_keys)(const la_provider_t *provider, apr_time_t now,
                                           apr_pool_t *pool);
};

/* The types. A new one is a new file, a line here and a line in the registry (provider.c). */
extern const la_provider_type_t la_custom_type;
extern const la_provider_type_t la_kubernetes_type;
extern const la_provider_type_t la_introspection_type;
extern const la_provider_type_t la_jwt_type;
extern const la_provider_type_t la_github_type;
extern const la_provider_type_t la_static_type;

/* CacheVary's default of most types: a verdict depends on the token alone. */
extern const la_vary_t la_vary_nothing;

/* What introspection and jwt map by default. */
extern const la_claim_map_t la_oauth_claims[];
extern const char *const la_oauth_principal_claims[];

/* The type of that name (any case), or NULL. */
const la_provider_type_t *la_provider_type_find(const char *name);

/* Names of all types: array of const char * in `pool`. */
apr_array_header_t *la_provider_type_names(apr_pool_t *pool);

/* Makes a provider with its type's defaults in `pool`, which copies the name. */
la_provider_t *la_provider_make(apr_pool_t *pool, const char *name, const la_provider_type_t *type);

/* Sets one option from its line. Returns NULL, or the whole message: an unknown option with the
 * nearest valid name, a wrong number of arguments, a second line, or what the parser says. */
const char *la_provider_set(la_provider_t *provider, apr_pool_t *pool, const char *option,
                            int count, const char *const *words);

/* The arguments of an option as mod_info may show them, in `pool`; NULL if they hold no secret. */
const char *la_provider_shown(la_provider_t *provider, apr_pool_t *pool, const char *option,
                              int count, const char *const *words);

/* Warns if others can read and answer calls to the option's URL, if one is set. For finish(). */
void la_provider_warn_of_plain_http(const la_provider_t *provider, const char *option,
                                    const la_url_t *url);

/* Sets the hint and the issuer of a type whose tokens an OAuth2 server issues. For finish().
 * issuer: a name that is no URL is told to clients only; NULL: unknown. else_hint: then in its
 * place. */
void la_provider_set_issuer(la_provider_t *provider, const char *issuer, const char *else_hint,
                            apr_pool_t *pool);

/* Checks the section as a whole. Returns NULL, or what is wrong. */
const char *la_provider_finish(la_provider_t *provider, apr_pool_t *pool);

/* Makes provider->child, before the child's threads start. gates, workers: this process's. */
apr_status_t la_provider_child_init(la_provider_t *provider, apr_pool_t *pchild, la_gates_t *gates,
                                    la_workers_t *workers);

/* Whether the provider's Match fits the token. */
int la_provider_matches(const la_provider_t *provider, la_slice_t token);

/* Whether the section has a line of that option. For finish(). */
int la_provider_is_set(const la_provider_t *provider, const char *option);

/* The algorithms with which a DPoP proof may be signed: those with a public key among the
 * provider's Algorithms; for a type without this option those of jwt's default. May be 0. */
la_jwa_set_t la_provider_proof_algorithms(const la_provider_t *provider);

/* The name of a verdict, for log and metrics. */
const char *la_verdict_name(la_verdict_e verdict);

/* The name of a source, as the note llama_auth.cache has it. */
const char *la_source_name(la_source_e source);

/* Sets a verdict. message: for the client; reason: for the log, or NULL. */
void la_result_set(la_result_t *result, la_verdict_e verdict, const char *message,
                   const char *reason);

/* Asks the provider, without any cache. An acceptance without an identity, which only a defect can
 * make, becomes an outage. result: zeroed here. */
void la_provider_verify(const la_provider_t *provider, const la_call_t *call, apr_pool_t *pool,
                        la_result_t *result);

/* Makes one verdict of a chain's (spec section 4). Starts zeroed. */
typedef struct la_chain_t {
    const la_provider_t *provider; /* whose result it is; NULL while nobody was asked */
    la_result_t result;
} la_chain_t;

/* Adds the next provider's result. Returns 1 if the chain ends here (accepted), else 0. */
int la_chain_add(la_chain_t *chain, const la_provider_t *provider, const la_result_t *result);

/* The chain's result once every provider was asked; never not-mine. */
const la_result_t *la_chain_end(la_chain_t *chain);

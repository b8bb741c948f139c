/* Checks bindings. dpop.c says whether a proof is right, client_uri.c what the client asked for,
 * lookup/proofs.c whether the proof was shown before. In request threads. */
#include "httpd/binding.h"

#include "httpd/child.h"
#include "httpd/client_uri.h"
#include "io/server.h"
#include "jose/dpop.h"
#include "jose/thumbprint.h"
#include "lookup/nonce.h"
#include "lookup/proofs.h"

#include <apr_strings.h>
#include <http_log.h>
#include <http_ssl.h>

APLOG_USE_MODULE(llama_auth);

#define MESSAGE "Invalid token binding"

/* The client's proof and what was found out about it, in the pool of the first request. */
typedef struct la_shown_proof_t {
    la_dpop_t proof;
    const char *fault;      /* why it cannot be read, or NULL */
    const char *jkt;        /* that it was verified for; NULL: not yet */
    la_jwa_set_t allowed;   /* by which algorithms */
    const char *unverified; /* why that failed, or NULL */
    int is_remembered;      /* it was asked for, with this result: */
    la_replay_e memory;
} la_shown_proof_t;

/* ---- what is in use ---- */

int la_binding_takes_dpop(const request_rec *r, const la_use_t *use)
{
    for (int i = 0; i < use->count; i++) {
        if (use->providers[i]->common.binding != LA_BINDING_IGNORE) {
            return r->proxyreq != PROXYREQ_PROXY;
        }
    }
    return 0;
}

static int demands_key(const la_provider_t *provider)
{
    return provider->common.binding == LA_BINDING_REQUIRE ||
           provider->common.binding == LA_BINDING_DPOP;
}

static la_jwa_set_t algorithms_of(const la_use_t *use)
{
    la_jwa_set_t set = 0;

    for (int i = 0; i < use->count; i++) {
        if (use->providers[i]->common.binding != LA_BINDING_IGNORE) {
            set |= la_provider_proof_algorithms(use->providers[i]);
        }
    }
    return set;
}

/* ---- reading the proof ---- */

typedef struct fields_t {
    const char *value; /* of the first one */
    int count;
} fields_t;

static int count_field(void *data, const char *name, const char *value)
{
    fields_t *fields = data;

    (void)name;
    fields->value = fields->count++ > 0 ? fields->value : value;
    return 1;
}

/* httpd joins fields of one name by a comma and a blank, which no proof has. */
static const char *find_proof(request_rec *r, la_slice_t *text)
{
    fields_t fields = {0};

    apr_table_do(count_field, &fields, la_request_fields(r), "DPoP", NULL);
    *text = la_slice_of(fields.value);
    if (fields.count == 0) {
        return "there is no field DPoP";
    }
    return fields.count > 1 || strpbrk(fields.value, ", \t") ? "the field DPoP came more than once"
                                                             : NULL;
}

static la_shown_proof_t *read_proof(request_rec *r)
{
    request_rec *first = la_request_first(r);
    la_request_t *state = la_request_make(first);
    la_slice_t text;

    if (!state->proof) {
        state->proof = apr_pcalloc(first->pool, sizeof(*state->proof));
        state->proof->fault = find_proof(r, &text);
        if (!state->proof->fault) {
            state->proof->fault =
                la_dpop_parse(first->pool, la_child_proof_keys(), text, &state->proof->proof);
        }
    }
    return state->proof;
}

/* ---- nonces ---- */

/* Puts a new nonce among the fields of the answer, whatever that will be. Those of a subrequest
 * would come beside them (ap_internal_fast_redirect()). */
static void send_nonce(request_rec *r, apr_time_t now)
{
    char *nonce = apr_palloc(la_request_first(r)->pool, LA_NONCE_LEN + 1);

    while (r->main) {
        r = r->main;
    }
    la_nonce_make(la_shared_get(), now, nonce);
    if (*nonce) {
        apr_table_setn(r->err_headers_out, "DPoP-Nonce", nonce);
    }
}

static const char *check_nonce(request_rec *r, la_slice_t nonce, apr_time_t now)
{
    if (!nonce.data) {
        return "nonce is missing, and DPoPNonce is on";
    }
    switch (la_nonce_check(la_shared_get(), nonce, now)) {
    case LA_NONCE_BAD:
        return "nonce is not one of ours, or it has ended";
    case LA_NONCE_ENDS_SOON:
        send_nonce(r, now);
        break;
    case LA_NONCE_GOOD:
        break;
    }
    return NULL;
}

/* ---- the proof ---- */

/* Verifies the proof, once for the same key and the same algorithms. */
static const char *check_signature(request_rec *r, la_shown_proof_t *shown, la_jwa_set_t allowed,
                                   const char *jkt)
{
    if (!shown->jkt || shown->allowed != allowed || strcmp(shown->jkt, jkt) != 0) {
        apr_pool_t *pool = la_request_first(r)->pool;

        shown->jkt = apr_pstrdup(pool, jkt);
        shown->allowed = allowed;
        shown->unverified =
            la_dpop_verify(pool, la_child_proof_keys(), &shown->proof, allowed, jkt);
    }
    return shown->unverified;
}

/* The caller's name. made: room for one that the provider does not give. */
static la_slice_t name_of(const la_identity_t *identity, const la_call_t *call,
                          char made[LA_TOKEN_PRINCIPAL_LEN + 1])
{
    la_slice_t principal = la_identity_principal(identity);
    char id[LA_CLIENT_ID_LEN + 1];

    if (principal.len > 0) {
        return principal;
    }
    la_token_client_id(call->digest, id);
    la_token_principal(id, made);
    return la_slice_of(made);
}

/* Remembers the proof. It is the caller's, however many keys he has: new ones cost him nothing. */
static la_replay_e remember(request_rec *r, const la_shown_proof_t *shown,
                            const la_provider_t *provider, la_slice_t caller, apr_time_t now)
{
    unsigned char digest[LA_DIGEST_BYTES];
    la_replay_item_t item = {
        .digest = digest,
        .owner = {{(const char *)provider->fingerprint, sizeof(provider->fingerprint)}, caller},
        .issued = shown->proof.iat,
        .until = la_dpop_until(&shown->proof)};

    return la_dpop_digest(&shown->proof, shown->jkt, digest) == APR_SUCCESS
               ? la_proofs_remember(la_shared_get(), &item, now, r->pool)
               : LA_REPLAY_REFUSED;
}

/* Looks whether the proof is new, once for all requests that come of the client's. */
static const char *check_memory(request_rec *r, la_shown_proof_t *shown,
                                const la_provider_t *provider, la_slice_t caller, apr_time_t now)
{
    if (!shown->is_remembered) {
        shown->is_remembered = 1;
        shown->memory = remember(r, shown, provider, caller, now);
    }
    switch (shown->memory) {
    case LA_REPLAY_NEW:
        return NULL;
    case LA_REPLAY_SEEN:
        return "its jti was seen before";
    case LA_REPLAY_OLD:
        return "it is older than the memory of proofs, which began anew";
    case LA_REPLAY_OVER:
        return "its caller's proofs have taken their share of the memory for those that end in "
               "the same minute";
    case LA_REPLAY_FULL:
    case LA_REPLAY_REFUSED:
        break;
    }
    return "it cannot be remembered, so it cannot be accepted";
}

/* Checks the request's proof for a token. fault: set on failure. Returns NULL, or the reason. */
static const char *check_proof(request_rec *r, const la_provider_t *provider, const la_call_t *call,
                               const la_identity_t *identity, la_proof_fault_e *fault)
{
    char made[LA_TOKEN_PRINCIPAL_LEN + 1];
    la_shown_proof_t *shown = read_proof(r);
    const la_request_t *first = la_request_get(la_request_first(r));
    apr_time_t now = apr_time_now(); /* the provider may have taken its time */
    la_dpop_terms_t terms = {.algorithms = la_provider_proof_algorithms(provider),
                             .method = first->client_method ? first->client_method : "",
                             .uri = la_client_uri_text(r),
                             .is_own = la_client_uri_is,
                             .context = r,
                             .token = call->digest,
                             .now = now};
    const char *reason = shown->fault;

    *fault = LA_PROOF_BAD;
    reason = reason ? reason : la_dpop_check(r->pool, &shown->proof, &terms);
    if (!reason && provider->common.dpop_nonce) {
        reason = check_nonce(r, shown->proof.nonce, now);
        *fault = reason ? LA_PROOF_NONCE : LA_PROOF_BAD;
    }
    reason = reason ? reason
                    : check_signature(r, shown, terms.algorithms,
                                      la_identity_confirmation(identity)->jkt);
    return reason ? reason : check_memory(r, shown, provider, name_of(identity, call, made), now);
}

/* ---- the binding ---- */

/* The TLS client certificate; NULL without TLS, without mod_ssl or its like, and without one.
 * The handshake has proven that the client has the certificate's key, whoever signed it: mod_ssl's
 * `SSLVerifyClient optional_no_ca` lets self-signed ones through (RFC 8705 section 2.2). A resumed
 * session has the certificate of the session that it resumes. It is read again for each request,
 * because `SSLVerifyClient` of a section can ask for one while the connection lives. */
static const char *certificate_of(request_rec *r)
{
    conn_rec *c =
        r->connection; /* a stream of HTTP/2 has its own, and mod_ssl finds the client's */

    return ap_ssl_conn_is_ssl(c->master ? c->master : c)
               ? ap_ssl_var_lookup(r->pool, r->server, c, r, "SSL_CLIENT_CERT")
               : NULL;
}

static const char *check_certificate(request_rec *r, const char *expected)
{
    char own[LA_THUMBPRINT_LEN + 1];

    if (!la_certificate_thumbprint(la_slice_of(certificate_of(r)), own)) {
        return "there is no TLS client certificate, and the token is bound to one";
    }
    return strcmp(own, expected) == 0
               ? NULL
               : apr_psprintf(r->pool,
                              "the TLS client certificate is %s, expected the one that the token "
                              "is bound to, %s",
                              own, expected);
}

static const char *check_members(const la_provider_t *provider, uint32_t members)
{
    if (members & LA_CONFIRM_UNKNOWN) {
        return "its cnf has a member that is not known, or is none";
    }
    switch (provider->common.binding) {
    case LA_BINDING_REQUIRE:
        return members ? NULL : "it has no cnf, and Binding is require";
    case LA_BINDING_DPOP:
        return members & LA_CONFIRM_JKT ? NULL : "its cnf has no jkt, and Binding is dpop";
    case LA_BINDING_MTLS:
        return members & LA_CONFIRM_X5T ? NULL : "its cnf has no x5t#S256, and Binding is mtls";
    case LA_BINDING_CHECK:
    case LA_BINDING_IGNORE:
        break;
    }
    return NULL;
}

static const char *check(request_rec *r, const la_provider_t *provider, const la_call_t *call,
                         la_scheme_e scheme, const la_identity_t *identity, la_proof_fault_e *fault)
{
    const la_confirmation_t *confirmation = la_identity_confirmation(identity);
    uint32_t members = confirmation ? confirmation->members : 0;
    const char *reason = check_members(provider, members);

    if (!reason && scheme == LA_SCHEME_DPOP && !(members & LA_CONFIRM_JKT)) {
        reason = "its cnf has no jkt, and it came by the scheme DPoP";
    }
    if (!reason && (members & LA_CONFIRM_X5T)) {
        reason = check_certificate(r, confirmation->x5t_s256);
    }
    if (reason || !(members & LA_CONFIRM_JKT)) {
        return reason;
    }
    if (scheme != LA_SCHEME_DPOP) {
        *fault = LA_PROOF_BAD;
        return "it is bound to a key (jkt), and did not come by the scheme DPoP";
    }
    return check_proof(r, provider, call, identity, fault);
}

static void reject(la_result_t *result, la_proof_fault_e fault, const char *reason)
{
    la_result_set(result, LA_VERDICT_REJECTED, MESSAGE, reason);
    result->identity = NULL;
    result->proof = fault;
}

void la_binding_check(request_rec *r, const la_provider_t *provider, const la_call_t *call,
                      la_scheme_e scheme, la_result_t *result)
{
    la_proof_fault_e fault = LA_PROOF_FINE;
    const char *reason = NULL;

    if (result->verdict != LA_VERDICT_ACCEPTED) {
        return;
    }
    if (provider->common.binding != LA_BINDING_IGNORE) {
        reason = check(r, provider, call, scheme, result->identity, &fault);
    } else if (scheme == LA_SCHEME_DPOP) {
        reason = "it came by the scheme DPoP, and this provider does not look at cnf";
    }
    if (reason) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                      LA_LOGNO(0390) "provider %s accepts the token, but its binding does not "
                                     "hold: %s",
                      provider->name, reason);
        reject(result, fault, apr_psprintf(r->pool, "Binding: %s", reason));
    }
}

/* ---- the challenge ---- */

static int any(const la_use_t *use, int (*test)(const la_provider_t *provider))
{
    int i;

    for (i = 0; i < use->count && !test(use->providers[i]); i++) {}
    return i < use->count;
}

static int demands_nonce(const la_provider_t *provider)
{
    return provider->common.dpop_nonce && provider->common.binding != LA_BINDING_IGNORE;
}

/* RFC 9449 section 7.1 and 9. NULL for a client that did not try. */
static const char *error_of(la_scheme_e scheme, la_proof_fault_e fault)
{
    switch (fault) {
    case LA_PROOF_BAD:
        return "invalid_dpop_proof";
    case LA_PROOF_NONCE:
        return "use_dpop_nonce";
    case LA_PROOF_FINE:
        break;
    }
    return scheme == LA_SCHEME_DPOP ? "invalid_token" : NULL;
}

void la_binding_challenge(request_rec *r, const la_use_t *use, la_scheme_e scheme,
                          la_proof_fault_e fault, la_denial_t *denial)
{
    int is_due = fault != LA_PROOF_FINE || scheme == LA_SCHEME_DPOP || any(use, demands_key);
    la_jwa_set_t algorithms = is_due ? algorithms_of(use) : 0;

    if (!algorithms || denial->status != HTTP_UNAUTHORIZED || !la_binding_takes_dpop(r, use)) {
        return;
    }
    denial->proof_algs = la_jwa_names(r->pool, algorithms);
    denial->proof_error = error_of(scheme, fault);
    if (any(use, demands_nonce)) {
        send_nonce(r, apr_time_now());
    }
}

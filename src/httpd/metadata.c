/* The documents that are public, and the same for everybody: a protected resource's metadata (RFC
 * 9728), which tells clients where to get a token, and the signers' keys (RFC 7517 section 5), by
 * which backends check assertions. In request threads. */
#include "httpd/hooks.h"

#include "base/json.h"
#include "httpd/config/config.h"
#include "httpd/config/signers.h"
#include "httpd/cors.h"
#include "httpd/handler.h"
#include "io/server.h"

#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>

APLOG_USE_MODULE(llama_auth);

/* The issuers of the section's providers, each once. */
static apr_array_header_t *list_issuers(apr_pool_t *pool, const la_use_t *use)
{
    apr_array_header_t *found = apr_array_make(pool, 2, sizeof(const char *));

    for (int i = 0; use && i < use->count; i++) {
        const char *issuer = use->providers[i]->issuer;

        if (issuer && !ap_array_str_contains(found, issuer)) {
            APR_ARRAY_PUSH(found, const char *) = issuer;
        }
    }
    return found;
}

static void write_members(la_json_writer_t *writer, const apr_array_header_t *members)
{
    for (int i = 0; members && i < members->nelts; i++) {
        const la_resource_member_t *member = &APR_ARRAY_IDX(members, i, la_resource_member_t);

        la_json_write_raw(writer, LA_SLICE(", "));
        la_json_write_string(writer, la_slice_of(member->name));
        la_json_write_raw(writer, LA_SLICE(": "));
        la_json_write_raw(writer, la_slice_of(member->value));
    }
}

/* What the section's providers say of tokens that are bound to a key (RFC 9728 section 2). */
typedef struct bindings_t {
    int is_any_proven;       /* a provider looks at what tokens are bound to */
    int is_certificate_due;  /* a provider takes tokens of a certificate only */
    int is_proof_always_due; /* all take tokens of a DPoP key only */
    la_jwa_set_t algorithms; /* of proofs */
} bindings_t;

static bindings_t sum_bindings(const la_use_t *use)
{
    bindings_t sum = {.is_proof_always_due = use != NULL};

    for (int i = 0; use && i < use->count; i++) {
        const la_provider_t *provider = use->providers[i];
        la_binding_e binding = provider->common.binding;

        if (binding != LA_BINDING_IGNORE) {
            sum.is_any_proven = 1;
            sum.algorithms |= la_provider_proof_algorithms(provider);
        }
        sum.is_certificate_due |= binding == LA_BINDING_MTLS;
        sum.is_proof_always_due &= binding == LA_BINDING_DPOP;
    }
    return sum;
}

static apr_array_header_t *split_names(apr_pool_t *pool, const char *names)
{
    apr_array_header_t *list = apr_array_make(pool, 12, sizeof(const char *));

    while (*names) {
        APR_ARRAY_PUSH(list, const char *) = ap_getword_white(pool, &names);
    }
    return list;
}

static void write_bindings(la_json_writer_t *writer, const la_use_t *use, apr_pool_t *pool)
{
    bindings_t sum = sum_bindings(use);

    if (sum.is_any_proven && sum.algorithms) {
        la_json_write_raw(writer, LA_SLICE(", \"dpop_signing_alg_values_supported\": "));
        la_json_write_strings(writer, split_names(pool, la_jwa_names(pool, sum.algorithms)));
    }
    if (sum.is_proof_always_due) {
        la_json_write_raw(writer, LA_SLICE(", \"dpop_bound_access_tokens_required\": true"));
    }
    if (sum.is_certificate_due) {
        la_json_write_raw(writer,
                          LA_SLICE(", \"tls_client_certificate_bound_access_tokens\": true"));
    }
}

static la_slice_t write_document(request_rec *r, const la_dir_conf_t *conf,
                                 const apr_array_header_t *servers)
{
    la_json_writer_t writer;

    la_json_writer_init(&writer, r->pool);
    la_json_write_raw(&writer, LA_SLICE("{\"resource\": "));
    la_json_write_string(&writer, la_slice_of(conf->resource->url));
    la_json_write_raw(&writer, LA_SLICE(", \"authorization_servers\": "));
    la_json_write_strings(&writer, servers);
    if (conf->resource->scopes->nelts > 0) {
        la_json_write_raw(&writer, LA_SLICE(", \"scopes_supported\": "));
        la_json_write_strings(&writer, conf->resource->scopes);
    }
    la_json_write_raw(&writer, LA_SLICE(", \"bearer_methods_supported\": "));
    la_json_write_strings(&writer, la_sources_bearer_methods(r->pool, conf->sources));
    write_bindings(&writer, conf->use, r->pool);
    write_members(&writer, conf->resource_members);
    la_json_write_raw(&writer, LA_SLICE("}"));
    return (la_slice_t){writer.data, writer.len};
}

/* Checks the method. Returns OK, or the status of the answer. */
static int begin(request_rec *r)
{
    ap_allow_methods(r, REPLACE_ALLOW, "GET", "OPTIONS", NULL);
    return r->method_number == M_GET || r->method_number == M_OPTIONS ? OK
                                                                      : HTTP_METHOD_NOT_ALLOWED;
}

static int answer(request_rec *r, const char *type, la_slice_t document)
{
    la_cors_open_to_all(r, "GET, HEAD, OPTIONS");
    if (r->method_number == M_OPTIONS) {
        r->status = HTTP_NO_CONTENT;
        return OK;
    }
    ap_set_content_type(r, type);
    ap_set_content_length(r, (apr_off_t)document.len);
    ap_rwrite(document.data, (int)document.len, r);
    return OK;
}

static int refuse(request_rec *r, const char *missing)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                  LA_LOGNO(0032) "%s is missing for %s: there is no metadata to serve", missing,
                  r->uri);
    return HTTP_INTERNAL_SERVER_ERROR;
}

int la_metadata_handler(request_rec *r)
{
    const la_dir_conf_t *conf = la_config_dir(r);
    const apr_array_header_t *servers;
    int status = la_handler_is(r, "llama-auth-metadata") ? begin(r) : DECLINED;

    if (status != OK) {
        return status;
    }
    if (!conf->resource) {
        return refuse(r, "LlamaAuthResource");
    }
    servers = conf->resource_servers ? conf->resource_servers : list_issuers(r->pool, conf->use);
    if (servers->nelts == 0) {
        return refuse(r, "LlamaAuthResourceServer, or a provider with an Issuer,");
    }
    return answer(r, "application/json", write_document(r, conf, servers));
}

/* How long verifiers may keep them: a new key is to be published so long before it signs. */
#define KEYS_CACHE_CONTROL "public, max-age=300"

int la_jwks_handler(request_rec *r)
{
    const apr_array_header_t *signers;
    int status = la_handler_is(r, "llama-auth-jwks") ? begin(r) : DECLINED;

    if (status != OK) {
        return status;
    }
    signers = la_signers_seen(r->pool, r->server);
    if (signers->nelts == 0) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      LA_LOGNO(0372) "<LlamaAuthSigner> is missing for %s: there are no keys to "
                                     "publish",
                      r->uri);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (r->method_number == M_GET) {
        apr_table_setn(r->headers_out, "Cache-Control", KEYS_CACHE_CONTROL);
    }
    return answer(r, "application/jwk-set+json", la_signer_jwks(r->pool, signers, apr_time_now()));
}

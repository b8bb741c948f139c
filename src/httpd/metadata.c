/* RFC 9728: tells clients which authorization server to get a token from. The document is public,
 * and the same for everybody; where it is served is up to the configuration.
 */
#include "httpd/metadata.h"

#include "base/json.h"
#include "access/policy.h"
#include "httpd/config/config.h"
#include "httpd/credential.h"
#include "httpd/handler.h"
#include "io/server.h"

#include <apr_strings.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>

APLOG_USE_MODULE(llama_auth);

static int listed(const apr_array_header_t *texts, const char *text)
{
    int i;

    for (i = 0; i < texts->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(texts, i, const char *), text) == 0) {
            return 1;
        }
    }
    return 0;
}

/* The issuers of the section's providers, each once. */
static apr_array_header_t *issuers(apr_pool_t *pool, const la_use_t *use)
{
    apr_array_header_t *found = apr_array_make(pool, 2, sizeof(const char *));
    int i;

    for (i = 0; use && i < use->count; i++) {
        const la_provider_t *provider = use->providers[i];
        const char *issuer = provider->type->issuer ? provider->type->issuer(provider) : NULL;

        if (issuer && !listed(found, issuer)) {
            APR_ARRAY_PUSH(found, const char *) = issuer;
        }
    }
    return found;
}

static la_slice_t document(request_rec *r, const la_dir_conf_t *conf)
{
    apr_array_header_t *servers = issuers(r->pool, conf->use);
    la_json_writer_t writer;

    la_json_writer_init(&writer, r->pool);
    la_json_write_raw(&writer, LA_SLICE("{\"resource\": "));
    la_json_write_string(&writer, la_slice_of(conf->resource->url));
    if (servers->nelts > 0) {
        la_json_write_raw(&writer, LA_SLICE(", \"authorization_servers\": "));
        la_json_write_strings(&writer, servers);
    }
    if (conf->resource->scopes->nelts > 0) {
        la_json_write_raw(&writer, LA_SLICE(", \"scopes_supported\": "));
        la_json_write_strings(&writer, conf->resource->scopes);
    }
    la_json_write_raw(&writer, LA_SLICE(", \"bearer_methods_supported\": "));
    la_json_write_strings(&writer, la_sources_bearer_methods(r->pool, conf->sources));
    la_json_write_raw(&writer, LA_SLICE("}"));
    return (la_slice_t){writer.data, writer.len};
}

/* Any page may read it; a preflight is answered for those that send fields of their own
 * (MCP-Protocol-Version). */
static void open_to_all_origins(request_rec *r)
{
    apr_table_setn(r->headers_out, "Access-Control-Allow-Origin", "*");
    if (r->method_number == M_OPTIONS) {
        apr_table_setn(r->headers_out, "Access-Control-Allow-Methods", "GET, HEAD, OPTIONS");
        apr_table_setn(r->headers_out, "Access-Control-Allow-Headers", "*");
        apr_table_setn(r->headers_out, "Access-Control-Max-Age", "86400");
    }
}

int la_metadata_handler(request_rec *r)
{
    const la_dir_conf_t *conf = la_config_dir(r);
    la_slice_t body;

    if (!la_handler_is(r, "llama-auth-metadata")) {
        return DECLINED;
    }
    ap_allow_methods(r, REPLACE_ALLOW, "GET", "OPTIONS", NULL);
    if (r->method_number != M_GET && r->method_number != M_OPTIONS) {
        return HTTP_METHOD_NOT_ALLOWED;
    }
    if (!conf->resource) {
        ap_log_rerror(
            APLOG_MARK, APLOG_ERR, 0, r,
            LA_LOGNO(0032) "LlamaAuthResource is missing for %s: there is no metadata to serve",
            r->uri);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    open_to_all_origins(r);
    if (r->method_number == M_OPTIONS) {
        r->status = HTTP_NO_CONTENT;
        return OK;
    }
    body = document(r, conf);
    ap_set_content_type(r, "application/json");
    ap_set_content_length(r, (apr_off_t)body.len);
    ap_rwrite(body.data, (int)body.len, r);
    return OK;
}

/* Publishes keys (RFC 7517 section 5), so that backends can check assertions. */
#include "httpd/jwks.h"

#include "httpd/config/signers.h"
#include "httpd/cors.h"
#include "httpd/handler.h"
#include "io/server.h"

#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>

APLOG_USE_MODULE(llama_auth);

/* How long verifiers may keep it: a new key is to be published so long before it signs. */
#define CACHE_CONTROL "public, max-age=300"

static int send_keys(request_rec *r, const apr_array_header_t *signers)
{
    la_slice_t body = la_signer_jwks(r->pool, signers, apr_time_now());

    ap_set_content_type(r, "application/jwk-set+json");
    ap_set_content_length(r, (apr_off_t)body.len);
    apr_table_setn(r->headers_out, "Cache-Control", CACHE_CONTROL);
    ap_rwrite(body.data, (int)body.len, r);
    return OK;
}

int la_jwks_handler(request_rec *r)
{
    const apr_array_header_t *signers;

    if (!la_handler_is(r, "llama-auth-jwks")) {
        return DECLINED;
    }
    ap_allow_methods(r, REPLACE_ALLOW, "GET", "OPTIONS", NULL);
    if (r->method_number != M_GET && r->method_number != M_OPTIONS) {
        return HTTP_METHOD_NOT_ALLOWED;
    }
    signers = la_signers_seen(r->pool, r->server);
    if (signers->nelts == 0) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      LA_LOGNO(0372) "<LlamaAuthSigner> is missing for %s: there are no keys to "
                                     "publish",
                      r->uri);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    la_cors_open_to_all(r, "GET, HEAD, OPTIONS");
    if (r->method_number == M_OPTIONS) {
        r->status = HTTP_NO_CONTENT;
        return OK;
    }
    return send_keys(r, signers);
}

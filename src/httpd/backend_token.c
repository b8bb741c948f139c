/* mod_proxy calls its fixups hook on a copy of the header fields that exists only until it has
 * written them to the backend: nothing else ever sees the credential. In request threads. */
#include "httpd/backend_token.h"

#include "base/fields.h"
#include "httpd/field.h"
#include "httpd/request.h"
#include "io/server.h"

#include <apr_optional_hooks.h>
#include <apr_strings.h>
#include <http_config.h>
#include <http_log.h>
#include <mod_proxy.h>

APLOG_USE_MODULE(llama_auth);

/* The line that holds here and names a secret, or NULL. */
static const la_backend_token_t *find_token(const request_rec *r)
{
    const la_backend_token_t *token = la_config_dir(r)->backend_token;

    return token && token->secret ? token : NULL;
}

int la_backend_token_hides(const request_rec *r)
{
    const la_dir_conf_t *conf = la_config_dir(r);

    return conf->forward_token == LA_OFF || find_token(r) ||
           (conf->forwards && conf->forwards->replaces_token);
}

static int is_header(const void *header, la_slice_t name)
{
    return la_field_has_name(name, header);
}

/* Whether another credential goes to the backend where the client's would stand. */
static int replaces_authorization(const request_rec *r, const la_backend_token_t *token)
{
    const la_forwards_t *forwards = la_config_dir(r)->forwards;

    return (token && strcasecmp(token->header, "Authorization") == 0) ||
           (forwards && forwards->replaces_token);
}

void la_backend_token_scrub(request_rec *r)
{
    const la_backend_token_t *token = find_token(r);

    if (replaces_authorization(r, token)) { /* the proof was made for what stood there */
        apr_table_unset(r->headers_in, "DPoP");
    }
    if (token && !*token->prefix) {
        la_fields_remove(r->headers_in, 0, is_header, token->header, r->pool);
    }
}

static int is_for_caller(const request_rec *r, const la_backend_token_t *token)
{
    return token->always || la_request_caller(r);
}

/* Whether this request may have the credential. A forward proxy's client chooses the server, and
 * TRACE sends it back. */
static int may_have(const request_rec *r, const la_backend_token_t *token)
{
    return r->proxyreq == PROXYREQ_REVERSE && r->method_number != M_TRACE &&
           is_for_caller(r, token);
}

static int add_token(request_rec *r)
{
    const la_backend_token_t *token = find_token(r);

    if (token && may_have(r, token)) {
        apr_table_setn(r->headers_in, token->header,
                       apr_pstrcat(r->pool, token->prefix,
                                   la_secret_get(token->secret, apr_time_now(), r->pool), NULL));
    }
    return DECLINED;
}

/* The URL of a proxied request, or NULL. `SetHandler proxy:` becomes a file name later. */
static const char *proxied_url(const request_rec *r)
{
    if (r->handler && strncmp(r->handler, "proxy:", 6) == 0) {
        return r->handler + 6;
    }
    return r->proxyreq == PROXYREQ_REVERSE && r->filename && strncmp(r->filename, "proxy:", 6) == 0
               ? r->filename + 6
               : NULL;
}

/* Whether mod_proxy's module for this URL calls its fixups hook; a balancer's may. */
static int takes_token(const char *url)
{
    static const char *const schemes[] = {"http:", "https:", "ws:", "wss:", "balancer:"};
    const char *socket_end = strncmp(url, "unix:", 5) == 0 ? strchr(url, '|') : NULL;

    url = socket_end ? socket_end + 1 : url;
    for (apr_size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (strncasecmp(url, schemes[i], strlen(schemes[i])) == 0) {
            return 1;
        }
    }
    return 0;
}

static int log_other_scheme(request_rec *r)
{
    const la_backend_token_t *token = find_token(r);
    const char *url = token && is_for_caller(r, token) ? proxied_url(r) : NULL;

    if (url && !takes_token(url)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      LA_LOGNO(0330) "the backend of %s does not get the LlamaAuthBackendToken: it "
                                     "is sent by http, https, ws and wss, and not by %.*s",
                      r->uri, (int)strcspn(url, ":"), url);
    }
    return DECLINED;
}

void la_backend_token_register(void)
{
    ap_hook_handler(log_other_scheme, NULL, NULL, APR_HOOK_REALLY_FIRST);
    APR_OPTIONAL_HOOK(proxy, fixups, add_token, NULL, NULL, APR_HOOK_REALLY_LAST);
}

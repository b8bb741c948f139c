/* Sends the backend's own credential. mod_proxy calls its fixups hook on a copy of the header
 * fields that exists only until it has written them to the backend: neither logs, filters, caches
 * and error pages nor the subrequests and redirects of this request ever see the credential. In
 * request threads. */
#include "httpd/backend_token.h"

#include "base/fields.h"
#include "httpd/field.h"
#include "httpd/request.h"

#include <apr_optional_hooks.h>
#include <apr_strings.h>
#include <mod_proxy.h>

/* The line that holds here and names a secret, or NULL. */
static const la_backend_token_t *find_token(const request_rec *r)
{
    const la_backend_token_t *token = la_config_dir(r)->backend_token;

    return token && token->secret ? token : NULL;
}

int la_backend_token_hides(const request_rec *r)
{
    return la_config_dir(r)->forward_token == LA_OFF || find_token(r);
}

static int is_header(const void *header, la_slice_t name)
{
    return la_field_has_name(name, header);
}

void la_backend_token_scrub(request_rec *r)
{
    const la_backend_token_t *token = find_token(r);

    if (token && !*token->prefix) {
        la_fields_remove(r->headers_in, 0, is_header, token->header, r->pool);
    }
}

/* Whether this request may have the credential. A forward proxy's client chooses the server, and
 * TRACE sends it back. */
static int may_have(request_rec *r, const la_backend_token_t *token)
{
    const la_request_t *state = la_request_get(r);

    return r->proxyreq == PROXYREQ_REVERSE && r->method_number != M_TRACE &&
           (token->always || (state && state->caller));
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

void la_backend_token_register(void)
{
    APR_OPTIONAL_HOOK(proxy, fixups, add_token, NULL, NULL, APR_HOOK_REALLY_LAST);
}

/* What holds for a request in its section. authn.c and authz.c ask, in request threads. */
#include "httpd/section.h"

#include "httpd/request.h"

#include <http_core.h>

int la_section_is_bearer(request_rec *r)
{
    const char *type = ap_auth_type(r);

    return type && strcasecmp(type, "Bearer") == 0;
}

la_methods_t la_section_methods(request_rec *r)
{
    return (la_methods_t)AP_METHOD_BIT << r->method_number | (la_methods_t)AP_METHOD_BIT
                                                                 << la_request_method(r);
}

int la_section_has_rules(request_rec *r)
{
    const la_dir_conf_t *conf = la_config_dir(r);
    la_methods_t methods;

    if (!conf->scopes && !conf->attributes && !conf->models && !conf->mcp && !conf->mcp_scopes) {
        return 0;
    }
    methods = la_section_methods(r);
    return la_policy_applies(conf->scopes, methods) ||
           la_policy_applies(conf->attributes, methods) ||
           la_policy_applies(conf->models, methods) || la_policy_applies(conf->mcp, methods) ||
           la_policy_applies(conf->mcp_scopes, methods);
}

static int has_field(const request_rec *r, const char *name)
{
    const char *value = apr_table_get(r->headers_in, name);

    return value && *value;
}

/* X-HTTP-Method-Override and its like have the word in their name, in any spelling. */
int la_section_overrides_method(const request_rec *r)
{
    const apr_array_header_t *fields = apr_table_elts(r->headers_in);

    for (int i = 0; i < fields->nelts; i++) {
        const char *name = APR_ARRAY_IDX(fields, i, apr_table_entry_t).key;

        if ((ap_strcasestr(name, "method") || ap_strcasestr(name, "override")) &&
            strcasecmp(name, "Access-Control-Request-Method") != 0) {
            return 1;
        }
    }
    return 0;
}

int la_section_has_body(const request_rec *r)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");

    return apr_table_get(r->headers_in, "Transfer-Encoding") ||
           (length && strcmp(length, "0") != 0);
}

int la_section_looks_like_preflight(request_rec *r)
{
    return r->method_number == M_OPTIONS && has_field(r, "Origin") &&
           has_field(r, "Access-Control-Request-Method") && !la_section_has_body(r) &&
           !la_section_overrides_method(r);
}

/* An error page is no preflight. */
int la_section_is_preflight(request_rec *r)
{
    return la_config_dir(r)->preflight == LA_ON && la_section_looks_like_preflight(r) &&
           la_section_is_bearer(r);
}

/* Knows by which names clients call this server. What a client says of itself (Host) is believed in
 * its port, and where a wildcard leaves the host open. In request threads. */
#include "httpd/client_uri.h"

#include "httpd/request.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_ssl.h>

/* Data is NULL for a request line without one (`OPTIONS *`). */
static la_slice_t path_of(request_rec *r)
{
    const la_request_t *state = la_request_get(la_request_first(r));
    const char *target = state && state->client_target ? state->client_target : "";
    la_uri_t uri;

    if (*target == '/') {
        return la_uri_path(r->pool, la_slice_of(target));
    }
    target =
        apr_pstrmemdup(r->pool, target, strcspn(target, "?#")); /* the query may hold anything */
    return la_uri_parse(r->pool, la_slice_of(target), &uri) ? (la_slice_t){NULL, 0} : uri.path;
}

/* Whether the configuration says that clients use https although TLS ends before us. */
static int is_https_by_name(request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);

    return core->use_canonical_name == USE_CANONICAL_NAME_ON && r->server->server_scheme &&
           strcasecmp(r->server->server_scheme, "https") == 0;
}

static const char *scheme_of(request_rec *r)
{
    conn_rec *c = r->connection->master ? r->connection->master : r->connection;

    return ap_ssl_conn_is_ssl(c) || is_https_by_name(r) ? "https" : "http";
}

/* httpd keeps addresses of IPv6 without the brackets that they have in a URI. */
static la_slice_t host_of(apr_pool_t *pool, const char *name)
{
    if (name && strchr(name, ':') && *name != '[') {
        name = apr_pstrcat(pool, "[", name, "]", NULL);
    }
    return la_uri_host(pool, la_slice_of(name));
}

static int is_host(apr_pool_t *pool, la_slice_t host, const char *name)
{
    return name && la_slice_equals(host, host_of(pool, name));
}

/* Whether a ServerAlias names the host. A list of httpd's; wild: the names with `*` and `?`. */
static int is_alias(apr_pool_t *pool, la_slice_t host, const apr_array_header_t *names, int wild)
{
    const char *text = apr_pstrmemdup(pool, host.data, host.len);

    for (int i = 0; names && i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);

        if (name && (wild ? ap_strcasecmp_match(text, name) == 0 : is_host(pool, host, name))) {
            return 1;
        }
    }
    return 0;
}

static int is_own_host(request_rec *r, la_slice_t host)
{
    const server_rec *server = r->server;

    return is_host(r->pool, host, server->server_hostname) ||
           is_alias(r->pool, host, server->names, 0) ||
           (is_host(r->pool, host, la_request_first(r)->hostname) &&
            is_alias(r->pool, host, server->wild_names, 1));
}

static int port_of(request_rec *r, const char *scheme)
{
    const apr_uri_t *parsed = &la_request_first(r)->parsed_uri;

    return parsed->port_str ? parsed->port : la_uri_default_port(scheme);
}

static int is_own_port(request_rec *r, const char *scheme, int port)
{
    if (is_https_by_name(r) &&
        port == (r->server->port ? r->server->port : la_uri_default_port("https"))) {
        return 1;
    }
    return port == port_of(r, scheme);
}

/* LlamaAuthResource's origin, where it holds. It names no port unless it says one, so it is the
 * same for both schemes; https that it says counts where TLS ends before us. */
static int resource_of(request_rec *r, la_uri_t *uri)
{
    const la_resource_t *resource = la_config_dir(r)->resource;

    return resource && !la_uri_parse(r->pool, la_slice_of(resource->url), uri);
}

static int is_resource(request_rec *r, const la_uri_t *resource, const la_uri_t *uri)
{
    int says_port = resource->port != la_uri_default_port(resource->scheme);
    int port = says_port ? resource->port : la_uri_default_port(uri->scheme);

    return la_slice_equals(uri->host, resource->host) && uri->port == port &&
           (strcmp(uri->scheme, scheme_of(r)) == 0 ||
            (strcmp(uri->scheme, "https") == 0 && strcmp(resource->scheme, "https") == 0));
}

static int is_own_origin(request_rec *r, const la_uri_t *uri)
{
    la_uri_t resource;

    if (resource_of(r, &resource)) {
        return is_resource(r, &resource, uri);
    }
    return strcmp(uri->scheme, scheme_of(r)) == 0 && is_own_port(r, uri->scheme, uri->port) &&
           is_own_host(r, uri->host);
}

int la_client_uri_is(const void *request, const la_uri_t *uri)
{
    request_rec *r =
        (request_rec *)(uintptr_t)request; /* it is not changed, but its pool is used */
    la_slice_t path = path_of(r);

    return path.data && la_slice_equals(path, uri->path) && is_own_origin(r, uri);
}

const char *la_client_uri_text(request_rec *r)
{
    const char *named = la_request_first(r)->hostname;
    la_uri_t uri;
    la_slice_t host = host_of(r->pool, named);

    if (!resource_of(r, &uri)) {
        uri.scheme = scheme_of(r);
        uri.port = port_of(r, uri.scheme);
        uri.host =
            host.len && is_own_host(r, host) ? host : host_of(r->pool, r->server->server_hostname);
    }
    uri.path = path_of(r);
    return la_uri_text(r->pool, &uri);
}

/* Query strings with tokens in a request; base/params.c takes them apart. In request threads. */
#include "httpd/query.h"

#include "base/params.h"
#include "httpd/config/collected.h"
#include "httpd/request.h"

#include <apr_lib.h>
#include <apr_strings.h>

/* The length of the query string at `text`. A fragment counts as another one, because some clients
 * write tokens there. */
static apr_size_t length_of_query(const char *text)
{
    apr_size_t len;

    for (len = 0; text[len] && text[len] != '#' && !apr_isspace(text[len]); len++) {}
    return len;
}

/* A URI or a request line without the parameters of those names; itself if it has none. */
static char *clean(apr_pool_t *pool, char *text, const apr_array_header_t *names)
{
    const char *rest = text;
    const char *mark = text ? text + strcspn(text, "?#") : "";
    char *cleaned;
    char *end;
    int removed = 0;

    if (!*mark || !names || names->nelts == 0) {
        return text;
    }
    cleaned = end = apr_palloc(pool, strlen(text) + 1);
    while (*mark) {
        apr_size_t len = length_of_query(mark + 1);
        const char *query = apr_pstrmemdup(pool, mark + 1, len);
        const char *left = la_params_query_without(pool, query, names);
        apr_size_t before = (apr_size_t)(mark - rest) + (left != NULL);

        memcpy(end, rest, before);
        end = apr_cpystrn(end + before, left ? left : "", len + 1);
        rest = mark + 1 + len;
        mark = rest + strcspn(rest, "?#");
        removed |= left != query;
    }
    memcpy(end, rest, strlen(rest) + 1);
    return removed ? cleaned : text;
}

static const char *query_in(const char *uri)
{
    const char *mark = strchr(uri, '?');

    return mark ? mark + 1 : NULL;
}

static char *with_query(apr_pool_t *pool, const char *uri, const char *query)
{
    return apr_pstrcat(pool, apr_pstrmemdup(pool, uri, strcspn(uri, "?#")), "?", query, NULL);
}

static void redact_referer(request_rec *r, const apr_array_header_t *names)
{
    char *referer = apr_pstrdup(r->pool, apr_table_get(r->headers_in, "Referer"));
    char *cleaned = clean(r->pool, referer, names);

    if (cleaned != referer) {
        apr_table_setn(r->headers_in, "Referer", cleaned);
    }
}

void la_query_redact(request_rec *r, const apr_array_header_t *names)
{
    if (names && names->nelts > 0) {
        r->the_request = clean(r->pool, r->the_request, names);
        r->unparsed_uri = clean(r->pool, r->unparsed_uri, names);
        redact_referer(r, names);
    }
}

void la_query_hide(request_rec *r)
{
    la_query_redact(r, la_collected.token_queries);
}

int la_query_read(request_rec *r)
{
    if (r->args) {
        la_request_make(r)->client_query = apr_pstrdup(r->pool, r->args);
    }
    la_query_hide(r);
    return DECLINED;
}

int la_query_hide_from_log(request_rec *r)
{
    const apr_array_header_t *names = la_collected.token_queries;

    for (; r && names && names->nelts > 0; r = r->next) {
        la_query_hide(r);
        r->args = apr_pstrdup(r->pool, la_params_query_without(r->pool, r->args, names));
        r->filename = clean(r->pool, r->filename, names); /* a URL if it is proxied or moved */
        if (r->proxyreq == PROXYREQ_PROXY) {
            r->uri = clean(r->pool, r->uri, names); /* a forward proxy's is a URL too */
        }
    }
    return DECLINED;
}

const char *la_query_of_client(request_rec *r)
{
    const la_request_t *state = la_request_get(la_request_first(r));

    return state ? state->client_query : NULL;
}

/* Whether mod_proxy made r->filename of the unparsed URI. */
static int holds_unparsed_uri(const request_rec *r)
{
    return r->filename &&
           (r->proxyreq == PROXYREQ_PROXY || apr_table_get(r->notes, "proxy-nocanon"));
}

/* Whether the first `?` in a proxy's URL begins the query string: it may be the path's, decoded. */
static int has_query_in_filename(const request_rec *r)
{
    return r->proxyreq == PROXYREQ_REVERSE && r->filename &&
           (apr_table_get(r->notes, "proxy-nocanon") || !strchr(r->uri, '?'));
}

static void remove_from(request_rec *r, const apr_array_header_t *names)
{
    const char *left = la_params_query_without(r->pool, r->args, names);

    if (left != r->args) {
        r->args = apr_pstrdup(r->pool, left);
        r->parsed_uri.query = r->args;
    }
    r->unparsed_uri = clean(r->pool, r->unparsed_uri, names);
    if (has_query_in_filename(r)) {
        r->filename = clean(r->pool, r->filename, names);
    }
}

void la_query_remove(request_rec *r, const apr_array_header_t *names)
{
    for (; r && names && names->nelts > 0; r = r->prev) {
        remove_from(r, names);
    }
}

void la_query_restore(request_rec *r)
{
    const la_request_t *state = la_request_get(r);
    const char *query = state ? state->client_query : NULL;
    const char *shown;

    if (!query) {
        return;
    }
    shown = la_params_query_without(r->pool, query, la_collected.token_queries);
    if (shown == query) {
        return;
    }
    r->unparsed_uri = with_query(r->pool, r->unparsed_uri, query);
    if (r->proxyreq == PROXYREQ_PROXY) {
        r->uri = r->unparsed_uri; /* by which mod_proxy knows such a request */
    }
    if (holds_unparsed_uri(r) && la_text_is_same(query_in(r->filename), shown)) {
        r->filename = with_query(r->pool, r->filename, query);
    }
}

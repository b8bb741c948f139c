/* Finds the token in each kind of source, and removes it. In request threads. */
#include "httpd/credential.h"

#include "base/params.h"
#include "httpd/query.h"
#include "httpd/request.h"

#include <apr_strings.h>

/* The field with credentials for this server (RFC 9110 section 11.7.1 for a forward proxy). */
static const char *credentials_field(const request_rec *r)
{
    return r->proxyreq == PROXYREQ_PROXY ? "Proxy-Authorization" : "Authorization";
}

/* A query string or a Cookie field may name a source more than once. */
static la_token_e check_only(int count, la_slice_t text)
{
    return count > 1 ? LA_TOKEN_SEVERAL : la_token_check(text);
}

/* Where to look. */
typedef struct search_t {
    request_rec *r;
    const apr_table_t *fields;
    int dpop; /* as for la_credential_find() */
} search_t;

static la_token_e find_in_authorization(const search_t *search, la_credential_t *found)
{
    return la_token_from_authorization(apr_table_get(search->fields, credentials_field(search->r)),
                                       search->dpop, &found->token, &found->scheme);
}

static la_token_e find_in(const search_t *search, const la_token_source_t *source,
                          la_credential_t *found)
{
    request_rec *r = search->r;
    const apr_table_t *fields = search->fields;
    la_slice_t *token = &found->token;
    int count;

    *found = (la_credential_t){.scheme = LA_SCHEME_BEARER, .source = source};
    switch (source->kind) {
    case LA_PLACE_AUTHORIZATION:
        return find_in_authorization(search, found);
    case LA_PLACE_HEADER:
        *token = la_slice_of(apr_table_get(fields, source->name));
        return la_token_check(*token);
    case LA_PLACE_QUERY:
        count = la_params_query(r->pool, la_query_of_client(r), source->name, token);
        return check_only(count, *token);
    case LA_PLACE_COOKIE:
        count = la_params_cookie(apr_table_get(fields, "Cookie"), source->name, token);
        return check_only(count, *token);
    }
    return LA_TOKEN_MALFORMED;
}

/* Joins what one more source has to what was found before. A token that is in two sources is one,
 * and it came by DPoP if it did so in one of them. */
static la_token_e add(la_token_e before, la_token_e here, const la_credential_t *more,
                      la_credential_t *found)
{
    int by_dpop = found->scheme == LA_SCHEME_DPOP;
    int in_authorization = found->source && !found->elsewhere;

    if (before != LA_TOKEN_MISSING && !(before == LA_TOKEN_FOUND && here == before &&
                                        la_slice_equals(found->token, more->token))) {
        here = LA_TOKEN_SEVERAL;
    }
    *found = *more;
    found->scheme = by_dpop ? LA_SCHEME_DPOP : more->scheme;
    found->elsewhere = !in_authorization && more->source->kind != LA_PLACE_AUTHORIZATION;
    return here;
}

la_token_e la_credential_find(request_rec *r, const apr_table_t *fields,
                              const la_sources_t *sources, int dpop, la_credential_t *found)
{
    const search_t search = {r, fields, dpop};
    la_token_e result = LA_TOKEN_MISSING;

    *found = (la_credential_t){0};
    if (!sources) {
        return find_in_authorization(&search, found);
    }
    for (int i = 0; i < sources->count; i++) {
        la_credential_t more;
        la_token_e here = find_in(&search, &sources->sources[i], &more);

        /* A credential of another scheme is no token if other sources are named beside it. */
        if (here == LA_TOKEN_MISSING || (sources->count > 1 && more.scheme == LA_SCHEME_OTHER)) {
            continue;
        }
        result = add(result, here, &more, found);
        if (result == LA_TOKEN_SEVERAL) {
            break;
        }
    }
    return result;
}

const char *la_credential_source(const la_credential_t *found)
{
    return found->source && *found->source->name ? found->source->name : "Authorization";
}

const char *la_credential_fault(apr_pool_t *pool, const la_credential_t *found)
{
    static const char *const kinds[] = {
        [LA_PLACE_HEADER] = "header", [LA_PLACE_QUERY] = "parameter", [LA_PLACE_COOKIE] = "cookie"};

    return found->source && found->source->kind != LA_PLACE_AUTHORIZATION
               ? apr_psprintf(pool, "Invalid %s %s format", found->source->name,
                              kinds[found->source->kind])
               : NULL;
}

const char *la_credential_query(request_rec *r, const la_sources_t *sources)
{
    return la_params_query_without(r->pool, r->args, la_sources_queries(sources));
}

void la_credential_redact(request_rec *r, const la_sources_t *sources)
{
    const apr_array_header_t *names = la_sources_queries(sources);

    for (; names && names->nelts > 0 && r; r = la_request_origin(r)) {
        la_query_redact(r, names);
    }
}

static void remove_cookie(request_rec *r, const char *name)
{
    const char *field = apr_table_get(r->headers_in, "Cookie");
    const char *rest = field ? la_params_cookie_without(r->pool, field, name) : NULL;

    if (rest) {
        apr_table_setn(r->headers_in, "Cookie", rest);
    } else {
        apr_table_unset(r->headers_in, "Cookie");
    }
}

/* Keeps credentials of another scheme. A proof (RFC 9449) is good for its token only; a forward
 * proxy takes none, so the one that comes there is about a token for the origin. */
static void remove_authorization(request_rec *r)
{
    const char *value = apr_table_get(r->headers_in, credentials_field(r));

    if (value && (strncasecmp(value, "Bearer", 6) == 0 || strncasecmp(value, "DPoP", 4) == 0)) {
        apr_table_unset(r->headers_in, credentials_field(r));
    }
    if (r->proxyreq != PROXYREQ_PROXY) {
        apr_table_unset(r->headers_in, "DPoP");
    }
}

void la_credential_remove(request_rec *r, const la_sources_t *sources)
{
    if (!sources) {
        remove_authorization(r);
        return;
    }
    for (int i = 0; i < sources->count; i++) {
        const la_token_source_t *source = &sources->sources[i];

        switch (source->kind) {
        case LA_PLACE_AUTHORIZATION:
            remove_authorization(r);
            break;
        case LA_PLACE_HEADER:
            apr_table_unset(r->headers_in, source->name);
            break;
        case LA_PLACE_COOKIE:
            remove_cookie(r, source->name);
            break;
        case LA_PLACE_QUERY:
            break;
        }
    }
    la_query_remove(r, sources->queries);
}

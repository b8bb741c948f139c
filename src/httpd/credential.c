/* The request's side of each token source. What a query string or a Cookie field is made of is
 * base/params.c's, what a token is access/token.c's. In request threads.
 */
#include "httpd/credential.h"

#include "base/params.h"
#include "httpd/query.h"
#include "httpd/request.h"

#include <apr_strings.h>

/* ---- finding ---- */

/* The field that carries credentials to this server: another one where it is a forward proxy (RFC
 * 9110 section 11.7.1). */
static const char *credentials_field(const request_rec *r)
{
    return r->proxyreq == PROXYREQ_PROXY ? "Proxy-Authorization" : "Authorization";
}

static la_credential_e from_authorization(const request_rec *r, const apr_table_t *fields,
                                          la_slice_t *token)
{
    switch (la_token_from_authorization(apr_table_get(fields, credentials_field(r)), token)) {
    case LA_TOKEN_MISSING:
        return LA_CREDENTIAL_MISSING;
    case LA_TOKEN_MALFORMED:
        return LA_CREDENTIAL_MALFORMED;
    case LA_TOKEN_FOUND:
        return LA_CREDENTIAL_FOUND;
    }
    return LA_CREDENTIAL_MALFORMED;
}

static la_credential_e judge(int count, la_slice_t text, la_slice_t *token)
{
    *token = text;
    if (count != 1) {
        return count ? LA_CREDENTIAL_SEVERAL : LA_CREDENTIAL_MISSING;
    }
    return la_token_is_well_formed(text) ? LA_CREDENTIAL_FOUND : LA_CREDENTIAL_MALFORMED;
}

static la_credential_e from_header(const apr_table_t *fields, const char *name, la_slice_t *token)
{
    const char *value = apr_table_get(fields, name);
    la_slice_t text = {value ? value : "", value ? strlen(value) : 0};

    return judge(text.len > 0, text, token);
}

static la_credential_e from_source(request_rec *r, const apr_table_t *fields,
                                   const la_token_source_t *source, la_slice_t *token)
{
    la_slice_t text;
    int count;

    switch (source->kind) {
    case LA_PLACE_AUTHORIZATION:
        return from_authorization(r, fields, token);
    case LA_PLACE_HEADER:
        return from_header(fields, source->name, token);
    case LA_PLACE_QUERY:
        count = la_params_query(r->pool, la_query_of_client(r), source->name, &text);
        return judge(count, text, token);
    case LA_PLACE_COOKIE:
        count = la_params_cookie(apr_table_get(fields, "Cookie"), source->name, &text);
        return judge(count, text, token);
    }
    return LA_CREDENTIAL_MALFORMED;
}

/* Whether Authorization has a credential that is not ours to read: no token, where others are named
 * as well. */
static int is_of_another_scheme(const request_rec *r, const apr_table_t *fields,
                                const la_token_source_t *source)
{
    const char *value =
        source->kind == LA_PLACE_AUTHORIZATION ? apr_table_get(fields, credentials_field(r)) : NULL;

    return value && (strncasecmp(value, "Bearer", 6) != 0 || (value[6] && value[6] != ' '));
}

/* The same token in two places is one. */
static int is_same_token(la_credential_e found, la_slice_t a, la_credential_e here, la_slice_t b)
{
    return found == LA_CREDENTIAL_FOUND && here == LA_CREDENTIAL_FOUND && la_slice_equals(a, b);
}

la_credential_e la_credential_find(request_rec *r, const apr_table_t *fields,
                                   const la_sources_t *sources, la_slice_t *token, int *elsewhere)
{
    la_credential_e found = LA_CREDENTIAL_MISSING;
    int in_authorization = 0;
    int i;

    *elsewhere = 0;
    if (!sources) {
        return from_authorization(r, fields, token);
    }
    for (i = 0; i < sources->count; i++) {
        la_slice_t text;
        la_credential_e here = from_source(r, fields, &sources->sources[i], &text);

        if (here == LA_CREDENTIAL_MISSING ||
            (sources->count > 1 && is_of_another_scheme(r, fields, &sources->sources[i]))) {
            continue;
        }
        if (found != LA_CREDENTIAL_MISSING && !is_same_token(found, *token, here, text)) {
            return LA_CREDENTIAL_SEVERAL;
        }
        in_authorization |= sources->sources[i].kind == LA_PLACE_AUTHORIZATION;
        found = here;
        *token = text;
    }
    *elsewhere = !in_authorization;
    return found;
}

/* ---- taking out ---- */

const char *la_credential_query(request_rec *r, const la_sources_t *sources)
{
    return la_params_query_without(r->pool, r->args, la_sources_queries(sources));
}

/* Of the request that the log shows, too. */
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

/* Credentials of another scheme are not ours to take away. */
static void remove_authorization(request_rec *r)
{
    const char *value = apr_table_get(r->headers_in, credentials_field(r));

    if (value && strncasecmp(value, "Bearer", 6) == 0) {
        apr_table_unset(r->headers_in, credentials_field(r));
    }
}

void la_credential_remove(request_rec *r, const la_sources_t *sources)
{
    int i;

    if (!sources) {
        remove_authorization(r);
        return;
    }
    for (i = 0; i < sources->count; i++) {
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

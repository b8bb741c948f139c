/* Token sources: the parsing of their line, and the request's side of each kind. What a query string or a Cookie
 * field is made of is core/params.c's, what a token is core/token.c's.
 */
#include "httpd/config/credential.h"

#include "base/params.h"
#include "httpd/field.h"
#include "httpd/query.h"
#include "httpd/request.h"

#include <apr_strings.h>

typedef enum kind_e { KIND_AUTHORIZATION, KIND_HEADER, KIND_QUERY, KIND_COOKIE } kind_e;

typedef struct source_t {
    kind_e kind;
    const char *name; /* empty for Authorization */
} source_t;

struct la_sources_t {
    int count;
    source_t *sources;
    apr_array_header_t *headers; /* names of fields, of const char *; Cookie too */
    apr_array_header_t *queries; /* names of parameters */
};

/* ---- the directive ---- */

static const char *parse_one(apr_pool_t *pool, const char *word, source_t *source)
{
    static const struct {
        const char *prefix;
        kind_e kind;
    } prefixes[] = {{"header:", KIND_HEADER}, {"query:", KIND_QUERY}, {"cookie:", KIND_COOKIE}};
    apr_size_t i;

    if (strcasecmp(word, "Authorization") == 0) {
        *source = (source_t){KIND_AUTHORIZATION, ""};
        return NULL;
    }
    for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        apr_size_t len = strlen(prefixes[i].prefix);

        if (strncasecmp(word, prefixes[i].prefix, len) == 0) {
            *source = (source_t){prefixes[i].kind, apr_pstrdup(pool, word + len)};
            return la_params_is_name(source->name)
                       ? NULL
                       : apr_psprintf(pool, "'%s' names nothing that can be in a request", word);
        }
    }
    return apr_psprintf(pool, "'%s' is none of Authorization, header:NAME, query:NAME, cookie:NAME",
                        word);
}

/* Fields that are never a token's alone. Sec-WebSocket-Protocol can be: browsers can set no other. */
static const char *check_header(apr_pool_t *pool, const source_t *source)
{
    if (source->kind == KIND_HEADER && la_field_is_vital(source->name)) {
        return apr_psprintf(pool, "header:%s cannot hold a bare token: the request needs it itself",
                            source->name);
    }
    return NULL;
}

static int same_source(const source_t *a, const source_t *b)
{
    return a->kind == b->kind && (a->kind == KIND_HEADER ? strcasecmp(a->name, b->name) == 0
                                                         : strcmp(a->name, b->name) == 0);
}

static const char *add_source(apr_pool_t *pool, la_sources_t *sources, const char *word)
{
    source_t source = {KIND_AUTHORIZATION, ""};
    const char *error = parse_one(pool, word, &source);
    int i;

    error = error ? error : check_header(pool, &source);
    if (error) {
        return error;
    }
    for (i = 0; i < sources->count; i++) {
        if (same_source(&sources->sources[i], &source)) {
            return apr_psprintf(pool, "%s is named twice", word);
        }
    }
    sources->sources[sources->count++] = source;
    if (source.kind == KIND_QUERY) {
        APR_ARRAY_PUSH(sources->queries, const char *) = source.name;
    }
    if (source.kind == KIND_HEADER || source.kind == KIND_COOKIE) {
        APR_ARRAY_PUSH(sources->headers, const char *) =
            source.kind == KIND_HEADER ? source.name : "Cookie";
    }
    return NULL;
}

const char *la_sources_parse(apr_pool_t *pool, int count, char *const words[],
                             const la_sources_t **sources)
{
    la_sources_t *made = apr_pcalloc(pool, sizeof(*made));
    const char *error = count > 0 ? NULL : "takes the places where a token may be";
    int i;

    made->sources = apr_pcalloc(pool, (apr_size_t)(count + 1) * sizeof(source_t));
    made->headers = apr_array_make(pool, 2, sizeof(const char *));
    made->queries = apr_array_make(pool, 2, sizeof(const char *));
    for (i = 0; i < count && !error; i++) {
        error = add_source(pool, made, words[i]);
    }
    *sources = made;
    return error;
}

const apr_array_header_t *la_sources_headers(const la_sources_t *sources)
{
    return sources ? sources->headers : NULL;
}

const apr_array_header_t *la_sources_queries(const la_sources_t *sources)
{
    return sources ? sources->queries : NULL;
}

/* The name of the field that a source is in, or NULL. */
static const char *field_of(const source_t *source)
{
    switch (source->kind) {
    case KIND_AUTHORIZATION:
        return "Authorization";
    case KIND_HEADER:
        return source->name;
    case KIND_COOKIE:
        return "Cookie";
    case KIND_QUERY:
        break;
    }
    return NULL;
}

int la_sources_are_in(const la_sources_t *sources, la_slice_t field)
{
    int i;

    if (!sources) {
        return la_field_has_name(field, "Authorization");
    }
    for (i = 0; i < sources->count; i++) {
        const char *name = field_of(&sources->sources[i]);

        if (name && la_field_has_name(field, name)) {
            return 1;
        }
    }
    return 0;
}

static apr_array_header_t *all_headers;
static apr_array_header_t *all_queries;

void la_sources_reset(apr_pool_t *pconf)
{
    all_headers = apr_array_make(pconf, 2, sizeof(const char *));
    all_queries = apr_array_make(pconf, 2, sizeof(const char *));
}

/* Every request is looked through for each of them. */
static void add_names(apr_array_header_t *names, const apr_array_header_t *more)
{
    int i;
    int old;

    for (i = 0; i < more->nelts; i++) {
        const char *name = APR_ARRAY_IDX(more, i, const char *);

        for (old = 0; old < names->nelts && strcmp(name, APR_ARRAY_IDX(names, old, const char *));
             old++) {}
        if (old == names->nelts) {
            APR_ARRAY_PUSH(names, const char *) = name;
        }
    }
}

void la_sources_announce(const la_sources_t *sources)
{
    add_names(all_headers, sources->headers);
    add_names(all_queries, sources->queries);
}

const apr_array_header_t *la_sources_all_headers(void)
{
    return all_headers;
}

const apr_array_header_t *la_sources_all_queries(void)
{
    return all_queries;
}

static int has_kind(const la_sources_t *sources, kind_e kind)
{
    int i;

    for (i = 0; i < sources->count; i++) {
        if (sources->sources[i].kind == kind) {
            return 1;
        }
    }
    return 0;
}

apr_array_header_t *la_sources_bearer_methods(apr_pool_t *pool, const la_sources_t *sources)
{
    apr_array_header_t *methods = apr_array_make(pool, 2, sizeof(const char *));

    if (!sources || has_kind(sources, KIND_AUTHORIZATION)) {
        APR_ARRAY_PUSH(methods, const char *) = "header";
    }
    if (sources && sources->queries->nelts > 0) {
        APR_ARRAY_PUSH(methods, const char *) = "query";
    }
    return methods;
}

/* ---- finding ---- */

/* The field that carries credentials to this server: another one where it is a forward proxy (RFC 9110 section 11.7.1). */
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
                                   const source_t *source, la_slice_t *token)
{
    la_slice_t text;
    int count;

    switch (source->kind) {
    case KIND_AUTHORIZATION:
        return from_authorization(r, fields, token);
    case KIND_HEADER:
        return from_header(fields, source->name, token);
    case KIND_QUERY:
        count = la_params_query(r->pool, la_query_of_client(r), source->name, &text);
        return judge(count, text, token);
    case KIND_COOKIE:
        count = la_params_cookie(apr_table_get(fields, "Cookie"), source->name, &text);
        return judge(count, text, token);
    }
    return LA_CREDENTIAL_MALFORMED;
}

/* Whether Authorization has a credential that is not ours to read: no token, where others are named as well. */
static int is_of_another_scheme(const request_rec *r, const apr_table_t *fields,
                                const source_t *source)
{
    const char *value =
        source->kind == KIND_AUTHORIZATION ? apr_table_get(fields, credentials_field(r)) : NULL;

    return value && (strncasecmp(value, "Bearer", 6) != 0 || (value[6] && value[6] != ' '));
}

/* The same token in two places is one. */
static int is_same_token(la_credential_e found, la_slice_t a, la_credential_e here, la_slice_t b)
{
    return found == LA_CREDENTIAL_FOUND && here == LA_CREDENTIAL_FOUND && a.len == b.len &&
           memcmp(a.data, b.data, a.len) == 0;
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
        in_authorization |= sources->sources[i].kind == KIND_AUTHORIZATION;
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
        const source_t *source = &sources->sources[i];

        switch (source->kind) {
        case KIND_AUTHORIZATION:
            remove_authorization(r);
            break;
        case KIND_HEADER:
            apr_table_unset(r->headers_in, source->name);
            break;
        case KIND_COOKIE:
            remove_cookie(r, source->name);
            break;
        case KIND_QUERY:
            break;
        }
    }
    la_query_remove(r, sources->queries);
}

/* Reads lines of LlamaAuthTokenSource, and knows the names of all of them. While the configuration
 * is read, or an .htaccess; constant afterwards.
 */
#include "httpd/config/token_sources.h"

#include "base/params.h"
#include "httpd/config/collected.h"
#include "httpd/field.h"

#include <apr_strings.h>

static const char *parse_one(apr_pool_t *pool, const char *word, la_token_source_t *source)
{
    static const struct {
        const char *prefix;
        la_token_place_e kind;
    } prefixes[] = {
        {"header:", LA_PLACE_HEADER}, {"query:", LA_PLACE_QUERY}, {"cookie:", LA_PLACE_COOKIE}};
    apr_size_t i;

    if (strcasecmp(word, "Authorization") == 0) {
        *source = (la_token_source_t){LA_PLACE_AUTHORIZATION, ""};
        return NULL;
    }
    for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        apr_size_t len = strlen(prefixes[i].prefix);

        if (strncasecmp(word, prefixes[i].prefix, len) == 0) {
            *source = (la_token_source_t){prefixes[i].kind, apr_pstrdup(pool, word + len)};
            return la_params_is_name(source->name)
                       ? NULL
                       : apr_psprintf(pool, "'%s' names nothing that can be in a request", word);
        }
    }
    return apr_psprintf(pool, "'%s' is none of Authorization, header:NAME, query:NAME, cookie:NAME",
                        word);
}

/* Fields that are never a token's alone. Sec-WebSocket-Protocol can be: browsers can set no other.
 */
static const char *check_header(apr_pool_t *pool, const la_token_source_t *source)
{
    if (source->kind == LA_PLACE_HEADER && la_field_is_vital(source->name)) {
        return apr_psprintf(pool, "header:%s cannot hold a bare token: the request needs it itself",
                            source->name);
    }
    return NULL;
}

static int same_source(const la_token_source_t *a, const la_token_source_t *b)
{
    return a->kind == b->kind && (a->kind == LA_PLACE_HEADER ? strcasecmp(a->name, b->name) == 0
                                                             : strcmp(a->name, b->name) == 0);
}

static const char *add_source(apr_pool_t *pool, la_sources_t *sources, const char *word)
{
    la_token_source_t source = {LA_PLACE_AUTHORIZATION, ""};
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
    if (source.kind == LA_PLACE_QUERY) {
        APR_ARRAY_PUSH(sources->queries, const char *) = source.name;
    }
    if (source.kind == LA_PLACE_HEADER || source.kind == LA_PLACE_COOKIE) {
        APR_ARRAY_PUSH(sources->headers, const char *) =
            source.kind == LA_PLACE_HEADER ? source.name : "Cookie";
    }
    return NULL;
}

const char *la_sources_parse(apr_pool_t *pool, int count, char *const words[],
                             const la_sources_t **sources)
{
    la_sources_t *made = apr_pcalloc(pool, sizeof(*made));
    const char *error = count > 0 ? NULL : "takes the places where a token may be";
    int i;

    made->sources = apr_pcalloc(pool, (apr_size_t)(count + 1) * sizeof(la_token_source_t));
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
static const char *field_of(const la_token_source_t *source)
{
    switch (source->kind) {
    case LA_PLACE_AUTHORIZATION:
        return "Authorization";
    case LA_PLACE_HEADER:
        return source->name;
    case LA_PLACE_COOKIE:
        return "Cookie";
    case LA_PLACE_QUERY:
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

/* Every request is looked through for each of them. */
static void add_names(apr_array_header_t *names, const apr_array_header_t *more)
{
    int i;
    int old;

    for (i = 0; i < more->nelts; i++) {
        const char *name = APR_ARRAY_IDX(more, i, const char *);

        for (old = 0;
             old < names->nelts && strcmp(name, APR_ARRAY_IDX(names, old, const char *)) != 0;
             old++) {}
        if (old == names->nelts) {
            APR_ARRAY_PUSH(names, const char *) = name;
        }
    }
}

void la_sources_announce(const la_sources_t *sources)
{
    add_names(la_collected.token_headers, sources->headers);
    add_names(la_collected.token_queries, sources->queries);
}

const apr_array_header_t *la_sources_all_headers(void)
{
    return la_collected.token_headers;
}

const apr_array_header_t *la_sources_all_queries(void)
{
    return la_collected.token_queries;
}

static int has_kind(const la_sources_t *sources, la_token_place_e kind)
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

    if (!sources || has_kind(sources, LA_PLACE_AUTHORIZATION)) {
        APR_ARRAY_PUSH(methods, const char *) = "header";
    }
    if (sources && sources->queries->nelts > 0) {
        APR_ARRAY_PUSH(methods, const char *) = "query";
    }
    return methods;
}

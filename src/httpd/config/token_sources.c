/* Reads lines of LlamaAuthTokenSource, and keeps the names of all of them. */
#include "httpd/config/token_sources.h"

#include "base/params.h"
#include "httpd/config/collected.h"
#include "httpd/field.h"

#include <apr_strings.h>

static const char *parse_source(apr_pool_t *pool, const char *word, la_token_source_t *source)
{
    static const struct {
        const char *prefix;
        la_token_source_t source;
    } kinds[] = {{"header:", {LA_PLACE_HEADER, NULL, NULL}},
                 {"query:", {LA_PLACE_QUERY, NULL, NULL}},
                 {"cookie:", {LA_PLACE_COOKIE, NULL, "Cookie"}}};

    if (strcasecmp(word, "Authorization") == 0) {
        *source = (la_token_source_t){LA_PLACE_AUTHORIZATION, "", "Authorization"};
        return NULL;
    }
    for (apr_size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        apr_size_t len = strlen(kinds[i].prefix);

        if (strncasecmp(word, kinds[i].prefix, len) == 0) {
            *source = kinds[i].source;
            source->name = apr_pstrdup(pool, word + len);
            source->field = source->kind == LA_PLACE_HEADER ? source->name : source->field;
            return la_params_is_name(source->name)
                       ? NULL
                       : apr_psprintf(pool, "'%s' names nothing that can be in a request", word);
        }
    }
    return apr_psprintf(pool, "'%s' is none of Authorization, header:NAME, query:NAME, cookie:NAME",
                        word);
}

static int is_same_source(const la_token_source_t *a, const la_token_source_t *b)
{
    return a->kind == b->kind && (a->kind == LA_PLACE_HEADER ? strcasecmp(a->name, b->name) == 0
                                                             : strcmp(a->name, b->name) == 0);
}

static const char *add_source(apr_pool_t *pool, la_sources_t *sources, const char *word)
{
    la_token_source_t source = {LA_PLACE_AUTHORIZATION, "", NULL};
    const char *error = parse_source(pool, word, &source);

    if (error) {
        return error;
    }
    /* Sec-WebSocket-Protocol is allowed, because browsers can set no other field. */
    if (source.kind == LA_PLACE_HEADER && la_field_is_vital(source.name)) {
        return apr_psprintf(pool, "header:%s cannot hold a bare token: the request needs it itself",
                            source.name);
    }
    for (int i = 0; i < sources->count; i++) {
        if (is_same_source(&sources->sources[i], &source)) {
            return apr_psprintf(pool, "%s is named twice", word);
        }
    }
    sources->sources[sources->count++] = source;
    if (source.kind == LA_PLACE_QUERY) {
        APR_ARRAY_PUSH(sources->queries, const char *) = source.name;
    } else if (source.kind != LA_PLACE_AUTHORIZATION) {
        APR_ARRAY_PUSH(sources->headers, const char *) = source.field;
    }
    return NULL;
}

const char *la_sources_parse(apr_pool_t *pool, int count, char *const words[],
                             const la_sources_t **sources)
{
    la_sources_t *made = apr_pcalloc(pool, sizeof(*made));
    const char *error = count > 0 ? NULL : "takes the places where a token may be";

    made->sources = apr_pcalloc(pool, (apr_size_t)(count + 1) * sizeof(la_token_source_t));
    made->headers = apr_array_make(pool, 2, sizeof(const char *));
    made->queries = apr_array_make(pool, 2, sizeof(const char *));
    for (int i = 0; i < count && !error; i++) {
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

static int is_in(const la_token_source_t *source, la_slice_t field)
{
    return (source->field && la_field_has_name(field, source->field)) ||
           (source->kind == LA_PLACE_AUTHORIZATION && la_field_has_name(field, "DPoP"));
}

int la_sources_are_in(const la_sources_t *sources, la_slice_t field)
{
    static const la_token_source_t authorization = {LA_PLACE_AUTHORIZATION, "", "Authorization"};
    int i;

    if (!sources) {
        return is_in(&authorization, field);
    }
    for (i = 0; i < sources->count && !is_in(&sources->sources[i], field); i++) {}
    return i < sources->count;
}

/* Adds each name once: every request is searched for each of them. */
static void add_names(apr_array_header_t *names, const apr_array_header_t *more)
{
    for (int i = 0; i < more->nelts; i++) {
        const char *name = APR_ARRAY_IDX(more, i, const char *);

        if (!ap_array_str_contains(names, name)) {
            APR_ARRAY_PUSH(names, const char *) = name;
        }
    }
}

void la_sources_announce(const la_sources_t *sources)
{
    add_names(la_collected.token_headers, sources->headers);
    add_names(la_collected.token_queries, sources->queries);
}

apr_array_header_t *la_sources_bearer_methods(apr_pool_t *pool, const la_sources_t *sources)
{
    apr_array_header_t *methods = apr_array_make(pool, 2, sizeof(const char *));
    int in_authorization = !sources;

    for (int i = 0; sources && i < sources->count; i++) {
        in_authorization |= sources->sources[i].kind == LA_PLACE_AUTHORIZATION;
    }
    if (in_authorization) {
        APR_ARRAY_PUSH(methods, const char *) = "header";
    }
    if (sources && sources->queries->nelts > 0) {
        APR_ARRAY_PUSH(methods, const char *) = "query";
    }
    return methods;
}

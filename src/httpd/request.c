/* Keeps la_request_t in httpd's request_config. One thread works on a request at a time. */
#include "httpd/request.h"

const la_caller_t *la_request_caller(const request_rec *r)
{
    const la_request_t *state = la_request_get(r);

    return state ? state->caller : NULL;
}

la_request_t *la_request_create(request_rec *r)
{
    la_request_t *state = apr_pcalloc(r->pool, sizeof(*state));

    ap_set_module_config(r->request_config, &llama_auth_module, state);
    return state;
}

request_rec *la_request_origin(const request_rec *r)
{
    return r->prev ? r->prev : r->main;
}

request_rec *la_request_first(request_rec *r)
{
    request_rec *origin;

    while ((origin = la_request_origin(r)) != NULL) {
        r = origin;
    }
    return r;
}

int la_request_begin(request_rec *r)
{
    if (!la_request_origin(r)) {
        la_request_t *state = la_request_make(r);

        state->method_number = r->method_number;
        state->client_method = r->method;
        state->client_target = r->unparsed_uri;
    }
    return DECLINED;
}

int la_request_method(request_rec *r)
{
    const la_request_t *state = la_request_get(la_request_first(r));

    return state ? state->method_number : r->method_number;
}

int la_request_has_input(const request_rec *r, const ap_filter_rec_t *filter)
{
    const ap_filter_t *f = r->input_filters;

    while (f && f->frec != filter) {
        f = f->next;
    }
    return f != NULL;
}

void la_request_keep_fields(request_rec *r)
{
    request_rec *first = la_request_first(r);
    la_request_t *state = la_request_make(first);

    if (!state->sent) {
        state->sent = apr_table_copy(first->pool, first->headers_in);
    }
}

const apr_table_t *la_request_fields(request_rec *r)
{
    request_rec *first = la_request_first(r);
    const la_request_t *state = la_request_get(first);

    return state && state->sent ? state->sent : first->headers_in;
}

/* Compares what the lines hold: httpd reads an .htaccess again for each request. */
static int same_use(const la_use_t *a, const la_use_t *b)
{
    return a->count == b->count &&
           memcmp(a->providers, b->providers, (apr_size_t)a->count * sizeof(la_provider_t *)) == 0;
}

static int same_question(const la_caller_t *a, const la_caller_t *b)
{
    return same_use(&a->use, &b->use) && la_slice_equals(a->token, b->token) &&
           a->scheme == b->scheme && la_text_is_same(a->resource, b->resource) &&
           la_text_is_same(a->path, b->path) && la_text_is_same(a->query, b->query);
}

const la_caller_t *la_request_find_caller(request_rec *r, const la_caller_t *asked)
{
    const la_request_t *state = la_request_get(la_request_first(r));
    const la_caller_t *caller = state ? state->callers : NULL;

    while (caller && !same_question(caller, asked)) {
        caller = caller->next;
    }
    return caller;
}

void la_request_add_caller(request_rec *r, la_caller_t *caller)
{
    la_request_t *state = la_request_make(la_request_first(r));

    caller->next = state->callers;
    state->callers = caller;
}

const la_request_t *la_request_decided(const request_rec *r)
{
    while (r->next) {
        r = r->next;
    }
    for (; r; r = r->prev) {
        const la_request_t *state = la_request_get(r);

        if (state && (state->denial || state->caller)) {
            return state;
        }
    }
    return NULL;
}

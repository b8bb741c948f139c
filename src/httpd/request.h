/* What the module knows of one request, in its request_config. httpd makes further requests of a
 * client's one: internal redirects, subrequests, error pages. The first of such a chain keeps what
 * all of them share. */
#pragma once

#include "access/denial.h"
#include "access/identity.h"
#include "access/token.h"
#include "httpd/config/config.h"

#include <util_filter.h>

/* Who the client is for the providers of one section, and the question they were asked. Constant,
 * in the pool of the first request. */
typedef struct la_caller_t {
    const struct la_caller_t *next;
    la_use_t use;
    la_slice_t token;
    la_scheme_e scheme;
    const char *resource;          /* the URL of LlamaAuthResource, or NULL */
    const char *path;              /* NULL unless a verdict may depend on it */
    const char *query;             /* without tokens; NULL as `path` */
    const la_provider_t *provider; /* who accepted */
    const la_identity_t *identity;
    const char *principal;
    const char *cache; /* the note llama_auth.cache */
    char client_id[LA_CLIENT_ID_LEN + 1];
} la_caller_t;

typedef struct la_request_t {
    /* Of the first request of a chain. */
    int method_number;          /* the client's; an error page is a GET */
    const char *client_method;  /* the same, as it was sent */
    const char *client_target;  /* the request line's URI, with tokens in its query */
    const char *client_query;   /* as the client sent it, or NULL (query.h) */
    const apr_table_t *sent;    /* header fields before access was checked; NULL until then */
    const la_caller_t *callers; /* all that were found for the client, the newest first */
    const la_cors_t *cors; /* LlamaAuthCors of the section that the client asked for, or NULL */

    struct la_shown_proof_t *proof; /* the client's, once it was read (binding.c); or NULL */
    struct la_charges_t *charges;   /* of quotas (quota.c); NULL: none */
    struct la_body_t *body;         /* what was read of it (body.c); NULL: nothing */
    int body_is_read;               /* all of it */
    struct la_usage_watch_t *usage; /* of tokens (usage_filter.c); NULL: they are not counted */

    /* Authentication. */
    const la_caller_t *caller;            /* whom the section's providers accepted, or NULL */
    char client_id[LA_CLIENT_ID_LEN + 1]; /* of the token; empty while there is none */
    int token_elsewhere;                  /* the caller's token was not in Authorization */
    int authorization_is_ours;            /* a section of this request had an assertion in it */
    int uncacheable;                      /* the answer is for this caller alone (mod_cache) */
    int moved;                            /* another section took over, access was decided again */
    apr_table_t *assertions;              /* by header, as that section set them; or NULL */
    apr_time_t asserted;                  /* when */
    const void *forwarded_conf;           /* the section that set headers and environment */
    const apr_table_t *environment;       /* the table that was cleaned then */

    /* What the request names, where a rule looked for it. */
    const char *model;
    uint64_t reserve;   /* the most tokens that the body says the answer may have, or 0 */
    const char *rpc_id; /* of a JSON-RPC request, as JSON */
    int is_model_list;  /* the answer is filtered (model_list.c) */

    /* The place that access was decided for: a configuration, a path and a query. */
    const void *decided_conf;
    const char *decided_uri;
    const char *decided_args;

    /* The answer. */
    int answers_preflight;        /* by LlamaAuthCors */
    int open_to_all;              /* a handler of ours lets every page read it */
    const la_denial_t *denial;    /* why this request is refused, or NULL */
    const char *realm;            /* of the section that refused it */
    const la_denial_form_t *form; /* of that section's document */
    int awaiting_require;         /* our checks hold, httpd's Require decides next */
    int gated;                    /* this request itself is authenticated and authorized */
    int passed;                   /* everything holds: errors from here on are not ours */
} la_request_t;

/* The request's state, or NULL. */
static inline la_request_t *la_request_get(const request_rec *r)
{
    return ap_get_module_config(r->request_config, &llama_auth_module);
}

/* The caller whom the section's providers accepted, or NULL. */
const la_caller_t *la_request_caller(const request_rec *r);

/* The request's state, made if there is none. */
la_request_t *la_request_create(request_rec *r);
static inline la_request_t *la_request_make(request_rec *r)
{
    la_request_t *state = la_request_get(r);

    return state ? state : la_request_create(r);
}

/* The request that led to this one by an internal redirect or as a subrequest, or NULL. */
request_rec *la_request_origin(const request_rec *r);

/* The first request of the chain: the one that the client sent. */
request_rec *la_request_first(request_rec *r);

/* The state of the last request in a chain of internal redirects that has a denial or a caller, or
 * NULL. For log_transaction. */
const la_request_t *la_request_decided(const request_rec *r);

/* Hook post_read_request: notes what the client sent, before anybody changes it. */
int la_request_begin(request_rec *r);

/* The number of the method that the client sent; HEAD counts as GET. */
int la_request_method(request_rec *r);

/* Whether the request has that input filter. */
int la_request_has_input(const request_rec *r, const ap_filter_rec_t *filter);

/* Copies the client's header fields before authentication and fixups change them. Later calls for
 * the same chain do nothing. */
void la_request_keep_fields(request_rec *r);

/* The header fields as the client sent them. Constant, as long as the first request lives. */
const apr_table_t *la_request_fields(request_rec *r);

/* The caller whom the chain has for the same question (use, token, scheme, resource, path and query
 * of `asked`), or NULL. */
const la_caller_t *la_request_find_caller(request_rec *r, const la_caller_t *asked);

/* Adds a caller, which lives in the first request's pool, to the chain's. */
void la_request_add_caller(request_rec *r, la_caller_t *caller);

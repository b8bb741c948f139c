/* What the module knows of one request, kept in its request_config from the first
 * hook that learns something to the last that needs it.
 */
#ifndef LA_REQUEST_H
#define LA_REQUEST_H

#include "core/errdoc.h"
#include "core/identity.h"
#include "core/token.h"
#include "httpd/config.h"

typedef struct la_request_t {
    /* Authentication: what was asked, and the answer. A result holds for just this chain, path and query. */
    const la_use_t *use;
    const char *uri;
    const char *args;
    const la_resource_t *resource;
    const la_provider_t *provider; /* who accepted */
    const la_identity_t *identity; /* the caller; NULL unless accepted */
    const char *principal;
    char client_id[LA_CLIENT_ID_LEN + 1]; /* empty while there is no token */
    la_slice_t
        removed_token; /* taken out of the request by LlamaAuthForwardToken off; else empty */
    const void *forwarded_conf; /* headers and environment were set by this configuration */

    /* Authorization: the rules of this configuration were checked for this method, and held. */
    const void *checked_conf;
    int checked_method;

    /* The answer. */
    const la_denial_t *denial; /* why this request is refused; NULL while it is not */
    const char *realm; /* of the section that refused it, not necessarily this request's own */
    const la_errform_t *form; /* the document's; of that section too */
    int awaiting_require;     /* our checks held, httpd's Require is still to speak */
    int gated;                /* authentication and authorization of this request itself are over */
    int passed;               /* everything held: errors from here on are not ours */
} la_request_t;

/* The request's state, or NULL. */
la_request_t *la_request_get(const request_rec *r);

/* The request's state, made when there is none. */
la_request_t *la_request_make(request_rec *r);

/* Copies what authentication found from the state of a request that this one came from. */
void la_request_take_caller(la_request_t *state, const la_request_t *from);

#endif

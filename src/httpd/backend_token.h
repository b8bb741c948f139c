/* LlamaAuthBackendToken: the backend's own credential in place of the caller's token. */
#pragma once

#include <httpd.h>

/* Whether the caller's token goes no further than this section. */
int la_backend_token_hides(const request_rec *r);

/* Removes the client's own fields of the header that carries the credential here, and the proof for
 * an Authorization in whose place another one goes. */
void la_backend_token_scrub(request_rec *r);

/* Has mod_proxy call us before it sends a request's header fields. */
void la_backend_token_register(void);

/* SetHandler llama-auth-jwks: the public keys of the signers that a host sees. */
#ifndef LA_JWKS_H
#define LA_JWKS_H

#include <httpd.h>

/* Hook handler. */
int la_jwks_handler(request_rec *r);

#endif

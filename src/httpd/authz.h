/* Authorization: RequireScope and RequireAttribute, and the hooks that make them hold where httpd
 * would skip authentication. */
#ifndef LA_AUTHZ_H
#define LA_AUTHZ_H

#include "httpd/request.h"

/* Hook optional_fn_retrieve: finds mod_authz_core. */
void la_authz_optional_functions(void);

/* Hooks, in the order in which httpd runs them. */
int la_authz_check_access(request_rec *r);
int la_authz_check_access_ex(request_rec *r);
int la_authz_force_authn(request_rec *r);
int la_authz_check(request_rec *r);
int la_authz_gate(request_rec *r);
int la_authz_last_fixup(request_rec *r);

#endif

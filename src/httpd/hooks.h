/* Hooks, of files that do nothing else; mod_llama_auth.c registers them. */
#pragma once

#include <httpd.h>

/* lifecycle.c */
int la_lifecycle_pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp);
int la_lifecycle_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);

/* config/config_check.c: check_config, which `httpd -t` runs too. Logs what is wrong. */
int la_config_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);

/* authn.c: check_authn, before all others. */
int la_authn_check(request_rec *r);

/* authz.c: optional_fn_retrieve, then those of a request, in the order in which httpd runs them. */
void la_authz_optional_functions(void);
int la_authz_check_access(request_rec *r);
int la_authz_check_access_ex(request_rec *r);
int la_authz_force_authn(request_rec *r);
int la_authz_check(request_rec *r);
int la_authz_gate(request_rec *r);
int la_authz_last_fixup(request_rec *r);

/* metadata.c: the handlers `llama-auth-metadata` and `llama-auth-jwks`. */
int la_metadata_handler(request_rec *r);
int la_jwks_handler(request_rec *r);

/* require.c: registers its own, once. */
void la_require_register(apr_pool_t *pool);

/* Bindings that nobody can fulfil where the provider is used. */
#ifndef LA_BINDING_LINE_H
#define LA_BINDING_LINE_H

#include "provider/provider.h"

#include <httpd.h>
#include <http_config.h>

/* Why nobody can show what this provider's tokens have to be bound to; NULL if somebody can, as far
 * as the configuration tells.
 * sources: the LlamaAuthTokenSource that holds in the section, or NULL. */
const char *la_binding_line_fault(apr_pool_t *pool, const la_provider_t *provider,
                                  const ap_directive_t *sources);

#endif

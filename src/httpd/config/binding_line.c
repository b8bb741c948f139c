/* Looks at a provider's Binding beside the lines of a section that uses it. */
#include "httpd/config/binding_line.h"

#include "httpd/config/lines.h"

static int has_tls(void)
{
    return ap_find_linked_module("mod_ssl.c") || ap_find_linked_module("mod_tls.c") ||
           ap_find_linked_module("mod_gnutls.c");
}

const char *la_binding_line_fault(apr_pool_t *pool, const la_provider_t *provider,
                                  const ap_directive_t *sources)
{
    switch (provider->common.binding) {
    case LA_BINDING_MTLS:
        return has_tls() ? NULL
                         : "Binding mtls, and no mod_ssl: nobody has a client certificate here";
    case LA_BINDING_DPOP:
        return sources && !la_line_has_word(pool, sources, "Authorization")
                   ? "Binding dpop beside a LlamaAuthTokenSource without Authorization: a token "
                     "under the scheme DPoP is taken from there alone"
                   : NULL;
    case LA_BINDING_CHECK:
    case LA_BINDING_REQUIRE:
    case LA_BINDING_IGNORE:
        break;
    }
    return NULL;
}

/* What is protected (LlamaAuthResource, RFC 9728). */
#ifndef LA_RESOURCE_H
#define LA_RESOURCE_H

#include <httpd.h>

/* What one LlamaAuthResource line says. Constant. */
typedef struct la_resource_t {
    const char *url;
    const char *metadata_url;         /* where its document is: RFC 9728 section 3.1 */
    const apr_array_header_t *scopes; /* of const char * */
} la_resource_t;

/* Reads the arguments of LlamaAuthResource: an absolute http or https URL without fragment, then
 * scopes.
 *
 * Returns NULL, or what is wrong.
 */
const char *la_resource_parse(apr_pool_t *pool, int count, char *const words[],
                              const la_resource_t **resource);

#endif

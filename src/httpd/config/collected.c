/* The one place for what lines of all sections add to. */
#include "httpd/config/collected.h"

la_collected_t la_collected;

void la_collected_reset(apr_pool_t *pconf)
{
    la_collected = (la_collected_t){
        .providers = apr_array_make(pconf, 8, sizeof(la_entry_t)),
        .quotas = apr_array_make(pconf, 4, sizeof(la_entry_t)),
        .signers = apr_array_make(pconf, 2, sizeof(la_entry_t)),
        .forwarded = apr_array_make(pconf, 4, sizeof(const char *)),
        .token_headers = apr_array_make(pconf, 2, sizeof(const char *)),
        .token_queries = apr_array_make(pconf, 2, sizeof(const char *)),
        .handlers = apr_array_make(pconf, 8, sizeof(void *)),
    };
}

/* Parses LlamaAuthCors lines, while the configuration is read. */
#include "httpd/config/cors_line.h"

#include "access/origin.h"

#include <string.h>

const char *la_cors_parse(apr_pool_t *pool, int count, char *const words[], const la_cors_t **line)
{
    la_cors_t *parsed = apr_pcalloc(pool, sizeof(*parsed));

    if (count == 0) {
        return "takes origins, * or off";
    }
    parsed->off = count == 1 && strcasecmp(words[0], "off") == 0;
    parsed->any = count == 1 && strcmp(words[0], "*") == 0;
    parsed->origins = apr_array_make(pool, count, sizeof(const char *));
    for (int i = 0; i < count && !parsed->off && !parsed->any; i++) {
        const char *fault =
            strcmp(words[i], "*") == 0
                ? "* stands alone, since it is every origin"
                : la_origin_parse(pool, words[i], &APR_ARRAY_PUSH(parsed->origins, const char *));

        if (fault) {
            return fault;
        }
    }
    *line = parsed;
    return NULL;
}

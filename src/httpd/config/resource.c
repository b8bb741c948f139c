/* Reads lines of LlamaAuthResource: the protected resource of RFC 9728. While the configuration is
 * read, or an .htaccess. */
#include "httpd/config/resource.h"

#include "access/policy.h"
#include "io/http.h"

#include <apr_strings.h>

#define WELL_KNOWN "/.well-known/oauth-protected-resource"

/* The well-known part goes between the authority and the path; a path of `/` alone goes away. */
static const char *metadata_url(apr_pool_t *pool, const char *url)
{
    const char *authority = strstr(url, "://") + 3;
    const char *path = authority + strcspn(authority, "/?");
    const char *origin = apr_pstrmemdup(pool, url, (apr_size_t)(path - url));

    if (*path == '/' && (path[1] == '\0' || path[1] == '?')) {
        path++;
    }
    return apr_pstrcat(pool, origin, WELL_KNOWN, path, NULL);
}

static const char *add_scopes(apr_pool_t *pool, int count, char *const words[],
                              apr_array_header_t *scopes)
{
    int i;

    for (i = 0; i < count; i++) {
        const char *fault = la_policy_scope_fault(pool, words[i]);

        if (fault) {
            return fault;
        }
        APR_ARRAY_PUSH(scopes, const char *) = apr_pstrdup(pool, words[i]);
    }
    return NULL;
}

const char *la_resource_parse(apr_pool_t *pool, int count, char *const words[],
                              const la_resource_t **resource)
{
    la_resource_t *made = apr_pcalloc(pool, sizeof(*made));
    apr_array_header_t *scopes = apr_array_make(pool, 4, sizeof(const char *));
    const char *authority;
    const char *error;

    *resource = made;
    if (count == 0) {
        return "takes the resource's URL, and scopes";
    }
    error = la_url_check(pool, words[0], &authority);
    if (!error && strpbrk(words[0], "\"\\<>")) {
        error = "holds a character that no URL has";
    }
    if (error) {
        return apr_psprintf(pool, "'%s' %s", words[0], error);
    }
    made->url = apr_pstrdup(pool, words[0]);
    made->metadata_url = metadata_url(pool, made->url);
    made->scopes = scopes;
    return add_scopes(pool, count - 1, words + 1, scopes);
}

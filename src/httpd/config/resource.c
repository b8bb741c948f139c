/* Reads lines of LlamaAuthResource, LlamaAuthResourceServer and LlamaAuthResourceMember. */
#include "httpd/config/resource.h"

#include "access/policy.h"
#include "base/json.h"
#include "io/http.h"
#include "provider/discovery.h"

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
    for (int i = 1; i < count; i++) {
        APR_ARRAY_PUSH(scopes, const char *) = apr_pstrdup(pool, words[i]);
    }
    return la_scope_fault(pool, count - 1, (const char *const *)words + 1);
}

const char *la_resource_parse_servers(apr_pool_t *pool, int count, char *const words[],
                                      const apr_array_header_t **servers)
{
    apr_array_header_t *made = apr_array_make(pool, count, sizeof(const char *));

    for (int i = 0; i < count; i++) {
        const char *authority;
        const char *error = la_discovery_issuer_check(pool, words[i], &authority);

        if (error) {
            return apr_psprintf(pool, "'%s' %s", words[i], error);
        }
        APR_ARRAY_PUSH(made, const char *) = apr_pstrdup(pool, words[i]);
    }
    *servers = made;
    return count ? NULL : "takes the issuers of the authorization servers";
}

/* Members that other directives make, or the section's sources and providers do. */
static int is_ours(const char *name)
{
    static const char *const names[] = {"resource",
                                        "authorization_servers",
                                        "scopes_supported",
                                        "bearer_methods_supported",
                                        "dpop_signing_alg_values_supported",
                                        "dpop_bound_access_tokens_required",
                                        "tls_client_certificate_bound_access_tokens",
                                        NULL};
    const char *const *other;

    for (other = names; *other && strcmp(*other, name) != 0; other++) {}
    return *other != NULL;
}

static const la_resource_member_t *find_member(const apr_array_header_t *members, const char *name)
{
    for (int i = 0; members && i < members->nelts; i++) {
        const la_resource_member_t *member = &APR_ARRAY_IDX(members, i, la_resource_member_t);

        if (strcmp(member->name, name) == 0) {
            return member;
        }
    }
    return NULL;
}

static const char *parse_value(apr_pool_t *pool, const char *value, const char **json)
{
    la_json_writer_t writer;
    const la_json_t *parsed;
    const char *error;

    if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0 || strchr("{[\"", *value)) {
        *json = apr_pstrdup(pool, value);
        error = la_json_parse(pool, la_slice_of(value), &parsed);
        return error ? apr_psprintf(pool,
                                    "the value begins like JSON and is none (%s); for a string "
                                    "write '\"...\"'",
                                    error)
                     : NULL;
    }
    la_json_writer_init(&writer, pool);
    la_json_write_string(&writer, la_slice_of(value));
    *json = writer.data;
    return la_policy_is_text(value) ? NULL : "the value is UTF-8";
}

const char *la_resource_add_member(apr_pool_t *pool, const apr_array_header_t **members,
                                   const char *name, const char *value)
{
    la_resource_member_t member = {.name = apr_pstrdup(pool, name)};
    const char *error = parse_value(pool, value, &member.value);
    apr_array_header_t *made;

    if (!la_policy_is_text(name)) {
        return "the name is UTF-8";
    }
    if (is_ours(name)) {
        return apr_psprintf(pool, "%s is made by the module itself", name);
    }
    if (find_member(*members, name)) {
        return apr_psprintf(pool, "%s is named twice in this section", name);
    }
    made = *members ? apr_array_copy(pool, *members)
                    : apr_array_make(pool, 2, sizeof(la_resource_member_t));
    APR_ARRAY_PUSH(made, la_resource_member_t) = member;
    *members = made;
    return error;
}

const apr_array_header_t *la_resource_merge_members(apr_pool_t *pool,
                                                    const apr_array_header_t *parent,
                                                    const apr_array_header_t *section)
{
    apr_array_header_t *made;

    if (!parent || !section) {
        return section ? section : parent;
    }
    made = apr_array_copy(pool, section);
    for (int i = 0; i < parent->nelts; i++) {
        const la_resource_member_t *member = &APR_ARRAY_IDX(parent, i, la_resource_member_t);

        if (!find_member(section, member->name)) {
            APR_ARRAY_PUSH(made, la_resource_member_t) = *member;
        }
    }
    return made;
}

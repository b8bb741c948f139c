/* What is protected, and what its metadata says (RFC 9728). */
#pragma once

#include <httpd.h>

/* What one LlamaAuthResource line says. Constant. */
typedef struct la_resource_t {
    const char *url;
    const char *metadata_url;         /* where its document is: RFC 9728 section 3.1 */
    const apr_array_header_t *scopes; /* of const char * */
} la_resource_t;

/* A line of LlamaAuthResourceMember. */
typedef struct la_resource_member_t {
    const char *name;
    const char *value; /* a JSON text */
} la_resource_member_t;

/* Reads the arguments of LlamaAuthResource: an http or https URL without fragment, then scopes.
 * Returns NULL, or what is wrong. */
const char *la_resource_parse(apr_pool_t *pool, int count, char *const words[],
                              const la_resource_t **resource);

/* Reads the arguments of LlamaAuthResourceServer, the issuers that RFC 9728 calls authorization
 * servers: array of const char *.
 * Returns NULL, or what is wrong. */
const char *la_resource_parse_servers(apr_pool_t *pool, int count, char *const words[],
                                      const apr_array_header_t **servers);

/* Adds a line of LlamaAuthResourceMember to a section's.
 * members: array of la_resource_member_t, replaced; may point to NULL.
 * value: true, false and what begins with `{`, `[` or `"` is JSON, all else a string.
 * Returns NULL, or what is wrong. */
const char *la_resource_add_member(apr_pool_t *pool, const apr_array_header_t **members,
                                   const char *name, const char *value);

/* A nested section's members beside its parent's; of two with one name the nested one's. */
const apr_array_header_t *la_resource_merge_members(apr_pool_t *pool,
                                                    const apr_array_header_t *parent,
                                                    const apr_array_header_t *section);

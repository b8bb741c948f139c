/* The configuration: one struct per server, one per directory section, and the command table.
 * Constant once httpd has read its files. A new field needs a line here, a row in the command table
 * and a line in the merge; tests/http/test_guards.py fails when one is missing. */
#pragma once

#include "access/policy.h"
#include "httpd/config/backend_line.h"
#include "httpd/config/body_lines.h"
#include "httpd/config/cors_line.h"
#include "httpd/config/cache_lines.h"
#include "httpd/config/forward_rules.h"
#include "httpd/config/quotas.h"
#include "httpd/config/registry.h"
#include "httpd/config/resource.h"
#include "httpd/config/token_sources.h"
#include "httpd/config/errordocs.h"

#include <httpd.h>
#include <http_config.h>

/* Main server and virtual hosts. */
typedef struct la_server_conf_t {
    int outage_status;                   /* LlamaAuthOutageStatus: 401, 503, or 0 when not set */
    la_implied_scopes_t *implied_scopes; /* LlamaAuthScopeImplies; NULL when not set */
    la_cache_conf_t cache;               /* main server only */
    apr_size_t quota_bytes;              /* LlamaAuthQuotaSize; main server only */
} la_server_conf_t;

/* on|off, or not set, so that an enclosing section decides. */
typedef enum la_switch_e { LA_UNSET, LA_ON, LA_OFF } la_switch_e;

/* <Location>, <Directory>, <Files>, <If>, .htaccess. A pointer is NULL when nothing is set. */
typedef struct la_dir_conf_t {
    const la_use_t *use;                        /* LlamaAuthUse */
    const la_policy_t *scopes;                  /* RequireScope */
    const la_policy_t *attributes;              /* RequireAttribute */
    const la_policy_t *origins;                 /* RequireOrigin */
    const la_policy_t *models;                  /* RequireModel */
    const la_policy_t *mcp;                     /* RequireMcp */
    const la_policy_t *mcp_scopes;              /* LlamaAuthMcpScope */
    const la_model_sources_t *model_sources;    /* LlamaAuthModelSource; NULL is the default */
    int model_refusal;                          /* LlamaAuthModelRefusal; 0 is 403 */
    la_switch_e model_list;                     /* LlamaAuthModelList; not set is off */
    apr_size_t body_limit;                      /* LlamaAuthBodyLimit; 0 is the default */
    const la_cors_t *cors;                      /* LlamaAuthCors */
    const la_sources_t *sources;                /* LlamaAuthTokenSource; NULL is Authorization */
    const la_forwards_t *forwards;              /* LlamaAuthForward */
    const la_errordocs_t *documents;            /* LlamaAuthErrorDocument */
    const la_resource_t *resource;              /* LlamaAuthResource */
    const apr_array_header_t *resource_servers; /* LlamaAuthResourceServer: of const char * */
    const apr_array_header_t *resource_members; /* LlamaAuthResourceMember */
    const la_backend_token_t *backend_token;    /* LlamaAuthBackendToken */
    const la_quota_use_t *quotas;               /* LlamaAuthQuotaUse */
    la_switch_e usage;                          /* LlamaAuthUsage; not set is off */
    la_switch_e forward_token;                  /* LlamaAuthForwardToken; not set is on */
    la_switch_e env;                            /* LlamaAuthEnv; not set is off */
    la_switch_e preflight;                      /* LlamaAuthPreflight; not set is off */
} la_dir_conf_t;

extern const command_rec la_config_commands[];

void *la_config_create_server(apr_pool_t *pool, server_rec *server);
void *la_config_merge_server(apr_pool_t *pool, void *base, void *add);
void *la_config_create_dir(apr_pool_t *pool, char *dir);
void *la_config_merge_dir(apr_pool_t *pool, void *base, void *add);

extern module AP_MODULE_DECLARE_DATA llama_auth_module;

/* The merged configuration of the request's section. Each hook asks for it, hence inline. */
static inline const la_dir_conf_t *la_config_dir(const request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &llama_auth_module);
}

const la_server_conf_t *la_config_server(const server_rec *server);

/* LlamaAuthCacheShared with its secrets, or NULL when there is none. */
la_remote_options_t *la_config_remote(const server_rec *main_server);

/* The status when no provider could answer, on this server. */
int la_config_outage_status(const server_rec *server);

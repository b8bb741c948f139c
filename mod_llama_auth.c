/* mod_llama_auth: Bearer tokens in front of LLM and MCP servers, for Apache httpd 2.4.
 * The module record and the hook registrations: start here. Each hook's file says what it does,
 * authz.c why there are so many. */
#include "httpd/backend_token.h"
#include "httpd/body.h"
#include "httpd/config/config.h"
#include "httpd/cors.h"
#include "httpd/forward.h"
#include "httpd/handler.h"
#include "httpd/hooks.h"
#include "httpd/child.h"
#include "httpd/model_list.h"
#include "httpd/status/request_stats.h"
#include "httpd/query.h"
#include "httpd/quota.h"
#include "httpd/request.h"
#include "httpd/respond.h"
#include "httpd/scrub.h"
#include "httpd/status/status.h"
#include "httpd/usage_filter.h"

#include <http_config.h>
#include <http_protocol.h>
#include <http_request.h>

static void register_hooks(apr_pool_t *pool)
{
    static const char *const before_authz_core[] = {"mod_authz_core.c", NULL};
    static const char *const before_forensic[] = {"mod_log_forensic.c", NULL};

    ap_hook_pre_config(la_lifecycle_pre_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(la_config_check, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(la_lifecycle_post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(la_child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_optional_fn_retrieve(la_authz_optional_functions, NULL, NULL, APR_HOOK_MIDDLE);

    ap_hook_post_read_request(la_request_begin, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_post_read_request(la_query_read, NULL, before_forensic, APR_HOOK_REALLY_FIRST);
    ap_hook_insert_error_filter(la_query_hide, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_log_transaction(la_query_hide_from_log, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_post_read_request(la_scrub_read, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_insert_filter(la_scrub_insert_filter, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_access(la_authz_check_access, NULL, NULL, APR_HOOK_FIRST,
                         AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_access_ex(la_authz_check_access_ex, NULL, before_authz_core, APR_HOOK_FIRST,
                            AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_force_authn(la_authz_force_authn, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_check_authn(la_authn_check, NULL, NULL, APR_HOOK_FIRST, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_authz(la_authz_check, NULL, before_authz_core, APR_HOOK_REALLY_FIRST,
                        AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_fixups(la_authz_gate, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_fixups(la_authz_last_fixup, NULL, NULL, APR_HOOK_REALLY_LAST);

    /* Before mod_proxy's, which answers every request that a ProxyPass of an enclosing section
     * covers. */
    ap_hook_handler(la_forward_before_handler, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_handler(la_metadata_handler, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_handler(la_jwks_handler, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_handler(la_status_handler, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_log_transaction(la_request_stats_count, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_insert_error_filter(la_respond_insert_error_filter, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_insert_filter(la_cors_insert_filter, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_insert_error_filter(la_cors_insert_filter, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_insert_filter(la_body_insert_filter, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_insert_filter(la_model_list_insert_filter, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_insert_filter(la_quota_insert_filter, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_insert_filter(la_usage_filter_insert, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_insert_error_filter(la_quota_insert_filter, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_log_transaction(la_quota_settle, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_note_auth_failure(la_respond_note_auth_failure, NULL, NULL, APR_HOOK_FIRST);
    la_backend_token_register();
    la_body_register();
    la_cors_register();
    la_handler_register();
    la_model_list_register();
    la_quota_register();
    la_respond_register();
    la_scrub_register();
    la_status_register();
    la_require_register(pool);
}

/* The one symbol that the .so shows; everything else is compiled hidden. */
extern __attribute__((visibility("default"))) module llama_auth_module;

AP_DECLARE_MODULE(llama_auth) = {
    STANDARD20_MODULE_STUFF, la_config_create_dir, la_config_merge_dir, la_config_create_server,
    la_config_merge_server,  la_config_commands,   register_hooks,      AP_MODULE_FLAG_NONE};

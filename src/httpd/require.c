/* Authorization providers and expression functions for the caller that authn.c found; a caller of
 * another AuthType, or nobody, has no attributes. And `Require expr` for a known caller.
 * Registered per configuration (AP_AUTH_INTERNAL_PER_CONF), as the hooks are: else httpd would run
 * all checks again for each internal redirect. */
#include "httpd/hooks.h"

#include "access/policy.h"
#include "httpd/config/place.h"
#include "httpd/request.h"
#include "io/server.h"

#include <ap_expr.h>
#include <ap_provider.h>
#include <apr_strings.h>
#include <http_config.h>
#include <http_log.h>
#include <http_request.h>
#include <mod_auth.h>

APLOG_USE_MODULE(llama_auth);

static const la_identity_t *identity_of(const request_rec *r)
{
    const la_caller_t *caller = la_request_caller(r);

    return caller ? caller->identity : NULL;
}

/* Parses a line as a policy of one rule. words: of const char *. */
static const char *parse_rule(cmd_parms *cmd, const apr_array_header_t *words,
                              la_policy_add_fn *add, const void **parsed)
{
    const la_policy_line_t rule = {LA_METHODS_ALL, la_place_of_line(cmd), words->nelts,
                                   (const char *const *)words->elts};
    const la_policy_t *policy = NULL;
    const char *fault = la_place_of_require(cmd);

    fault = fault ? fault : add(cmd->pool, &policy, &rule);
    *parsed = policy;
    return fault;
}

static void add_words(apr_pool_t *pool, apr_array_header_t *words, const char *line)
{
    while (*line) {
        APR_ARRAY_PUSH(words, const char *) = ap_getword_conf(pool, &line);
    }
}

static const char *parse_scope(cmd_parms *cmd, const char *line, const void **parsed)
{
    apr_array_header_t *words = apr_array_make(cmd->pool, 4, sizeof(const char *));
    const char *first;
    const char *fault;

    APR_ARRAY_PUSH(words, const char *) = "any";
    add_words(cmd->pool, words, line);
    if (words->nelts == 1) {
        return "Require llama-scope takes scopes, of which the caller must have one";
    }
    first = APR_ARRAY_IDX(words, 1, const char *);
    if (strcasecmp(first, "all") == 0 || strcasecmp(first, "any") == 0 ||
        strcasecmp(first, "none") == 0) {
        return apr_psprintf(
            cmd->pool,
            "Require llama-scope has no %s: any of the scopes suffices, as in Require llama-scope "
            "models.read; RequireScope and <RequireAll> ask for all",
            first);
    }
    fault = parse_rule(cmd, words, la_policy_add_scopes, parsed);
    return fault ? apr_pstrcat(cmd->pool, "Require llama-scope: ", fault, NULL) : NULL;
}

static const char *parse_attribute(cmd_parms *cmd, const char *line, const void **parsed)
{
    apr_array_header_t *words = apr_array_make(cmd->pool, 4, sizeof(const char *));
    const char *fault;

    add_words(cmd->pool, words, line);
    if (words->nelts < 2) {
        return "Require llama-attribute takes a category and values, of which the caller must have "
               "one";
    }
    fault = parse_rule(cmd, words, la_policy_add_attribute, parsed);
    return fault ? apr_pstrcat(cmd->pool, "Require llama-attribute: ", fault, NULL) : NULL;
}

static authz_status check(request_rec *r, const char *line, const void *parsed)
{
    const la_subject_t caller = {identity_of(r), la_config_server(r->server)->implied_scopes};
    la_policy_refusal_t refusal;

    (void)line;
    if (!r->user) {
        return AUTHZ_DENIED_NO_USER;
    }
    if (la_policy_check(r->pool, parsed, LA_METHODS_ALL, &caller, &refusal)) {
        return AUTHZ_GRANTED;
    }
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                  LA_LOGNO(0242) "a Require does not hold for %s: %s", r->uri, refusal.reason);
    return AUTHZ_DENIED;
}

static const authz_provider scope_provider = {check, parse_scope};
static const authz_provider attribute_provider = {check, parse_attribute};

/* ---- expressions ---- */

static apr_array_header_t *attribute_list(ap_expr_eval_ctx_t *context, const void *data,
                                          const char *category)
{
    apr_array_header_t *values = apr_array_make(context->p, 4, sizeof(const char *));
    const la_identity_t *identity = context->r ? identity_of(context->r) : NULL;
    apr_size_t index;

    (void)data;
    if (!identity) {
        return values;
    }
    index = la_identity_find(identity, la_slice_of(category));
    for (apr_size_t i = 0; i < la_identity_value_count(identity, index); i++) {
        APR_ARRAY_PUSH(values, const char *) = la_identity_value(identity, index, i).data;
    }
    return values;
}

/* The values as one text, as in the note llama_auth.attribute.<category>. */
static const char *attribute_text(ap_expr_eval_ctx_t *context, const void *data,
                                  const char *category)
{
    const la_identity_t *identity = context->r ? identity_of(context->r) : NULL;
    const char *name;
    const char *value = "";
    apr_size_t index;

    (void)data;
    if (identity) {
        index = la_identity_find(identity, la_slice_of(category));
        if (index < la_identity_count(identity)) {
            la_identity_note(identity, index, &name, &value);
        }
    }
    return value;
}

/* httpd takes functions as void pointers. */
typedef union function_t {
    ap_expr_list_func_t *list;
    ap_expr_string_func_t *text;
    const void *pointer;
} function_t;

static int lookup(ap_expr_lookup_parms *parms)
{
    function_t function = {0};

    if (strcasecmp(parms->name, "llama_attribute") != 0) {
        return DECLINED;
    }
    if (parms->type == AP_EXPR_FUNC_LIST) {
        function.list = attribute_list;
    } else if (parms->type == AP_EXPR_FUNC_STRING) {
        function.text = attribute_text;
    } else {
        return DECLINED;
    }
    *parms->func = function.pointer;
    *parms->data = NULL;
    return OK;
}

/* ---- Require expr ---- */

/* httpd's own provider, and ours in its place. */
static const authz_provider *httpd_expr;
static authz_provider known_expr;

/* httpd takes a false expression that mentions the user for "no user", and asks for one. If the
 * caller is known it is a plain refusal, so that AuthzSendForbiddenOnFailure decides the status.
 * httpd lets nobody in for either answer, so this opens nothing. */
static authz_status check_expr(request_rec *r, const char *line, const void *parsed)
{
    authz_status status = httpd_expr->check_authorization(r, line, parsed);

    return status == AUTHZ_DENIED_NO_USER && r->user && identity_of(r) ? AUTHZ_DENIED : status;
}

/* Runs after all modules are loaded and before their lines are read. */
static int wrap_expr(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    const authz_provider *found =
        ap_lookup_provider(AUTHZ_PROVIDER_GROUP, "expr", AUTHZ_PROVIDER_VERSION);

    (void)plog;
    (void)ptemp;
    if (found && found != &known_expr) {
        httpd_expr = found;
        known_expr = (authz_provider){check_expr, found->parse_require_line};
        ap_register_provider(pconf, AUTHZ_PROVIDER_GROUP, "expr", AUTHZ_PROVIDER_VERSION,
                             &known_expr);
    }
    return OK;
}

void la_require_register(apr_pool_t *pool)
{
    ap_hook_pre_config(wrap_expr, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_register_auth_provider(pool, AUTHZ_PROVIDER_GROUP, "llama-scope", AUTHZ_PROVIDER_VERSION,
                              &scope_provider, AP_AUTH_INTERNAL_PER_CONF);
    ap_register_auth_provider(pool, AUTHZ_PROVIDER_GROUP, "llama-attribute", AUTHZ_PROVIDER_VERSION,
                              &attribute_provider, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_expr_lookup(lookup, NULL, NULL, APR_HOOK_MIDDLE);
}

/* Authorization, and why it fails closed. httpd authenticates only if a Require needs a user; five
 * hooks together demand it if one of our rules applies:
 *
 *   check_access     Satisfy any must not let the request pass on its address alone
 *   check_access_ex  no Require at all: httpd would call an AuthType without one an error
 *   force_authn      Require all granted, Require ip: authenticate nevertheless
 *   auth_checker     the rules themselves; success leaves httpd's Require to decide
 *   fixups           httpd skips all of the above for an internal redirect or a subrequest in the
 *                    same section, even if the first was refused; mod_dir and mod_negotiation put
 *                    another section's configuration into a request, checked for GET whatever the
 *                    method is. So the first and the last fixup check that access was decided for
 *                    the section, path and query that are served, and if not they run httpd's
 *                    checks again
 */
#include "httpd/hooks.h"

#include "httpd/cors.h"
#include "httpd/credential.h"
#include "httpd/forward.h"
#include "httpd/mcp.h"
#include "httpd/model.h"
#include "httpd/model_list.h"
#include "httpd/quota.h"
#include "httpd/respond.h"
#include "httpd/section.h"
#include "io/server.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_log.h>
#include <http_request.h>

APLOG_USE_MODULE(llama_auth);

static APR_OPTIONAL_FN_TYPE(authz_some_auth_required) * some_auth_required;

void la_authz_optional_functions(void)
{
    some_auth_required = APR_RETRIEVE_OPTIONAL_FN(authz_some_auth_required);
}

/* Whether a Require applies to this request; without mod_authz_core none does. */
static int require_applies(request_rec *r)
{
    return some_auth_required && some_auth_required(r);
}

/* Whether our rules apply; they do not for a preflight that may pass. */
static int demands_caller(request_rec *r)
{
    return la_section_has_rules(r) && !la_section_is_preflight(r);
}

static void note_place(request_rec *r)
{
    la_request_t *state = la_request_make(r);

    state->decided_conf = r->per_dir_config;
    state->decided_uri = r->uri;
    state->decided_args = r->args;
}

static int is_decided(const request_rec *r)
{
    const la_request_t *state = la_request_get(r);

    return state && state->decided_conf == r->per_dir_config &&
           la_text_is_same(state->decided_uri, r->uri) &&
           la_text_is_same(state->decided_args, r->args);
}

/* What is decided about browsers, whoever the caller is. */
static int check_browser(request_rec *r)
{
    int status = la_cors_check_origin(r);

    return status == OK ? la_cors_begin(r) : status;
}

int la_authz_check_access(request_rec *r)
{
    int status;

    note_place(r);
    la_request_keep_fields(r); /* mod_ssl's FakeBasicAuth overwrites one in check_authn */
    la_credential_redact(r, la_config_dir(r)->sources);
    status = check_browser(r);
    if (status != DECLINED) {
        return status;
    }
    if (la_section_is_preflight(r)) {
        la_respond_without_error_page(r);
    }
    return demands_caller(r) && ap_satisfies(r) == SATISFY_ANY ? HTTP_UNAUTHORIZED : DECLINED;
}

/* Under Satisfy any httpd also runs this after check_access refused. A user who is set before
 * authentication comes from another module (SSLUserName). */
int la_authz_check_access_ex(request_rec *r)
{
    int status = check_browser(r);

    if (status != DECLINED) {
        return status;
    }
    if (r->user && la_section_is_bearer(r)) {
        r->user = NULL;
    }
    return la_section_has_rules(r) && !require_applies(r) ? OK : DECLINED;
}

int la_authz_force_authn(request_rec *r)
{
    return demands_caller(r) ? OK : DECLINED;
}

static int deny(request_rec *r, la_denial_e kind, const la_policy_refusal_t *refusal)
{
    la_denial_t denial = la_denial_make(kind, refusal->message);
    const la_request_t *state = la_request_get(r);

    if (kind == LA_DENIAL_SCOPE) {
        denial.scope = la_policy_scopes(r->pool, la_config_dir(r)->scopes, la_section_methods(r));
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, LA_LOGNO(0030) "%s, token %.8s, for %s: %s: %s",
                  r->user ? r->user : "nobody", state ? state->client_id : "", r->uri,
                  refusal->message, refusal->reason);
    return la_respond_deny(r, denial);
}

/* Checks RequireScope and RequireAttribute. A caller of another AuthType has no identity here, so
 * that no rule holds for him. */
static int check_rules(request_rec *r, const la_caller_t *caller)
{
    const la_dir_conf_t *conf = la_config_dir(r);
    la_methods_t methods = la_section_methods(r);
    const la_subject_t subject = {caller ? caller->identity : NULL,
                                  la_config_server(r->server)->implied_scopes};
    la_policy_refusal_t refusal;

    if (!la_policy_check(r->pool, conf->scopes, methods, &subject, &refusal)) {
        return deny(r, LA_DENIAL_SCOPE, &refusal);
    }
    if (!la_policy_check(r->pool, conf->attributes, methods, &subject, &refusal)) {
        return deny(r, LA_DENIAL_ATTRIBUTE, &refusal);
    }
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                  LA_LOGNO(0034) "RequireScope and RequireAttribute hold for %s", r->uri);
    return OK;
}

/* Refuses a caller with several values if the backend is told of one: a tenant is never guessed. */
static int check_forwards(request_rec *r, const la_caller_t *caller)
{
    const la_forwards_t *forwards = la_config_dir(r)->forwards;
    la_slice_t category;
    const la_forward_line_t *line = forwards && forwards->sends_one
                                        ? la_forward_find_ambiguous(forwards, caller, &category)
                                        : NULL;
    la_policy_refusal_t refusal;

    if (!line) {
        return OK;
    }
    refusal.message = apr_pstrcat(
        r->pool, "Access denied: more than one value of attribute: ", category.data, NULL);
    refusal.reason = apr_psprintf(
        r->pool, "LlamaAuthForward %s %s:%s sends one value, and the caller has %." LA_SHOWN "s",
        line->header, line->signer ? "assertion" : "one", line->category.data,
        la_policy_values(caller->identity, category));
    return deny(r, LA_DENIAL_ATTRIBUTE, &refusal);
}

static int check_caller(request_rec *r, const la_caller_t *caller, int has_rules)
{
    int status = has_rules ? check_rules(r, caller) : OK;

    return status == OK && caller ? check_forwards(r, caller) : status;
}

int la_authz_check(request_rec *r)
{
    const la_caller_t *caller = la_request_caller(r);
    int has_rules = la_section_has_rules(r);
    int status;

    if (la_section_is_preflight(r)) {
        return OK;
    }
    status = check_caller(r, caller, has_rules);
    if (status != OK || (has_rules && !require_applies(r))) {
        return status;
    }
    if (caller) {
        la_respond_await_require(r);
    }
    return DECLINED;
}

/* ---- deciding again, if httpd did not decide for the section that is served ---- */

/* A hook's status as httpd takes it: it is an error if no module answers. */
static int required(int status)
{
    return status == DECLINED ? HTTP_INTERNAL_SERVER_ERROR : status;
}

static int authenticate(request_rec *r)
{
    int status = required(ap_run_check_user_id(r));

    return status == OK && !r->user ? HTTP_INTERNAL_SERVER_ERROR : status;
}

static int authenticate_and_authorize(request_rec *r)
{
    int status = authenticate(r);

    return status == OK ? required(ap_run_auth_checker(r)) : status;
}

/* Whether httpd, after what access_checker_ex said, authenticates. */
static int needs_user(request_rec *r, int status)
{
    return status == DECLINED || (status == OK && ap_run_force_authn(r) == OK);
}

/* All checks in httpd's order (ap_process_request_internal()), if a section replaced another. */
static int decide(request_rec *r)
{
    int satisfies_any = ap_satisfies(r) == SATISFY_ANY;
    int status = ap_run_access_checker(r);

    if ((status == OK) == satisfies_any) {
        return status;
    }
    status = ap_run_access_checker_ex(r);
    return needs_user(r, status) ? authenticate_and_authorize(r) : status;
}

/* Those checks that need a caller, for a request in the same section as the one that led to it:
 * httpd would take over that request's user even if it was refused. An error page is still shown to
 * an address that was refused. */
static int decide_on_caller(request_rec *r)
{
    int status;

    if (ap_satisfies(r) == SATISFY_ANY && ap_run_access_checker(r) == OK) {
        return OK; /* the address is enough */
    }
    if (needs_user(r, ap_run_access_checker_ex(r))) {
        return authenticate_and_authorize(r);
    }
    if (!demands_caller(r)) {
        return OK;
    }
    status = authenticate(r);
    return status == OK ? check_caller(r, la_request_caller(r), 1) : status;
}

/* Whether this section is ours, or the section before it was. */
static int is_concerned(request_rec *r)
{
    return la_request_caller(r) || la_section_is_bearer(r) || la_section_has_rules(r);
}

/* Decides access for what is served, unless that has been done. */
static int ensure_decided(request_rec *r, int (*decision)(request_rec *r))
{
    int status;

    if (is_decided(r)) {
        return OK;
    }
    if (!is_concerned(r)) {
        return la_cors_check_origin(r); /* httpd's users of such a section stay as they are */
    }
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                  LA_LOGNO(0031) "httpd did not decide on access to %s for this request, so it is "
                                 "done now",
                  r->uri);
    la_respond_require_held(r); /* in the section before, if httpd checked there */
    la_forward_keep_private(r); /* only that caller was led here */
    la_forward_nobody(r);
    status = la_cors_check_origin(r);
    status = status == OK ? decision(r) : status;
    if (status != OK) {
        return status;
    }
    note_place(r);
    la_respond_require_held(r);
    return OK;
}

/* In a section of ours no other user counts than the caller. */
static void forget_other_user(request_rec *r)
{
    if (r->user && !la_request_caller(r) && la_section_is_bearer(r)) {
        r->user = NULL;
        r->ap_auth_type = NULL;
    }
}

/* Whether httpd checked this request; mod_negotiation may have changed its section since. */
static int was_checked(const request_rec *r)
{
    const la_request_t *state = la_request_get(r);

    return state && state->decided_conf;
}

/* Refuses a request whose sections together give its backend two credentials in one header, which
 * only merging them shows. */
static int check_backend_token(request_rec *r)
{
    const la_dir_conf_t *conf = la_config_dir(r);
    const la_forward_line_t *clash =
        conf->backend_token ? la_backend_clash(conf->backend_token, conf->forwards) : NULL;

    if (!clash) {
        return OK;
    }
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                  LA_LOGNO(0250) "LlamaAuthBackendToken and LlamaAuthForward %s both hold for %s: "
                                 "one of them has to go",
                  clash->header, r->uri);
    return la_respond_deny(r, la_denial_make(LA_DENIAL_MISCONFIGURED, NULL));
}

int la_authz_gate(request_rec *r)
{
    int status;

    la_request_keep_fields(r);
    status = ensure_decided(r, was_checked(r) ? decide : decide_on_caller);
    status = status == OK ? check_backend_token(r) : status;
    if (status != OK) {
        return status;
    }
    la_respond_require_held(r);
    forget_other_user(r);
    la_forward_to_handler(r);
    note_place(r); /* a token in the query string may have been removed just now */
    return DECLINED;
}

/* The rules that need the body. It is read for those alone whom all other rules let through. */
static int check_body(request_rec *r)
{
    int status;

    if (la_section_is_preflight(r)) {
        return OK;
    }
    status = la_mcp_check(r);
    return status == OK ? la_model_check(r) : status;
}

/* httpd serves a request that asks for HTTP/2 by Upgrade twice, the second time as the first one
 * left it: without the token that was removed, with a proof that was seen before, and counted again
 * by quotas. So where there is a caller or a quota it is answered by HTTP/1.1. */
static void keep_protocol(request_rec *r)
{
    const char *upgrade = apr_table_get(r->headers_in, "Upgrade");

    if (upgrade && ap_find_token(r->pool, upgrade, "h2c") &&
        (la_request_caller(r) || la_config_dir(r)->quotas)) {
        apr_table_unset(r->headers_in, "Upgrade");
    }
}

int la_authz_last_fixup(request_rec *r)
{
    int status = ensure_decided(r, decide);

    keep_protocol(r);
    status = status == OK ? check_backend_token(r) : status;
    if (status != OK) {
        return status;
    }
    forget_other_user(r);
    status = check_body(r);
    status = status == OK ? la_quota_admit(r) : status;
    if (status != OK) {
        return status;
    }
    la_forward_to_handler(r);
    la_model_forward(r);
    la_model_list_prepare(r);
    la_forward_keep_private(r);
    la_respond_passed(r);
    return DECLINED;
}

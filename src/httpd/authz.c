/* Authorization, and why it fails closed. httpd asks for authentication only where a Require needs a
 * user; five hooks together demand it wherever our rules are in force:
 *
 *   check_access     Satisfy any must not let the request pass on its address alone
 *   check_access_ex  no Require at all: httpd would call an AuthType without one an error
 *   force_authn      Require all granted, Require ip: authenticate nevertheless
 *   auth_checker     the rules themselves; success leaves httpd's Require to speak
 *   fixups           the gate: httpd skips all of the above for an internal redirect or a
 *                    subrequest in the same section, even when the first request was refused; and once more
 *                    at the end, since mod_dir and mod_negotiation put another section's configuration and
 *                    handler into the request, checked for GET whatever the method is
 */
#include "httpd/authz.h"

#include "httpd/authn.h"
#include "httpd/credential.h"
#include "httpd/forward.h"
#include "httpd/respond.h"
#include "provider/host.h"

#include <http_core.h>
#include <http_log.h>
#include <http_request.h>

APLOG_USE_MODULE(llama_auth);

la_methods_t la_authz_method(const request_rec *r)
{
    return (la_methods_t)AP_METHOD_BIT << r->method_number;
}

int la_authz_in_force(const request_rec *r)
{
    const la_dir_conf_t *conf = la_config_dir(r);
    la_methods_t method = la_authz_method(r);

    return la_policy_in_force(conf->scopes, method) || la_policy_in_force(conf->attributes, method);
}

static APR_OPTIONAL_FN_TYPE(authz_some_auth_required) * some_auth_required;

void la_authz_optional_functions(void)
{
    some_auth_required = APR_RETRIEVE_OPTIONAL_FN(authz_some_auth_required);
}

/* Whether a Require of httpd applies to this request; without mod_authz_core there is none. */
static int require_applies(request_rec *r)
{
    return some_auth_required && some_auth_required(r);
}

/* Whether our rules have a say: a preflight that may pass is not asked who it is. */
static int demands_caller(request_rec *r)
{
    return la_authz_in_force(r) && !la_authn_is_preflight(r);
}

int la_authz_check_access(request_rec *r)
{
    la_credential_redact(r, la_config_dir(r)->sources);
    return demands_caller(r) && ap_satisfies(r) == SATISFY_ANY ? HTTP_UNAUTHORIZED : DECLINED;
}

int la_authz_check_access_ex(request_rec *r)
{
    return la_authz_in_force(r) && !require_applies(r) ? OK : DECLINED;
}

int la_authz_force_authn(request_rec *r)
{
    return demands_caller(r) ? OK : DECLINED;
}

static int deny(request_rec *r, la_denial_e kind, const char *message, const char *scope)
{
    la_denial_t denial = la_denial_make(kind, message);
    const la_request_t *state = la_request_get(r);

    denial.scope = scope;
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, LA_LOGNO(0030) "%s, token %.8s, for %s: %s",
                  r->user ? r->user : "nobody", state ? state->client_id : "", r->uri, message);
    return la_respond_deny(r, denial);
}

/* Checks the rules against the caller; a caller of another AuthType has no identity here, so nothing holds. */
static int check_rules(request_rec *r)
{
    const la_dir_conf_t *conf = la_config_dir(r);
    la_methods_t method = la_authz_method(r);
    la_request_t *state = la_request_make(r);
    const char *message;

    if (!la_policy_check(r->pool, conf->scopes, method, state->identity, &message)) {
        return deny(r, LA_DENIAL_SCOPE, message, la_policy_scopes(r->pool, conf->scopes, method));
    }
    if (!la_policy_check(r->pool, conf->attributes, method, state->identity, &message)) {
        return deny(r, LA_DENIAL_ATTRIBUTE, message, NULL);
    }
    state->checked_conf = r->per_dir_config;
    state->checked_method = r->method_number;
    if (la_authz_in_force(r)) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                      LA_LOGNO(0034) "RequireScope and RequireAttribute hold for %s", r->uri);
    }
    return OK;
}

int la_authz_check(request_rec *r)
{
    const la_request_t *state = la_request_get(r);
    int status;

    if (la_authn_is_preflight(r)) {
        return OK;
    }
    if (la_authz_in_force(r)) {
        status = check_rules(r);
        if (status != OK) {
            return status;
        }
        if (!require_applies(r)) {
            return OK;
        }
        state = la_request_get(r);
    }
    if (state && state->identity) {
        la_respond_await_require(r);
    }
    return DECLINED;
}

/* The state of the request whose authentication httpd took over for this one, or NULL. */
static const la_request_t *inherited(const request_rec *r)
{
    if (r->prev && r->prev->per_dir_config == r->per_dir_config) {
        return la_request_get(r->prev);
    }
    if (r->main && r->main->per_dir_config == r->per_dir_config) {
        return la_request_get(r->main);
    }
    return NULL;
}

/* Shows the caller to a request that httpd did not authenticate anew. */
static void inherit_caller(request_rec *r)
{
    const la_request_t *from = inherited(r);
    la_request_t *state = la_request_get(r);

    if (from && from->identity && !(state && state->identity)) {
        state = la_request_make(r);
        la_request_take_caller(state, from);
        la_forward_caller(r, state);
    }
}

static int checked_here(const request_rec *r)
{
    const la_request_t *state = la_request_get(r);

    return state && state->checked_conf == r->per_dir_config &&
           state->checked_method == r->method_number;
}

/* Authenticates and checks the rules outside httpd's own order. */
static int enforce(request_rec *r)
{
    const la_request_t *state = la_request_get(r);
    int status = OK;

    if (!(state && state->identity) && (la_authn_is_bearer(r) || !r->user)) {
        status = la_authn_require(r);
    }
    return status == OK ? check_rules(r) : status;
}

/* Sees to it that the rules in force were checked. */
static int ensure_checked(request_rec *r)
{
    if (!demands_caller(r) || checked_here(r)) {
        return OK;
    }
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                  LA_LOGNO(0031) "%s was not checked on httpd's way here, so it is now", r->uri);
    return enforce(r);
}

int la_authz_gate(request_rec *r)
{
    int status;

    inherit_caller(r);
    status = ensure_checked(r);
    if (status != OK) {
        return status;
    }
    la_respond_require_held(r);
    if (r->user && !*r->user && la_authn_is_preflight(r)) {
        r->user = NULL;
    }
    la_forward_to_handler(r);
    return DECLINED;
}

int la_authz_last_fixup(request_rec *r)
{
    const char *principal = apr_table_get(r->notes, LA_NOTE_PRINCIPAL);
    int status = ensure_checked(r);

    if (status != OK) {
        return status;
    }
    if (!r->user && principal) {
        la_forward_user(r, principal);
    }
    la_forward_to_handler(r);
    la_respond_passed(r);
    return DECLINED;
}

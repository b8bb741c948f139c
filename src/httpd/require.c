/* Authorization providers and expression functions over the caller that authn.c found. They only
 * read what is known: a caller of another AuthType, or nobody, has no attributes. And what `Require
 * expr` says of a caller who is known.
 *
 * Registered per configuration (AP_AUTH_INTERNAL_PER_CONF), as the hooks are: a module of the older
 * kind would have httpd run everything again for each internal redirect.
 */
#include "httpd/require.h"

#include "access/policy.h"
#include "httpd/config/place.h"
#include "httpd/request.h"

#include <ap_expr.h>
#include <ap_provider.h>
#include <apr_strings.h>
#include <http_config.h>
#include <http_request.h>
#include <mod_auth.h>

/* A parsed line: any of `values` in `category`, or any value at all. */
typedef struct demand_t {
    la_slice_t category;
    const char **values; /* closed with NULL */
    int any_value;
} demand_t;

static const la_identity_t *identity_of(const request_rec *r)
{
    const la_request_t *state = la_request_get(r);

    return state && state->caller ? state->caller->identity : NULL;
}

/* The line's words, closed with NULL; `count` is without it. */
static const char **split(apr_pool_t *pool, const char *line, int *count)
{
    apr_array_header_t *words = apr_array_make(pool, 4, sizeof(const char *));

    while (*line) {
        APR_ARRAY_PUSH(words, const char *) = ap_getword_conf(pool, &line);
    }
    *count = words->nelts;
    APR_ARRAY_PUSH(words, const char *) = NULL;
    return (const char **)words->elts;
}

/* A word that means something in RequireScope and would be a scope here. */
static const char *keyword_fault(apr_pool_t *pool, const char *const *words)
{
    static const char *const keywords[] = {"all", "any", "none"};
    apr_size_t i;

    for (i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
        if (words[0] && strcasecmp(words[0], keywords[i]) == 0) {
            return apr_psprintf(
                pool,
                "Require llama-scope has no %s: any of the scopes suffices, as in Require "
                "llama-scope models.read; RequireScope and <RequireAll> ask for all",
                words[0]);
        }
    }
    return NULL;
}

static const char *parse_scope(cmd_parms *cmd, const char *line, const void **parsed)
{
    demand_t *demand = apr_pcalloc(cmd->pool, sizeof(*demand));
    const char *fault;
    int count;
    int i;

    demand->category = LA_SLICE(LA_CATEGORY_SCOPES);
    demand->values = split(cmd->pool, line, &count);
    fault = count > 0 ? keyword_fault(cmd->pool, demand->values)
                      : "Require llama-scope takes scopes, of which the caller must have one";
    if (!fault && (fault = la_place_of_require(cmd)) != NULL) {
        fault = apr_pstrcat(cmd->pool, "Require llama-scope: ", fault, NULL);
    }
    if (fault) {
        return fault;
    }
    for (i = 0; i < count; i++) {
        fault = la_policy_scope_fault(cmd->pool, demand->values[i]);
        if (fault) {
            return apr_pstrcat(cmd->pool, "Require llama-scope: ", fault, NULL);
        }
    }
    *parsed = demand;
    return NULL;
}

static int has_empty(const char *const *words)
{
    for (; *words && **words; words++) {}
    return *words != NULL;
}

static const char *parse_attribute(cmd_parms *cmd, const char *line, const void **parsed)
{
    demand_t *demand = apr_pcalloc(cmd->pool, sizeof(*demand));
    const char **words;
    const char *fault;
    int count;

    words = split(cmd->pool, line, &count);
    if (count < 2) {
        return "Require llama-attribute takes a category and values, of which the caller must have "
               "one";
    }
    if (!*words[0] || has_empty(words + 1)) {
        return "Require llama-attribute: neither the category nor a value may be empty";
    }
    fault = la_policy_attribute_fault(count, words);
    fault = fault ? fault : la_place_of_require(cmd);
    if (fault) {
        return apr_pstrcat(cmd->pool, "Require llama-attribute: ", fault, NULL);
    }
    demand->category = (la_slice_t){words[0], strlen(words[0])};
    demand->values = words + 1;
    demand->any_value = la_policy_is_any_value(words[1]);
    *parsed = demand;
    return NULL;
}

static authz_status check(request_rec *r, const char *line, const void *parsed)
{
    const demand_t *demand = parsed;
    const la_identity_t *identity = identity_of(r);
    const char **value;

    (void)line;
    if (!r->user) {
        return AUTHZ_DENIED_NO_USER;
    }
    if (demand->any_value) {
        return la_policy_has_value(identity, demand->category) ? AUTHZ_GRANTED : AUTHZ_DENIED;
    }
    for (value = demand->values; identity && *value; value++) {
        if (la_identity_has(identity, demand->category, (la_slice_t){*value, strlen(*value)})) {
            return AUTHZ_GRANTED;
        }
    }
    return AUTHZ_DENIED;
}

static const authz_provider scope_provider = {check, parse_scope};
static const authz_provider attribute_provider = {check, parse_attribute};

/* ---- expressions ---- */

/* The values of a category, as they came. */
static apr_array_header_t *attribute_list(ap_expr_eval_ctx_t *context, const void *data,
                                          const char *category)
{
    apr_array_header_t *values = apr_array_make(context->p, 4, sizeof(const char *));
    const la_identity_t *identity = context->r ? identity_of(context->r) : NULL;
    apr_size_t index;
    apr_size_t i;

    (void)data;
    if (!identity) {
        return values;
    }
    index = la_identity_find(identity, la_slice_of(category));
    for (i = 0; i < la_identity_value_count(identity, index); i++) {
        APR_ARRAY_PUSH(values, const char *) = la_identity_value(identity, index, i).data;
    }
    return values;
}

/* The same as one text, as the note llama_auth.attribute.<category> has it. */
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

/* httpd's look-up hands functions out through void pointers. */
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

/* httpd's own provider, and ours in its place: the same line, with another answer for a known
 * caller. */
static const authz_provider *httpd_expr;
static authz_provider known_expr;

/* A false expression that mentions the user means "no user" to httpd, so that it asks for one.
 * Where the caller is known already it is a plain refusal, as that of every other Require is:
 * AuthzSendForbiddenOnFailure decides how it is told. httpd lets nobody in for the one that it
 * refuses for the other, so this opens nothing. */
static authz_status check_expr(request_rec *r, const char *line, const void *parsed)
{
    authz_status status = httpd_expr->check_authorization(r, line, parsed);

    return status == AUTHZ_DENIED_NO_USER && r->user && identity_of(r) ? AUTHZ_DENIED : status;
}

/* Once all modules are loaded, and before their lines are read. */
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

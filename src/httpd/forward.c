/* Sets notes, header fields and variables. In request threads. */
#include "httpd/forward.h"

#include "base/fields.h"
#include "base/hash.h"
#include "base/json.h"
#include "httpd/assertions.h"
#include "httpd/backend_token.h"
#include "httpd/credential.h"
#include "httpd/field.h"
#include "httpd/query.h"
#include "httpd/scrub.h"

#include <apr_strings.h>

/* From this age on an assertion is asked for again before the handler runs. */
#define RENEWAL_US APR_USEC_PER_SEC

/* ---- headers and environment ---- */

static const char *write_list(apr_pool_t *pool, const la_identity_t *identity, apr_size_t index)
{
    la_json_writer_t writer;

    la_json_writer_init(&writer, pool);
    for (apr_size_t i = 0; i < la_identity_value_count(identity, index); i++) {
        la_json_write_raw(&writer, i == 0 ? LA_SLICE("[") : LA_SLICE(","));
        la_json_write_string(&writer, la_identity_value(identity, index, i));
    }
    la_json_write_raw(&writer, LA_SLICE("]"));
    return writer.data;
}

static const char *attribute_value(apr_pool_t *pool, const la_forward_line_t *line,
                                   const la_identity_t *identity)
{
    apr_size_t index = la_identity_find(identity, line->category);
    apr_size_t count = la_identity_value_count(identity, index);
    const char *name;
    const char *value;

    if (count == 0 || (count > 1 && line->what == LA_FORWARD_ONE)) {
        return NULL;
    }
    if (line->what == LA_FORWARD_JSON) {
        return write_list(pool, identity, index);
    }
    la_identity_note(identity, index, &name, &value);
    return value;
}

static const char *value_of(apr_pool_t *pool, const la_forward_line_t *line,
                            const la_caller_t *caller)
{
    const la_identity_t *identity = caller->identity;

    switch (line->what) {
    case LA_FORWARD_PRINCIPAL:
        return la_identity_ascii(pool, caller->principal);
    case LA_FORWARD_CLIENT_ID:
        return caller->client_id;
    case LA_FORWARD_PROVIDER:
        return caller->provider->name;
    case LA_FORWARD_MODEL: /* la_model_forward() sends it, when it is known */
    case LA_FORWARD_ASSERTION:
        return NULL;
    case LA_FORWARD_ATTRIBUTES:
        return la_identity_attributes_json(identity).data;
    case LA_FORWARD_ATTRIBUTE:
    case LA_FORWARD_JSON:
    case LA_FORWARD_ONE:
        return attribute_value(pool, line, identity);
    }
    return NULL;
}

static int has_several(const la_identity_t *identity, la_slice_t category)
{
    return la_identity_value_count(identity, la_identity_find(identity, category)) > 1;
}

/* Whether a line sends one value of a category of which the caller has several. */
static int is_ambiguous(const la_forward_line_t *line, const la_identity_t *identity,
                        la_slice_t *category)
{
    const apr_array_header_t *claims = line->signer ? line->signer->claims : NULL;

    for (int i = 0; claims && i < claims->nelts; i++) {
        const la_signer_claim_t *claim = &APR_ARRAY_IDX(claims, i, la_signer_claim_t);

        if (claim->is_one && has_several(identity, claim->category)) {
            *category = claim->category;
            return 1;
        }
    }
    *category = line->category;
    return line->what == LA_FORWARD_ONE && has_several(identity, line->category);
}

const la_forward_line_t *la_forward_find_ambiguous(const la_forwards_t *forwards,
                                                   const la_caller_t *caller, la_slice_t *category)
{
    for (int i = 0; i < forwards->lines->nelts; i++) {
        const la_forward_line_t *line = &APR_ARRAY_IDX(forwards->lines, i, la_forward_line_t);

        if (is_ambiguous(line, caller->identity, category)) {
            return line;
        }
    }
    return NULL;
}

/* The client's own fields of these names have been removed. */
static void set_headers(request_rec *r, const la_forwards_t *forwards, la_request_t *state)
{
    state->asserted = apr_time_now();
    for (int i = 0; i < forwards->lines->nelts; i++) {
        const la_forward_line_t *line = &APR_ARRAY_IDX(forwards->lines, i, la_forward_line_t);
        int is_assertion = line->what == LA_FORWARD_ASSERTION;
        const char *value = is_assertion ? la_assertions_value(r, line, state->caller)
                                         : value_of(r->pool, line, state->caller);

        if (value) {
            apr_table_addn(r->headers_in, line->header, value);
        }
        if (value && is_assertion) {
            state->assertions = state->assertions ? state->assertions : apr_table_make(r->pool, 1);
            apr_table_setn(state->assertions, line->header, value);
        }
    }
}

/* Whether a field still is the assertion that was set: mod_headers may have replaced it. */
static int is_asserted(const request_rec *r, const la_request_t *state, const char *header)
{
    const char *set = apr_table_get(state->assertions, header);
    const char *field = apr_table_get(r->headers_in, header);

    return set && field && strcmp(set, field) == 0;
}

/* Between the first fixup and the last the body may be read, while an assertion may end. */
static void renew_assertions(request_rec *r, const la_forwards_t *forwards, la_request_t *state)
{
    apr_time_t now = apr_time_now();

    if (!state->assertions || llabs((long long)(now - state->asserted)) < RENEWAL_US) {
        return;
    }
    state->asserted = now;
    for (int i = 0; i < forwards->lines->nelts; i++) {
        const la_forward_line_t *line = &APR_ARRAY_IDX(forwards->lines, i, la_forward_line_t);
        const char *value = is_asserted(r, state, line->header)
                                ? la_assertions_value(r, line, state->caller)
                                : NULL;

        if (value) {
            apr_table_setn(r->headers_in, line->header, value);
            apr_table_setn(state->assertions, line->header, value);
        }
    }
}

/* LLAMA_AUTH_ATTRIBUTE_ and the category in capitals, from the name of its note. */
static const char *variable_name(apr_pool_t *pool, const char *note)
{
    char *name = apr_pstrcat(pool, "LLAMA_AUTH_ATTRIBUTE_",
                             note + sizeof(LA_NOTE_ATTRIBUTE_PREFIX) - 1, NULL);
    char *p;

    for (p = name; *p; p++) {
        *p = la_field_cgi_char(*p);
    }
    return name;
}

/* What is_left_over() needs to know. */
typedef struct inherited_t {
    const la_dir_conf_t *conf; /* of the section that takes over */
    int hides_token;           /* as that section says */
    int had_caller;            /* in a section before it */
    int had_assertion;         /* likewise, in Authorization */
} inherited_t;

/* Whether CGI or mod_include makes this variable of the query string. */
static int is_query(la_slice_t name)
{
    return la_slice_is(name, "QUERY_STRING") || la_slice_is(name, "QUERY_STRING_UNESCAPED") ||
           la_slice_is(name, "DOCUMENT_ARGS");
}

/* Whether a variable may tell of another section's caller or token: ours, httpd's, and CGI's copies
 * of header fields, which stay when the field is removed. httpd puts REDIRECT_ before the names at
 * each internal redirect. */
static int is_left_over(const void *context, la_slice_t name)
{
    static const char redirect[] = "REDIRECT_";
    static const char http[] = "HTTP_";
    const inherited_t *inherited = context;
    const la_dir_conf_t *conf = inherited->conf;

    while (la_slice_begins(name, redirect)) {
        name.data += sizeof(redirect) - 1;
        name.len -= sizeof(redirect) - 1;
    }
    if (inherited->hides_token && la_sources_queries(conf->sources) && is_query(name)) {
        return 1;
    }
    if (la_slice_begins(name, http)) {
        la_slice_t field = {name.data + sizeof(http) - 1, name.len - (sizeof(http) - 1)};

        return la_forward_is_ours(conf->forwards, field) ||
               (inherited->had_assertion &&
                (la_slice_is(field, "AUTHORIZATION") || la_slice_is(field, "DPOP"))) ||
               (inherited->hides_token && la_sources_are_in(conf->sources, field));
    }
    return la_slice_begins(name, "LLAMA_AUTH_") ||
           (inherited->had_caller &&
            (strcmp(name.data, "REMOTE_USER") == 0 || strcmp(name.data, "AUTH_TYPE") == 0));
}

static int had_caller(const request_rec *r)
{
    while ((r = la_request_origin(r)) != NULL) {
        if (la_request_caller(r)) {
            return 1;
        }
    }
    return 0;
}

/* Whether a section before this one, of this request or of one that led to it, replaced
 * Authorization by an assertion. What is there since is no client's. */
static int had_assertion(const request_rec *r)
{
    const la_request_t *state = NULL;

    while (r && !(state && state->authorization_is_ours)) {
        state = la_request_get(r);
        r = la_request_origin(r);
    }
    return state && state->authorization_is_ours;
}

static void clean_environment(request_rec *r)
{
    inherited_t inherited = {.conf = la_config_dir(r),
                             .hides_token = la_backend_token_hides(r),
                             .had_caller = had_caller(r),
                             .had_assertion = had_assertion(r)};

    la_fields_remove(r->subprocess_env, 0, is_left_over, &inherited, r->pool);
}

static void set_environment(request_rec *r, const la_caller_t *caller)
{
    const la_identity_t *identity = caller->identity;
    apr_table_t *env = r->subprocess_env;
    apr_hash_t *named = apr_hash_make_custom(r->pool, la_hash_keyed);

    apr_table_setn(env, "LLAMA_AUTH_PRINCIPAL", caller->principal);
    apr_table_setn(env, "LLAMA_AUTH_CLIENT_ID", caller->client_id);
    apr_table_setn(env, "LLAMA_AUTH_PROVIDER", caller->provider->name);
    apr_table_setn(env, "LLAMA_AUTH_ATTRIBUTES", la_identity_attributes_json(identity).data);
    for (apr_size_t i = 0; i < la_identity_count(identity); i++) {
        const char *note;
        const char *value;
        const char *name;

        la_identity_note(identity, i, &note, &value);
        name = variable_name(r->pool, note);
        if (!apr_hash_get(named, name, APR_HASH_KEY_STRING)) { /* of two with one name the first */
            apr_hash_set(named, name, APR_HASH_KEY_STRING, name);
            apr_table_addn(env, name, value);
        }
    }
}

static int is_prefixed(const void *prefix, la_slice_t name)
{
    return la_slice_begins(name, prefix);
}

/* Between the first fixup and the last, SetEnv replaces the environment's table. */
static void keep_environment(request_rec *r, la_request_t *state)
{
    if (r->subprocess_env != state->environment) {
        la_fields_remove(r->subprocess_env, 0, is_prefixed, "LLAMA_AUTH_", r->pool);
        if (state->caller && la_config_dir(r)->env == LA_ON) {
            set_environment(r, state->caller);
        }
        state->environment = r->subprocess_env;
    }
}

/* Removes from REDIRECT_QUERY_STRING the tokens that the sections before this one hide. */
static void hide_earlier_queries(request_rec *r)
{
    request_rec *from;

    for (from = r->prev; from; from = from->prev) {
        if (la_backend_token_hides(from)) {
            la_query_remove(from, la_sources_queries(la_config_dir(from)->sources));
        }
    }
}

void la_forward_to_handler(request_rec *r)
{
    const la_dir_conf_t *conf = la_config_dir(r);
    la_request_t *state = la_request_make(r);
    const la_caller_t *caller = state->caller;
    int moved = r->prev || r->main || state->moved;

    if (state->forwarded_conf == r->per_dir_config) {
        keep_environment(r, state);
        renew_assertions(r, conf->forwards, state);
        return;
    }
    state->assertions = NULL;
    if (conf->forwards || (moved && la_collected.forwarded->nelts > 0)) {
        la_scrub_fields(r, conf->forwards); /* of an .htaccess, and of an earlier section */
    }
    if (had_assertion(r)) {
        apr_table_unset(r->headers_in, "Authorization");
        apr_table_unset(r->headers_in, "DPoP");
    }
    clean_environment(r);
    la_query_restore(r);
    if (la_backend_token_hides(r)) { /* before an assertion takes the token's place */
        la_credential_remove(r, conf->sources);
        la_backend_token_scrub(r);
    }
    if (caller && conf->forwards) {
        set_headers(r, conf->forwards, state);
    }
    if (caller && conf->env == LA_ON) {
        set_environment(r, caller);
    }
    state->environment = r->subprocess_env;
    hide_earlier_queries(r);
    state->authorization_is_ours |= conf->forwards && conf->forwards->replaces_token;
    state->forwarded_conf = r->per_dir_config;
}

int la_forward_before_handler(request_rec *r)
{
    if (r->main && r->args && la_backend_token_hides(r)) {
        la_query_remove(r, la_sources_queries(la_config_dir(r)->sources));
    }
    return DECLINED;
}

/* Whether mod_cache must keep no answer: it cannot see that there was a credential, since it looks
 * for Authorization alone, when the answer comes; or the client had to send a proof (RFC 9449),
 * which mod_cache would ask of nobody, and the answer may have a nonce. */
static int is_private(request_rec *r, const la_request_t *state)
{
    return state->caller && (state->token_elsewhere || state->authorization_is_ours ||
                             !apr_table_get(r->headers_in, "Authorization") ||
                             apr_table_get(la_request_fields(r), "DPoP"));
}

void la_forward_keep_private(request_rec *r)
{
    la_request_t *state = la_request_make(r);
    request_rec *main;

    state->uncacheable |= is_private(r, state);
    if (state->uncacheable) {
        r->no_cache = 1;
        for (main = r->main; main; main = main->main) {
            la_request_make(main)->uncacheable = 1;
            main->no_cache = 1;
        }
    }
}

/* ---- notes ---- */

/* Also removes what an earlier request of the chain noted. */
static void unset_notes(request_rec *r)
{
    la_fields_remove(r->notes, 0, is_prefixed, LA_NOTE_PREFIX, r->pool);
}

void la_forward_nobody(request_rec *r)
{
    la_request_t *state = la_request_make(r);

    state->caller = NULL;
    state->moved = 1;
    state->forwarded_conf = NULL;
    unset_notes(r);
    r->user = NULL;
    r->ap_auth_type = NULL;
}

void la_forward_caller(request_rec *r, const la_caller_t *caller)
{
    const la_identity_t *identity = caller->identity;
    la_slice_t message = la_identity_message(identity);

    if (apr_table_get(r->notes, LA_NOTE_CLIENT_ID)) { /* each noted caller has one */
        unset_notes(r);
    }
    r->user = apr_pstrdup(r->pool, caller->principal);
    r->ap_auth_type = (char *)"Bearer";
    apr_table_addn(r->notes, LA_NOTE_PRINCIPAL, caller->principal);
    apr_table_addn(r->notes, LA_NOTE_CLIENT_ID, caller->client_id);
    apr_table_addn(r->notes, LA_NOTE_CACHE, caller->cache);
    apr_table_addn(r->notes, LA_NOTE_PROVIDER, caller->provider->name);
    apr_table_addn(r->notes, LA_NOTE_ATTRIBUTES, la_identity_attributes_json(identity).data);
    if (message.len) {
        apr_table_addn(r->notes, LA_NOTE_MESSAGE, message.data);
    }
    for (apr_size_t i = 0; i < la_identity_count(identity); i++) {
        const char *name;
        const char *value;

        la_identity_note(identity, i, &name, &value);
        apr_table_addn(r->notes, name, value);
    }
}

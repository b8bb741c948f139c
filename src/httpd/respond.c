/* Sends an error document. httpd makes the error response; a filter in front of its protocol
 * filters gives it our type, length and body, so that httpd still handles HEAD, HTTP/1.0, HTTP/2,
 * Header always and keep-alive.
 *
 * A denial keeps out an ErrorDocument (a custom response of the request outranks it) and does not
 * wait for a large request body. */
#include "httpd/respond.h"

#include "httpd/forward.h"
#include "io/server.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_connection.h>
#include <mod_core.h>
#include <util_filter.h>

APLOG_USE_MODULE(llama_auth);

/* Reads a body up to this size and keeps the connection; closes it for a larger one. */
#define DISCARD_LIMIT_BYTES 65536

/* How long to wait for such a body. */
#define DISCARD_WAIT_US (APR_USEC_PER_SEC / 4)

static ap_filter_rec_t *filter_handle;

/* ap_index_of_response() searches, and each hit needs these two. */
static int unauthorized_index;
static int forbidden_index;

static request_rec *topmost(request_rec *r)
{
    while (r->main) {
        r = r->main;
    }
    return r;
}

/* Keeps out an ErrorDocument. The text is never sent, the filter replaces it. */
static void shield(request_rec *r, int status)
{
    ap_custom_response(r, status, "denied");
}

static void unshield(request_rec *r, int status)
{
    core_request_config *core = ap_get_core_module_config(r->request_config);

    if (core->response_code_strings) {
        core->response_code_strings[ap_index_of_response(status)] = NULL;
    }
}

static const la_denial_t *copy_denial(apr_pool_t *pool, const la_denial_t *denial)
{
    la_denial_t *copy = apr_pmemdup(pool, denial, sizeof(*denial));

    copy->message = apr_pstrdup(pool, denial->message);
    copy->scope = apr_pstrdup(pool, denial->scope);
    copy->resource_metadata = apr_pstrdup(pool, denial->resource_metadata);
    copy->proof_algs = apr_pstrdup(pool, denial->proof_algs);
    copy->proof_error = apr_pstrdup(pool, denial->proof_error);
    return copy;
}

/* AuthName without the backslashes that httpd puts before quotes. */
static const char *realm_of(request_rec *r)
{
    const char *name = ap_auth_name(r);
    char *realm = apr_pstrdup(r->pool, name);
    char *to = realm;

    for (; name && *name; name++) {
        if (name[0] == '\\' && (name[1] == '"' || name[1] == '\\')) {
            name++;
        }
        *to++ = *name;
    }
    if (to) {
        *to = '\0';
    }
    return realm;
}

static void record(request_rec *r, const la_denial_t *denial, const char *realm,
                   const la_denial_form_t *form)
{
    la_request_t *state = la_request_make(r);

    if (state->denial) {
        unshield(r, state->denial->status); /* of an earlier subrequest */
    }
    state->denial = copy_denial(r->pool, denial);
    state->realm = apr_pstrdup(r->pool, realm);
    state->form = form;
    apr_table_setn(r->notes, LA_NOTE_ERROR, la_denial_code(denial->kind));
    shield(r, denial->status);
}

/* A forward proxy takes no proof. */
static void set_challenges(request_rec *r, const la_denial_t *denial, const char *realm)
{
    int by_proxy = r->proxyreq == PROXYREQ_PROXY;
    const char *challenge = la_denial_challenge(r->pool, denial, realm);
    const char *second = by_proxy ? NULL : la_denial_proof_challenge(r->pool, denial);

    if (challenge) {
        apr_table_setn(r->err_headers_out, by_proxy ? "Proxy-Authenticate" : "WWW-Authenticate",
                       challenge);
    }
    if (second) {
        apr_table_addn(r->err_headers_out, "WWW-Authenticate", second);
    }
}

static void set_headers(request_rec *r, const la_denial_t *denial, const char *realm)
{
    set_challenges(r, denial, realm);
    if (denial->status == HTTP_SERVICE_UNAVAILABLE || denial->status == HTTP_TOO_MANY_REQUESTS) {
        apr_table_setn(r->err_headers_out, "Retry-After", apr_itoa(r->pool, denial->retry_after_s));
    }
    apr_table_setn(r->err_headers_out, "Cache-Control", "no-store");
}

static const char *metadata_of(const request_rec *r)
{
    const la_resource_t *resource = la_config_dir(r)->resource;

    return resource ? resource->metadata_url : NULL;
}

int la_respond_deny(request_rec *r, la_denial_t denial)
{
    request_rec *top = topmost(r);
    const la_request_t *top_state = la_request_get(top);
    const char *realm = realm_of(r);
    const la_denial_form_t *form = la_errordocs_form(la_config_dir(r)->documents, denial.status);

    denial.resource_metadata = metadata_of(r);
    record(r, &denial, realm, form);
    set_headers(r, &denial, realm); /* mod_dav and others copy a subrequest's challenge from here */
    /* In its fixups a request takes the status of a subrequest that failed for its own (mod_dir,
     * mod_negotiation). Before them a subrequest is a question (RewriteCond -U), after them a part
     * of a page. */
    if (top != r && top_state && top_state->gated && !top_state->passed) {
        record(top, &denial, realm,
               la_denial_form_copy(top->pool, form)); /* mod_dir frees subrequests */
    }
    return denial.status;
}

void la_respond_without_error_page(request_rec *r)
{
    for (int status = HTTP_BAD_REQUEST; status < 600; status++) {
        if (ap_response_code_string(r, ap_index_of_response(status))) {
            ap_custom_response(r, status, "");
        }
    }
}

void la_respond_await_require(request_rec *r)
{
    la_request_make(r)->awaiting_require = 1;
    if (ap_response_code_string(r, unauthorized_index)) {
        shield(r, HTTP_UNAUTHORIZED);
    }
    if (ap_response_code_string(r, forbidden_index)) {
        shield(r, HTTP_FORBIDDEN);
    }
}

void la_respond_require_held(request_rec *r)
{
    la_request_t *state = la_request_make(r);

    if (state->awaiting_require) {
        state->awaiting_require = 0;
        unshield(r, HTTP_UNAUTHORIZED);
        unshield(r, HTTP_FORBIDDEN);
    }
    state->gated = 1;
}

void la_respond_passed(request_rec *r)
{
    la_request_t *state = la_request_make(r);

    if (state->denial) {
        unshield(r, state->denial->status);
        apr_table_unset(r->notes, LA_NOTE_ERROR);
        state->denial = NULL;
    }
    state->passed = 1;
}

int la_respond_fail(request_rec *r, la_denial_t denial)
{
    la_request_make(r)->passed = 0;
    return la_respond_deny(r, denial);
}

/* The denial that this error response is about, or NULL if it is not ours. */
static const la_denial_t *denial_of(request_rec *r, const la_request_t *state)
{
    /* A forward proxy makes a 407 of a 401. */
    int status = r->status == HTTP_PROXY_AUTHENTICATION_REQUIRED ? HTTP_UNAUTHORIZED : r->status;

    if (state->passed) {
        return NULL;
    }
    if (state->denial) {
        return state->denial->status == status ? state->denial : NULL;
    }
    if (state->awaiting_require && (status == HTTP_UNAUTHORIZED || status == HTTP_FORBIDDEN)) {
        la_denial_t *denial = apr_palloc(r->pool, sizeof(*denial));

        *denial = la_denial_make(LA_DENIAL_ACCESS, NULL);
        denial->status = status;
        denial->resource_metadata = metadata_of(r);
        return denial;
    }
    return NULL;
}

/* Reads the rest of a small body, for DISCARD_WAIT_US at most. Returns 1 if all of it came. */
static int discard_body(request_rec *r)
{
    apr_socket_t *socket = ap_get_conn_socket(r->connection);
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    apr_time_t deadline = apr_time_now() + DISCARD_WAIT_US;
    apr_interval_time_t timeout = -1;
    int ended = 0;

    apr_socket_timeout_get(socket, &timeout);
    apr_socket_timeout_set(socket, DISCARD_WAIT_US);
    while (!ended && apr_time_now() < deadline &&
           ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ,
                          HUGE_STRING_LEN) == APR_SUCCESS &&
           !APR_BRIGADE_EMPTY(bb)) {
        ended = APR_BUCKET_IS_EOS(APR_BRIGADE_LAST(bb));
        apr_brigade_cleanup(bb);
    }
    apr_brigade_cleanup(bb);
    apr_socket_timeout_set(socket, timeout);
    return ended;
}

static int body_is_small(request_rec *r, apr_off_t length)
{
    apr_off_t limit = ap_get_limit_req_body(r);

    return length <= DISCARD_LIMIT_BYTES && (limit <= 0 || length <= limit);
}

/* Closes the connection after the answer to a client that announces a large body, waits with one
 * for 100 Continue, or is slow to send a small one: httpd would read all of it before it answers.
 */
static void close_unless_body_comes(request_rec *r)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");
    apr_off_t bytes = length ? apr_atoi64(length) : 0;
    int chunked = apr_table_get(r->headers_in, "Transfer-Encoding") != NULL;

    if (r->connection->master || !(chunked || bytes || r->expecting_100) ||
        la_request_make(la_request_first(r))->body_is_read) {
        return;
    }
    if (chunked || r->expecting_100 || !body_is_small(r, bytes) || !discard_body(r)) {
        r->connection->keepalive = AP_CONN_CLOSE;
    }
}

/* What the filter sends in place of httpd's document. */
typedef struct answer_t {
    const la_denial_t *denial;
    const la_denial_form_t *form;
    la_denial_context_t context;
} answer_t;

/* mod_unique_id's, else the one in httpd's log lines about this request, if there are any. */
static const char *request_id(request_rec *r)
{
    const char *id = apr_table_get(r->subprocess_env, "UNIQUE_ID");

    return id ? id : topmost(r)->log_id;
}

static answer_t *make_answer(request_rec *r, const la_request_t *state, const la_denial_t *denial,
                             const char *realm)
{
    answer_t *answer = apr_palloc(r->pool, sizeof(*answer));

    answer->denial = denial;
    answer->form = state->denial ? state->form
                                 : la_errordocs_form(la_config_dir(r)->documents, denial->status);
    answer->context = (la_denial_context_t){realm, r->method, r->uri, request_id(r), state->rpc_id};
    return answer;
}

static void log_require(request_rec *r, const la_request_t *state)
{
    const char *attributes =
        state->caller ? la_identity_attributes_json(state->caller->identity).data : "none";

    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  LA_LOGNO(0241) "%s, token %.8s, for %s: a Require of this section does not hold; "
                                 "the caller's attributes: %." LA_SHOWN "s",
                  r->user ? r->user : "nobody", state->client_id, r->uri, attributes);
}

void la_respond_insert_error_filter(request_rec *r)
{
    const la_request_t *state = la_request_get(r);
    const la_denial_t *denial = state ? denial_of(r, state) : NULL;
    const char *realm;

    if (!denial) {
        return;
    }
    if (!state->denial) {
        log_require(r, state);
    }
    realm = state->realm ? state->realm : realm_of(r);
    apr_table_setn(r->notes, LA_NOTE_ERROR, la_denial_code(denial->kind));
    close_unless_body_comes(r);
    set_headers(r, denial, realm);
    ap_add_output_filter_handle(filter_handle, make_answer(r, state, denial, realm), r,
                                r->connection);
}

/* Drops what httpd wrote and puts the document in its place, once. */
static apr_status_t error_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    const answer_t *answer = f->ctx;
    const char *content_type;
    apr_bucket *bucket;
    apr_bucket *next;
    la_slice_t body;

    for (bucket = APR_BRIGADE_FIRST(bb); bucket != APR_BRIGADE_SENTINEL(bb); bucket = next) {
        next = APR_BUCKET_NEXT(bucket);
        if (!APR_BUCKET_IS_METADATA(bucket)) {
            apr_bucket_delete(bucket);
        }
    }
    if (answer) {
        f->ctx = NULL;
        body = la_denial_form_write(f->r->pool, answer->form, answer->denial, &answer->context,
                                    &content_type);
        ap_set_content_type(f->r, content_type);
        ap_set_content_length(f->r, (apr_off_t)body.len);
        APR_BRIGADE_INSERT_HEAD(
            bb, apr_bucket_pool_create(body.data, body.len, f->r->pool, bb->bucket_alloc));
    }
    return ap_pass_brigade(f->next, bb);
}

/* httpd asks for the challenge when Require refuses with 401; we set it with the document. */
int la_respond_note_auth_failure(request_rec *r, const char *auth_type)
{
    (void)r;
    return strcasecmp(auth_type, "Bearer") == 0 ? OK : DECLINED;
}

void la_respond_register(void)
{
    unauthorized_index = ap_index_of_response(HTTP_UNAUTHORIZED);
    forbidden_index = ap_index_of_response(HTTP_FORBIDDEN);
    filter_handle =
        ap_register_output_filter("LLAMA_AUTH_ERROR", error_filter, NULL, AP_FTYPE_CONTENT_SET - 1);
}

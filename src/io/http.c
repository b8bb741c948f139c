/* The HTTP client over libcurl. Only this file, http_handle.c, http_tls.c and url.c know curl, and
 * nothing of curl exists before the fork. Any request thread calls.
 *
 * One thread owns a handle during a call; otherwise the handle rests in `idle` with its connection.
 * The handle that came back last goes out first, so that few connections stay warm. A caller
 * without a handle makes one, so nobody waits. (apr_reslist aborts the process if its pool goes
 * while a handle is out, as in a prefork child that gets SIGTERM.)
 */
#include "io/http.h"

#include "base/clock.h"
#include "io/http_handle.h"
#include "io/http_tls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <apr_errno.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

/* All header fields of an answer together; curl limits only one line. */
#define HEADER_LIMIT_BYTES ((apr_size_t)64 * 1024)

#define TOO_LARGE "the answer is larger than ResponseLimit"

/* First size of a body's buffer. */
#define BODY_FIRST_BYTES ((apr_size_t)4096)

struct la_http_t {
    const la_http_options_t *options;
    apr_thread_mutex_t *lock; /* guards `idle` */
    apr_array_header_t *idle; /* of CURL *, the one used last at the end; at most max_idle */
    int max_idle;
};

/* One call under way, in the caller's pool, whose cleanup frees the body. */
typedef struct exchange_t {
    const la_http_t *http;
    const la_http_request_t *request;
    la_http_response_t *response;
    apr_pool_t *pool;
    CURL *handle;
    char *body; /* malloc'ed, because a pool would keep each buffer that it outgrew */
    apr_size_t len;
    apr_size_t capacity;
    apr_size_t limit;
    apr_size_t header_bytes;
    const char *refusal; /* why a callback ended the call, else NULL */
    char error[CURL_ERROR_SIZE];
} exchange_t;

/* ---- the process's client ---- */

static apr_status_t global_cleanup(void *unused)
{
    (void)unused;
    curl_global_cleanup();
    return APR_SUCCESS;
}

apr_status_t la_http_child_init(apr_pool_t *pchild)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return APR_EGENERAL;
    }
    apr_pool_cleanup_register(pchild, NULL, global_cleanup, apr_pool_cleanup_null);
    return APR_SUCCESS;
}

/* Closes the connections at rest. A handle that is out belongs to a thread that the process ends in
 * the middle of its call. */
static apr_status_t close_idle(void *data)
{
    la_http_t *http = data;
    CURL **handle;

    while ((handle = apr_array_pop(http->idle)) != NULL) {
        curl_easy_cleanup(*handle);
    }
    return APR_SUCCESS;
}

apr_status_t la_http_make(apr_pool_t *pchild, const la_http_options_t *options, int max_handles,
                          la_http_t **http)
{
    la_http_t *made = apr_pcalloc(pchild, sizeof(*made));
    apr_status_t rv = apr_thread_mutex_create(&made->lock, APR_THREAD_MUTEX_DEFAULT, pchild);

    *http = NULL;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    made->options = options;
    made->max_idle = max_handles;
    made->idle = apr_array_make(pchild, made->max_idle, sizeof(CURL *));
    apr_pool_cleanup_register(pchild, made, close_idle, apr_pool_cleanup_null);
    *http = made;
    return APR_SUCCESS;
}

/* ---- what curl calls back ---- */

/* Makes room for `needed` bytes, at most the limit. */
static int reserve(exchange_t *x, apr_size_t needed)
{
    apr_size_t capacity = x->capacity > 0 ? x->capacity : BODY_FIRST_BYTES;
    char *body;

    if (needed <= x->capacity) {
        return 1;
    }
    while (capacity < needed) {
        capacity = capacity > x->limit / 2 ? x->limit : capacity * 2;
    }
    body = realloc(x->body, capacity);
    if (!body) {
        return 0;
    }
    x->body = body;
    x->capacity = capacity;
    return 1;
}

static size_t take_body(char *data, size_t size, size_t count, void *arg)
{
    exchange_t *x = arg;
    size_t len = size * count; /* curl promises a size of 1 */

    if (len > x->limit - x->len) {
        x->refusal = TOO_LARGE;
        return 0;
    }
    if (!reserve(x, x->len + len)) {
        x->refusal = "out of memory";
        return 0;
    }
    if (len > 0) {
        memcpy(x->body + x->len, data, len);
        x->len += len;
    }
    return len;
}

static size_t take_header(char *data, size_t size, size_t count, void *arg)
{
    exchange_t *x = arg;
    size_t len = size * count;

    (void)data;
    if (len > HEADER_LIMIT_BYTES - x->header_bytes) {
        x->refusal = "the answer's header fields are too large";
        return 0;
    }
    x->header_bytes += len;
    return len;
}

/* ---- handles ---- */

/* Takes or makes a handle for one call; NULL on failure. */
static CURL *acquire(la_http_t *http)
{
    CURL **idle;
    CURL *handle;

    if (apr_thread_mutex_lock(http->lock) != APR_SUCCESS) {
        return NULL;
    }
    idle = apr_array_pop(http->idle);
    handle = idle ? *idle : NULL; /* before the unlock: the array's memory is used again */
    apr_thread_mutex_unlock(http->lock);
    return handle ? handle : la_http_handle_make(http->options);
}

/* Takes a handle back. forget_call() has taken the call's memory from it. */
static void release(la_http_t *http, CURL *handle)
{
    if (apr_thread_mutex_lock(http->lock) == APR_SUCCESS) {
        if (http->idle->nelts < http->max_idle) {
            APR_ARRAY_PUSH(http->idle, CURL *) = handle;
            handle = NULL;
        }
        apr_thread_mutex_unlock(http->lock);
    }
    curl_easy_cleanup(handle);
}

/* ---- setting a call up ---- */

static apr_interval_time_t time_left(const exchange_t *x)
{
    apr_interval_time_t timeout = x->http->options->timeout_us;
    apr_interval_time_t left =
        x->request->deadline_us ? x->request->deadline_us - la_clock_us() : timeout;

    return left < timeout ? left : timeout;
}

/* Whether the handle's last connection cannot be used again: the endpoint has closed it, or has
 * sent bytes that curl would take for the answer to the next question, about somebody else. */
static int is_spoilt(CURL *handle)
{
    curl_socket_t connection = CURL_SOCKET_BAD;
    char byte;

    if (curl_easy_getinfo(handle, CURLINFO_ACTIVESOCKET, &connection) != CURLE_OK ||
        connection == CURL_SOCKET_BAD) {
        return 0;
    }
    return recv(connection, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
           (errno != EAGAIN && errno != EWOULDBLOCK);
}

static int set_method(const exchange_t *x)
{
    const la_http_request_t *request = x->request;

    if (strcmp(request->method, "POST") != 0) {
        return LA_CURL_SET(x->handle, CURLOPT_HTTPGET, 1L);
    }
    return LA_CURL_SET(x->handle, CURLOPT_POST, 1L) &&
           LA_CURL_SET(x->handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len) &&
           LA_CURL_SET(x->handle, CURLOPT_POSTFIELDS,
                       request->body.len > 0 ? request->body.data : "");
}

static int set_call(exchange_t *x, struct curl_slist *fields)
{
    CURL *handle = x->handle;

    return LA_CURL_SET(handle, CURLOPT_TIMEOUT_MS, la_http_milliseconds(time_left(x))) &&
           LA_CURL_SET(handle, CURLOPT_FRESH_CONNECT, (long)is_spoilt(handle)) &&
           LA_CURL_SET(handle, CURLOPT_WRITEFUNCTION, take_body) &&
           LA_CURL_SET(handle, CURLOPT_WRITEDATA, x) &&
           LA_CURL_SET(handle, CURLOPT_HEADERFUNCTION, take_header) &&
           LA_CURL_SET(handle, CURLOPT_HEADERDATA, x) &&
           LA_CURL_SET(handle, CURLOPT_ERRORBUFFER, x->error) &&
           LA_CURL_SET(handle, CURLOPT_URL, x->request->url) &&
           LA_CURL_SET(handle, CURLOPT_HTTPHEADER, fields) && set_method(x);
}

/* Takes the call's memory from the handle: curl may write to the error buffer even while it closes
 * an idle connection. Setting POSTFIELDS makes the method POST; the next call sets its own. */
static void forget_call(CURL *handle)
{
    (void)curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, NULL);
    (void)curl_easy_setopt(handle, CURLOPT_WRITEDATA, NULL);
    (void)curl_easy_setopt(handle, CURLOPT_HEADERDATA, NULL);
    (void)curl_easy_setopt(handle, CURLOPT_HTTPHEADER, NULL);
    (void)curl_easy_setopt(handle, CURLOPT_POSTFIELDS, NULL);
}

/* Appends a line to the list. Returns 0 if memory is out or the line would become two. */
static int add_line(struct curl_slist **fields, const char *line)
{
    struct curl_slist *longer;

    if (strpbrk(line, "\r\n")) {
        return 0;
    }
    longer = curl_slist_append(*fields, line);
    if (longer) {
        *fields = longer;
    }
    return longer != NULL;
}

/* Makes the list of fields; to curl, "Name;" is an empty one. The caller frees the list, on failure
 * too. */
static int make_fields(const exchange_t *x, struct curl_slist **fields)
{
    /* Else curl asks for a 100 before a longer body, and waits a second for it. */
    int made = add_line(fields, "Expect:");
    const apr_table_t *headers = x->request->headers;
    const apr_array_header_t *array = headers ? apr_table_elts(headers) : NULL;
    int i;

    for (i = 0; made && array && i < array->nelts; i++) {
        const apr_table_entry_t *field = &APR_ARRAY_IDX(array, i, apr_table_entry_t);

        made = add_line(
            fields, apr_pstrcat(x->pool, field->key, *field->val ? ": " : ";", field->val, NULL));
    }
    return made;
}

/* ---- the call ---- */

/* libcurl 7.88 leaves the CR of an empty field's line. */
static const char *trim(apr_pool_t *pool, const char *value)
{
    apr_size_t len = strlen(value);

    while (len > 0 && strchr(" \t\r\n", value[len - 1])) {
        len--;
    }
    return apr_pstrmemdup(pool, value, len);
}

/* Takes the wanted fields, with lines of one name joined by ", ". Request -1 is the final answer,
 * not a 1xx or a proxy's. */
static apr_table_t *take_fields(const exchange_t *x)
{
    apr_table_t *fields = apr_table_make(x->pool, 4);
    const char *const *name = x->request->wanted;
    struct curl_header *field;
    size_t i;

    for (; name && *name; name++) {
        for (i = 0; curl_easy_header(x->handle, *name, i, CURLH_HEADER, -1, &field) == CURLHE_OK;
             i++) {
            apr_table_addn(fields, *name, trim(x->pool, field->value));
        }
    }
    apr_table_compress(fields, APR_OVERLAP_TABLES_MERGE);
    return fields;
}

/* The endpoint's status; 0 if it has not answered, or with a status that no server may send. */
static int status_of(const exchange_t *x)
{
    long status = 0;

    return curl_easy_getinfo(x->handle, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK &&
                   status >= 200 && status <= 599
               ? (int)status
               : 0;
}

/* The option that a failure is about, in brackets; or "". */
static const char *option_of(const la_http_options_t *options, CURLcode code, const char *said)
{
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return strncmp(said, "Operation timed out", 19) == 0 ||
                       options->timeout_us <= options->connect_timeout_us
                   ? " (Timeout)"
                   : " (ConnectTimeout)";
    }
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE) {
        return " (TLSCAFile)";
    }
    return code == CURLE_SSL_CERTPROBLEM ? " (TLSCertFile)" : "";
}

/* The system's error for a connection that failed: curl's own text is the same for a port that
 * nobody listens on and for one that the system's policy forbids. */
static const char *system_error(const exchange_t *x, CURLcode code, const char *said)
{
    long error = 0;
    char text[128];

    if (code != CURLE_COULDNT_CONNECT ||
        curl_easy_getinfo(x->handle, CURLINFO_OS_ERRNO, &error) != CURLE_OK || error == 0) {
        return "";
    }
    apr_strerror((apr_status_t)error, text, sizeof(text));
    return strstr(said, text) ? "" : apr_pstrcat(x->pool, ": ", text, NULL);
}

static void take_failure(const exchange_t *x, CURLcode code)
{
    const char *said = x->error[0] ? x->error : curl_easy_strerror(code);

    x->response->outcome = code == CURLE_OPERATION_TIMEDOUT ? LA_HTTP_TIMEOUT : LA_HTTP_FAILED;
    x->response->reason = apr_pstrcat(x->pool, said, system_error(x, code, said),
                                      option_of(x->http->options, code, said), NULL);
    if (x->refusal || code == CURLE_FILESIZE_EXCEEDED) {
        x->response->reason = x->refusal ? x->refusal : TOO_LARGE;
        x->response->status = status_of(x);
    }
}

/* Whether the proxy answered, and not the endpoint. An https endpoint is behind a tunnel, whose
 * refusal curl reports as a failure. */
static int is_from_proxy(const exchange_t *x, int status)
{
    return x->http->options->proxy && status == 407 &&
           strncasecmp(x->request->url, "https:", 6) != 0;
}

static void take_answer(const exchange_t *x)
{
    la_http_response_t *response = x->response;
    int status = status_of(x);
    char *type = NULL;

    if (status == 0) {
        response->reason = "the answer has no status from 200 to 599";
        return;
    }
    if (is_from_proxy(x, status)) {
        response->reason = "Proxy answered 407: it wants credentials";
        return;
    }
    response->outcome = LA_HTTP_ANSWERED;
    response->status = status;
    response->body = (la_slice_t){x->body ? x->body : "", x->len};
    if (curl_easy_getinfo(x->handle, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK) {
        response->content_type = apr_pstrdup(x->pool, type);
    }
    response->headers = take_fields(x);
}

static void take_result(const exchange_t *x, CURLcode code)
{
    if (la_http_tls_was_late() && code != CURLE_OPERATION_TIMEDOUT) {
        x->response->outcome = LA_HTTP_TIMEOUT;
        x->response->reason = "TLS records without end (Timeout)";
    } else if (code == CURLE_OK) {
        take_answer(x);
    } else {
        take_failure(x, code);
    }
}

static void perform(exchange_t *x)
{
    struct curl_slist *fields = NULL;

    if (make_fields(x, &fields) && set_call(x, fields)) {
        la_http_tls_read_until(la_clock_us() + time_left(x));
        take_result(x, curl_easy_perform(x->handle));
    } else {
        x->response->reason = "curl took not all of the call's options";
    }
    forget_call(x->handle);
    curl_slist_free_all(fields);
}

static apr_status_t free_body(void *data)
{
    free(((exchange_t *)data)->body);
    return APR_SUCCESS;
}

void la_http_call(la_http_t *http, const la_http_request_t *request, apr_pool_t *pool,
                  la_http_response_t *response)
{
    exchange_t *x = apr_palloc(pool, sizeof(*x));

    *response = (la_http_response_t){0};
    *x = (exchange_t){.http = http,
                      .request = request,
                      .response = response,
                      .pool = pool,
                      .handle = acquire(http),
                      .limit = http->options->response_limit_bytes};
    if (!x->handle) {
        response->reason = "curl gave no handle";
        return;
    }
    apr_pool_cleanup_register(pool, x, free_body, apr_pool_cleanup_null);
    perform(x);
    release(http, x->handle);
    la_http_tls_read_until(0);
}

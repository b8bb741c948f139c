/* The HTTP client over libcurl: what is asked for, what is taken of the answer, and the handles
 * that keep connections open between calls. Which URL is called, and what an answer means, is left
 * to the providers; what a URL is, is url.c's. No other file knows curl.
 *
 * Clients are made in a child process and called by its request threads. Nothing of curl exists
 * before the fork.
 *
 * A handle is owned by one thread during a call and rests in `idle` otherwise, with the connection
 * it used. The last one that came back goes out first, so that few connections stay warm rather
 * than many. There are never more handles than callers, hence nobody waits for one. (apr_reslist
 * would do, but it aborts the process when its pool goes while a handle is out, as in a prefork
 * child that gets SIGTERM.)
 */
#include "io/http.h"

#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <apr_errno.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include <curl/curl.h>

/* All header fields of an answer together; curl itself only limits one line. */
#define HEADER_LIMIT_BYTES ((apr_size_t)64 * 1024)

/* First size of a body's buffer. */
#define BODY_FIRST_BYTES ((apr_size_t)4096)

/* What curl reads at a time: answers are short, and each connection has a buffer of its own. */
#define READ_BYTES 4096L

struct la_http_t {
    const la_http_options_t *options;
    apr_thread_mutex_t *lock; /* guards `idle` */
    apr_array_header_t
        *idle; /* of CURL *, the one used last at the end; never grows past max_idle */
    int max_idle;
    int ca_bundle; /* curl has a file of the system's authorities */
};

/* One call under way. In the caller's pool, whose cleanup frees the body. */
typedef struct exchange_t {
    char *body; /* malloc'ed, since a pool would keep every buffer it outgrew */
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

/* Closes the connections at rest. A handle that is out belongs to a thread that never comes back:
 * the process is ending in the middle of its call. */
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
    const curl_version_info_data *version = curl_version_info(CURLVERSION_NOW);
    apr_status_t rv;

    *http = NULL;
    rv = apr_thread_mutex_create(&made->lock, APR_THREAD_MUTEX_DEFAULT, pchild);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    made->options = options;
    made->max_idle = max_handles > 0 ? max_handles : 1;
    made->idle = apr_array_make(pchild, made->max_idle, sizeof(CURL *));
    made->ca_bundle = version->age >= CURLVERSION_SEVENTH && version->cainfo != NULL;
    apr_pool_cleanup_register(pchild, made, close_idle, apr_pool_cleanup_null);
    *http = made;
    return APR_SUCCESS;
}

/* A handle for one call, NULL when there is none to be had. */
static CURL *acquire(la_http_t *http)
{
    CURL **rested;
    CURL *handle = NULL;

    if (apr_thread_mutex_lock(http->lock) != APR_SUCCESS) {
        return NULL;
    }
    rested = apr_array_pop(http->idle);
    if (rested) {
        handle = *rested;
    }
    apr_thread_mutex_unlock(http->lock);
    return handle ? handle : curl_easy_init();
}

/* Takes a handle back. It is reset at once: its options point into the memory of a call that is
 * over, and curl may write to an error buffer even while it closes an idle connection. */
static void release(la_http_t *http, CURL *handle)
{
    curl_easy_reset(handle);
    if (apr_thread_mutex_lock(http->lock) == APR_SUCCESS) {
        if (http->idle->nelts < http->max_idle) {
            APR_ARRAY_PUSH(http->idle, CURL *) = handle;
            handle = NULL;
        }
        apr_thread_mutex_unlock(http->lock);
    }
    curl_easy_cleanup(handle);
}

/* ---- what curl calls back ---- */

/* SOCK_CLOEXEC at birth: a flag that is set afterwards leaves a moment in which another thread may
 * fork a CGI that inherits the connection. */
static curl_socket_t open_socket(void *unused, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)unused;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

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

static const char too_large[] = "the answer is larger than ResponseLimit";

static size_t take_body(char *data, size_t size, size_t count, void *arg)
{
    exchange_t *x = arg;
    size_t len = size * count; /* curl promises a size of 1 */

    if (len > x->limit - x->len) {
        x->refusal = too_large;
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

/* ---- setting a handle up ---- */

/* Whether curl took an option; each is one that the call is not safe without. */
#define SET(handle, option, value) (curl_easy_setopt(handle, option, value) == CURLE_OK)

/* Rounded up, since 0 would mean no limit to curl; it takes no more than an int. */
static long milliseconds(apr_interval_time_t us)
{
    apr_interval_time_t ms = us / 1000 + (us % 1000 != 0);

    return ms > INT_MAX ? INT_MAX : ms < 1 ? 1 : (long)ms;
}

static apr_interval_time_t time_left(const la_http_options_t *options, apr_time_t deadline_us)
{
    apr_interval_time_t left = deadline_us ? deadline_us - la_clock_us() : options->timeout_us;

    return left < options->timeout_us ? left : options->timeout_us;
}

/* QUICK_EXIT: at the deadline a name resolution that hangs is left behind, not waited for. */
static int set_limits(CURL *handle, const la_http_options_t *options, apr_time_t deadline_us,
                      exchange_t *x)
{
    return SET(handle, CURLOPT_TIMEOUT_MS, milliseconds(time_left(options, deadline_us))) &&
           SET(handle, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(options->connect_timeout_us)) &&
           SET(handle, CURLOPT_BUFFERSIZE, READ_BYTES) && SET(handle, CURLOPT_NOSIGNAL, 1L) &&
           SET(handle, CURLOPT_QUICK_EXIT, 1L) &&
           SET(handle, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)x->limit) &&
           SET(handle, CURLOPT_WRITEFUNCTION, take_body) && SET(handle, CURLOPT_WRITEDATA, x) &&
           SET(handle, CURLOPT_HEADERFUNCTION, take_header) && SET(handle, CURLOPT_HEADERDATA, x) &&
           SET(handle, CURLOPT_ERRORBUFFER, x->error);
}

/* Whether the connection that this handle used last cannot be used again: the endpoint has closed
 * it, or sent what nobody asked for, which curl would take for the answer to the next question,
 * about somebody else. */
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

/* An empty PROXY and NOPROXY keep the environment out. */
static int set_transport(CURL *handle, const la_http_options_t *options)
{
    return SET(handle, CURLOPT_PROTOCOLS_STR, "http,https") &&
           SET(handle, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
           SET(handle, CURLOPT_FOLLOWLOCATION, 0L) && SET(handle, CURLOPT_MAXCONNECTS, 1L) &&
           SET(handle, CURLOPT_OPENSOCKETFUNCTION, open_socket) &&
           SET(handle, CURLOPT_FRESH_CONNECT, (long)is_spoilt(handle)) &&
           SET(handle, CURLOPT_PROXY, options->proxy ? options->proxy : "") &&
           SET(handle, CURLOPT_NOPROXY, "");
}

/* Which authorities are trusted. CAPATH goes where there is a file: else it would go on trusting
 * the system's authorities beside ours, and curl would load the file anew for every connection. */
static int set_authorities(CURL *handle, const la_http_t *http)
{
    const char *file = http->options->tls_ca_file;

    return (!file || SET(handle, CURLOPT_CAINFO, file)) &&
           ((!file && !http->ca_bundle) || SET(handle, CURLOPT_CAPATH, NULL));
}

static int set_tls(CURL *handle, const la_http_t *http)
{
    const la_http_options_t *options = http->options;
    const char *key = options->tls_key_file ? options->tls_key_file : options->tls_cert_file;

    return SET(handle, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
           SET(handle, CURLOPT_SSL_VERIFYPEER, options->tls_verify ? 1L : 0L) &&
           SET(handle, CURLOPT_SSL_VERIFYHOST, options->tls_verify ? 2L : 0L) &&
           set_authorities(handle, http) &&
           (!options->tls_cert_file || (SET(handle, CURLOPT_SSLCERT, options->tls_cert_file) &&
                                        SET(handle, CURLOPT_SSLKEY, key)));
}

static int set_request(CURL *handle, const la_http_request_t *request, struct curl_slist *fields)
{
    int set = SET(handle, CURLOPT_URL, request->url) && SET(handle, CURLOPT_HTTPHEADER, fields) &&
              SET(handle, CURLOPT_USERAGENT, "mod_llama_auth");

    if (strcmp(request->method, "POST") != 0) {
        return set && SET(handle, CURLOPT_HTTPGET, 1L);
    }
    return set && SET(handle, CURLOPT_POST, 1L) &&
           SET(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len) &&
           SET(handle, CURLOPT_POSTFIELDS, request->body.len > 0 ? request->body.data : "");
}

/* Appends a line to the list. Returns 0 when memory is out or the line would become two. */
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

/* The fields to send, as curl wants them; "Name;" is how it writes an empty one. The caller frees
 * the list, also on failure. */
static int make_fields(const apr_table_t *headers, apr_pool_t *pool, struct curl_slist **fields)
{
    /* Without this curl asks for a 100 before a longer body, and waits a second for it. */
    int made = add_line(fields, "Expect:");
    const apr_array_header_t *array = headers ? apr_table_elts(headers) : NULL;
    int i;

    for (i = 0; made && array && i < array->nelts; i++) {
        const apr_table_entry_t *field = &APR_ARRAY_IDX(array, i, apr_table_entry_t);
        const char *line = *field->val ? apr_pstrcat(pool, field->key, ": ", field->val, NULL)
                                       : apr_pstrcat(pool, field->key, ";", NULL);

        made = add_line(fields, line);
    }
    return made;
}

/* ---- the call ---- */

/* An empty field keeps the CR of its line in libcurl 7.88. */
static const char *trimmed(apr_pool_t *pool, const char *value)
{
    apr_size_t len = strlen(value);

    while (len > 0 && strchr(" \t\r\n", value[len - 1])) {
        len--;
    }
    return apr_pstrmemdup(pool, value, len);
}

/* Keeps the wanted fields, lines of one name joined by ", "; of the final answer only, not of a 1xx
 * or a proxy. */
static apr_table_t *wanted_fields(CURL *handle, const char *const *wanted, apr_pool_t *pool)
{
    apr_table_t *kept = apr_table_make(pool, 4);
    struct curl_header *field;
    size_t i;

    for (; wanted && *wanted; wanted++) {
        for (i = 0; curl_easy_header(handle, *wanted, i, CURLH_HEADER, -1, &field) == CURLHE_OK;
             i++) {
            apr_table_addn(kept, *wanted, trimmed(pool, field->value));
        }
    }
    apr_table_compress(kept, APR_OVERLAP_TABLES_MERGE);
    return kept;
}

/* The endpoint's status; 0 where it has not answered, or as no server may. */
static int status_of(CURL *handle)
{
    long status = 0;

    return curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK &&
                   status >= 200 && status <= 599
               ? (int)status
               : 0;
}

/* Why a connection came to nothing, with the system's word for it: curl's own is the same for a
 * port that nobody listens on and for one that the system's policy forbids. */
static const char *connect_error(CURL *handle, const char *said, apr_pool_t *pool)
{
    long error = 0;
    char word[128];

    if (curl_easy_getinfo(handle, CURLINFO_OS_ERRNO, &error) != CURLE_OK || error == 0) {
        return said;
    }
    apr_strerror((apr_status_t)error, word, sizeof(word));
    return strstr(said, word) ? said : apr_pstrcat(pool, said, ": ", word, NULL);
}

static void take_failure(CURL *handle, const exchange_t *x, CURLcode code, apr_pool_t *pool,
                         la_http_response_t *response)
{
    response->outcome = code == CURLE_OPERATION_TIMEDOUT ? LA_HTTP_TIMEOUT : LA_HTTP_FAILED;
    response->reason = x->error[0] ? x->error : curl_easy_strerror(code);
    if (code == CURLE_COULDNT_CONNECT) {
        response->reason = connect_error(handle, response->reason, pool);
    }
    if (x->refusal || code == CURLE_FILESIZE_EXCEEDED) {
        response->reason = x->refusal ? x->refusal : too_large;
        response->status = status_of(handle);
    }
}

/* Whether it is the proxy that answered, and not the endpoint: what it says is nothing about a
 * token. An https endpoint is behind a tunnel, whose refusal curl tells as a failure. */
static int is_proxys_own(const la_http_options_t *options, const char *url, int status)
{
    return options->proxy && status == 407 && strncasecmp(url, "https:", 6) != 0;
}

static void take_answer(CURL *handle, const la_http_options_t *options,
                        const la_http_request_t *request, const exchange_t *x, apr_pool_t *pool,
                        la_http_response_t *response)
{
    int status = status_of(handle);
    char *type = NULL;

    if (status == 0) {
        response->reason = "the answer has no status from 200 to 599";
        return;
    }
    if (is_proxys_own(options, request->url, status)) {
        response->reason = "Proxy answered 407: it wants credentials";
        return;
    }
    response->outcome = LA_HTTP_ANSWERED;
    response->status = status;
    response->body = (la_slice_t){x->body ? x->body : "", x->len};
    if (curl_easy_getinfo(handle, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK) {
        response->content_type = apr_pstrdup(pool, type);
    }
    response->headers = wanted_fields(handle, request->wanted, pool);
}

static void perform(const la_http_t *http, CURL *handle, const la_http_request_t *request,
                    exchange_t *x, apr_pool_t *pool, la_http_response_t *response)
{
    struct curl_slist *fields = NULL;
    CURLcode code;

    if (make_fields(request->headers, pool, &fields) &&
        set_limits(handle, http->options, request->deadline_us, x) &&
        set_transport(handle, http->options) && set_tls(handle, http) &&
        set_request(handle, request, fields)) {
        code = curl_easy_perform(handle);
        if (code == CURLE_OK) {
            take_answer(handle, http->options, request, x, pool, response);
        } else {
            take_failure(handle, x, code, pool, response);
        }
    } else {
        response->reason = "the call could not be made ready";
    }
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
    exchange_t *x = apr_pcalloc(pool, sizeof(*x));
    CURL *handle = acquire(http);

    *response = (la_http_response_t){0};
    if (!handle) {
        response->reason = "no handle for a call";
        return;
    }
    x->limit = http->options->response_limit_bytes;
    apr_pool_cleanup_register(pool, x, free_body, apr_pool_cleanup_null);
    perform(http, handle, request, x, pool, response);
    release(http, handle);
}

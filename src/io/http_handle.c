/* Options of curl that are the same for all calls of a client. Any thread. */
#include "io/http_handle.h"

#include "io/http_tls.h"

#include <limits.h>
#include <sys/socket.h>

/* How much curl reads at a time. Answers are short, and each connection has its own buffer. */
#define READ_BYTES 4096L

/* Makes the socket close-on-exec at once: another thread may fork a CGI at any moment. */
static curl_socket_t open_socket(void *unused, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)unused;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

long la_http_milliseconds(apr_interval_time_t us)
{
    apr_interval_time_t ms = us / 1000 + (us % 1000 != 0);

    return ms > INT_MAX ? INT_MAX : ms < 1 ? 1 : (long)ms;
}

/* QUICK_EXIT: at the deadline curl does not wait for a name resolution that hangs. */
static int set_limits(CURL *handle, const la_http_options_t *options)
{
    return LA_CURL_SET(handle, CURLOPT_CONNECTTIMEOUT_MS,
                       la_http_milliseconds(options->connect_timeout_us)) &&
           LA_CURL_SET(handle, CURLOPT_BUFFERSIZE, READ_BYTES) &&
           LA_CURL_SET(handle, CURLOPT_NOSIGNAL, 1L) &&
           LA_CURL_SET(handle, CURLOPT_QUICK_EXIT, 1L) &&
           LA_CURL_SET(handle, CURLOPT_MAXFILESIZE_LARGE,
                       (curl_off_t)options->response_limit_bytes);
}

/* An empty PROXY and NOPROXY override the environment. */
static int set_transport(CURL *handle, const la_http_options_t *options)
{
    return LA_CURL_SET(handle, CURLOPT_PROTOCOLS_STR, "http,https") &&
           LA_CURL_SET(handle, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
           LA_CURL_SET(handle, CURLOPT_FOLLOWLOCATION, 0L) &&
           LA_CURL_SET(handle, CURLOPT_MAXCONNECTS, 1L) &&
           LA_CURL_SET(handle, CURLOPT_OPENSOCKETFUNCTION, open_socket) &&
           LA_CURL_SET(handle, CURLOPT_PROXY, options->proxy ? options->proxy : "") &&
           LA_CURL_SET(handle, CURLOPT_NOPROXY, "") &&
           LA_CURL_SET(handle, CURLOPT_USERAGENT, "mod_llama_auth");
}

static int set_tls(CURL *handle, const la_http_options_t *options)
{
    const char *key = options->tls_key_file ? options->tls_key_file : options->tls_cert_file;

    return la_http_tls_set(handle, options->tls_verify, options->tls_ca_file) &&
           (!options->tls_cert_file ||
            (LA_CURL_SET(handle, CURLOPT_SSLCERT, options->tls_cert_file) &&
             LA_CURL_SET(handle, CURLOPT_SSLKEY, key)));
}

CURL *la_http_handle_make(const la_http_options_t *options)
{
    CURL *handle = curl_easy_init();

    if (handle && set_limits(handle, options) && set_transport(handle, options) &&
        set_tls(handle, options)) {
        return handle;
    }
    curl_easy_cleanup(handle);
    return NULL;
}

/* curl looks at the clock between two calls of OpenSSL. One such call reads for as long as records
 * come that bring nothing (a HelloRequest during the handshake, tickets behind it): an endpoint
 * that sends them without end, or whoever is in its place before it shows a certificate, would keep
 * a thread for ever. So OpenSSL calls us for each record. Any request thread.
 */
#include "io/http_tls.h"

#include "base/clock.h"

#include <pthread.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/ssl.h>

/* A session outlives the call that began it, and one thread works on it at a time. */
static _Thread_local struct {
    apr_time_t read_until_us;
    int was_late;
} current;

void la_http_tls_read_until(apr_time_t deadline_us)
{
    current.read_until_us = deadline_us;
    current.was_late = 0;
}

int la_http_tls_was_late(void)
{
    return current.was_late;
}

/* Ends a session as if the endpoint had ended it. */
static void refuse_late_records(int is_written, int version, int type, const void *bytes,
                                size_t len, SSL *session, void *unused)
{
    (void)version;
    (void)type;
    (void)bytes;
    (void)len;
    (void)unused;
    if (!is_written && la_clock_us() >= current.read_until_us) {
        SSL_set_shutdown(session, SSL_get_shutdown(session) | SSL_RECEIVED_SHUTDOWN);
        current.was_late = 1;
    }
}

static CURLcode watch_sessions(CURL *handle, void *context, void *unused)
{
    (void)handle;
    (void)unused;
    SSL_CTX_set_msg_callback(context, refuse_late_records);
    return CURLE_OK;
}

/* Whether libcurl does TLS with the OpenSSL that this module is linked with. */
static int is_our_openssl(const char *tls)
{
    static const char name[] = "OpenSSL/";

    return tls && strncmp(tls, name, sizeof(name) - 1) == 0 &&
           strcmp(tls + sizeof(name) - 1, OpenSSL_version(OPENSSL_VERSION_STRING)) == 0;
}

/* About libcurl. It is asked once: it writes its answers to statics, whoever reads them. */
static int does_our_tls;
static int has_bundle;

static void look_at_curl(void)
{
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);

    does_our_tls = is_our_openssl(curl->ssl_version);
    has_bundle = curl->cainfo != NULL;
}

/* With a file, CAPATH goes: else curl would trust the system's authorities beside ours, and load
 * the file for each connection. */
static int set_authorities(CURL *handle, const char *file)
{
    return (!file || LA_CURL_SET(handle, CURLOPT_CAINFO, file)) &&
           ((!file && !has_bundle) || LA_CURL_SET(handle, CURLOPT_CAPATH, NULL));
}

int la_http_tls_set(CURL *handle, int verify, const char *ca_file)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, look_at_curl);
    return LA_CURL_SET(handle, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
           LA_CURL_SET(handle, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L) &&
           LA_CURL_SET(handle, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L) &&
           (!does_our_tls || LA_CURL_SET(handle, CURLOPT_SSL_CTX_FUNCTION, watch_sessions)) &&
           set_authorities(handle, ca_file);
}

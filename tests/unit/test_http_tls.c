/* http_tls.c below http.c: what sends TLS records without end does not keep a thread, during the
 * handshake and behind it; a session that rests between calls goes on. The endpoint is a thread. */
#include "support.h"

#include "io/http.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

/* A red test waits for ever. */
#define PATIENCE_S 60

static EVP_PKEY *key;
static X509 *certificate;

typedef struct endpoint_t {
    int listener;
    char url[64];
    void (*serve)(int fd);
    pthread_t thread;
} endpoint_t;

static SSL *accept_session(int fd)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    SSL *session;

    SSL_CTX_use_certificate(context, certificate);
    SSL_CTX_use_PrivateKey(context, key);
    session = SSL_new(context);
    SSL_CTX_free(context);
    SSL_set_fd(session, fd);
    assert(SSL_accept(session) == 1);
    return session;
}

/* HelloRequests, which a client passes over during the handshake. */
static void greet(int fd)
{
    static const char request[] = "\x16\x03\x03\x00\x04\0\0\0";
    char many[1000 * sizeof(request)];

    for (size_t i = 0; i < 1000; i++) {
        memcpy(many + i * sizeof(request), request, sizeof(request));
    }
    while (send(fd, many, sizeof(many), 0) > 0) {}
}

/* What TLS 1.3 has behind the handshake. */
static void update_keys(int fd)
{
    SSL *session = accept_session(fd);

    while (SSL_key_update(session, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 &&
           SSL_do_handshake(session) == 1) {}
    SSL_free(session);
}

/* Two answers on one connection. */
static void answer(int fd)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    SSL *session = accept_session(fd);
    char request[4096];

    for (int i = 0; i < 2 && SSL_read(session, request, sizeof(request)) > 0; i++) {
        SSL_write(session, text, sizeof(text) - 1);
    }
    SSL_free(session);
}

static void *accept_one(void *data)
{
    const endpoint_t *endpoint = data;
    int fd = accept(endpoint->listener, NULL, NULL);

    endpoint->serve(fd);
    close(fd);
    return NULL;
}

static void begin(endpoint_t *endpoint, void (*serve)(int fd))
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    endpoint->serve = serve;
    endpoint->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(endpoint->listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(endpoint->listener, 1), 0);
    getsockname(endpoint->listener, (struct sockaddr *)&address, &len);
    snprintf(endpoint->url, sizeof(endpoint->url), "https://127.0.0.1:%d/",
             ntohs(address.sin_port));
    pthread_create(&endpoint->thread, NULL, accept_one, endpoint);
}

static void end(const endpoint_t *endpoint)
{
    pthread_join(endpoint->thread, NULL);
    close(endpoint->listener);
}

static la_http_response_t call(la_http_t *http, const char *url, apr_pool_t *pool)
{
    const la_http_request_t request = {.method = "GET", .url = url};
    la_http_response_t response;

    la_http_call(http, &request, pool, &response);
    return response;
}

static la_http_options_t options = {.connect_timeout_us = 20 * APR_USEC_PER_SEC,
                                    .response_limit_bytes = 1000};

static void test_flood(void **state)
{
    apr_pool_t *pool = new_pool();
    la_http_response_t response;
    endpoint_t endpoint;
    la_http_t *http;

    options.timeout_us = 300 * 1000;
    begin(&endpoint, (void (*)(int)) * state);
    assert_int_equal(la_http_make(pool, &options, 1, &http), APR_SUCCESS);
    response = call(http, endpoint.url, pool);
    assert_int_equal(response.outcome, LA_HTTP_TIMEOUT);
    assert_string_equal(response.reason, "TLS records without end (Timeout)");
    apr_pool_destroy(pool);
    end(&endpoint);
}

static void test_kept_session(void **state)
{
    apr_pool_t *pool = new_pool();
    endpoint_t endpoint;
    la_http_t *http;

    (void)state;
    options.timeout_us = PATIENCE_S * APR_USEC_PER_SEC;
    begin(&endpoint, answer);
    assert_int_equal(la_http_make(pool, &options, 1, &http), APR_SUCCESS);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(call(http, endpoint.url, pool).status, 200);
    }
    apr_pool_destroy(pool);
    end(&endpoint);
}

int main(void)
{
    start();
    signal(SIGPIPE, SIG_IGN); /* as httpd does */
    alarm(PATIENCE_S);
    key = EVP_EC_gen("P-256");
    certificate = X509_new();
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_sign(certificate, key, EVP_sha256());
    add("HelloRequests without end", test_flood, (void *)greet);
    add("KeyUpdates without end", test_flood, (void *)update_keys);
    add("a session is used again", test_kept_session, NULL);
    return finish("http_tls");
}

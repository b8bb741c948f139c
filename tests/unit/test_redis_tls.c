/* Tests of src/io/redis_tls.c below redis_stream.c: what a look for surplus bytes sees, and what
 * stays behind. The server is OpenSSL's, in a thread. */
#include "support.h"

#include "base/clock.h"
#include "io/redis_stream.h"

#ifdef LA_REDIS_TLS

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_US (20 * APR_USEC_PER_SEC)

static int sockets[2]; /* ours, the server's */
static EVP_PKEY *key;
static X509 *certificate;
static SSL *server;
static la_redis_stream_t stream;
static apr_pool_t *pool;

static void make_certificate(const char *path)
{
    X509_EXTENSION *name = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost");
    FILE *file = fopen(path, "w");

    key = EVP_EC_gen("P-256");
    certificate = X509_new();
    X509_set_version(certificate, 2);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    assert_true(X509_add_ext(certificate, name, -1) == 1 &&
                X509_sign(certificate, key, EVP_sha256()));
    assert_true(file && PEM_write_X509(file, certificate) == 1 && fclose(file) == 0);
    X509_EXTENSION_free(name);
}

/* Shakes hands, and gives one answer. */
static void *serve(void *unused)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    SSL_CTX_use_certificate(context, certificate);
    SSL_CTX_use_PrivateKey(context, key);
    server = SSL_new(context);
    SSL_CTX_free(context);
    SSL_set_fd(server, sockets[1]);
    assert(SSL_accept(server) == 1 && SSL_write(server, "+OK\r\n", 5) == 5);
    return unused;
}

/* Opens a stream and reads the answer. */
static int set_up(void **state)
{
    char path[] = "/tmp/la-test-redis-tls-XXXXXX";
    la_redis_tls_files_t files = {path, NULL, NULL};
    la_redis_tls_t *tls;
    pthread_t thread;
    apr_size_t len;
    char buffer[64];
    int closed;
    int fd = mkstemp(path);

    (void)state;
    signal(SIGPIPE, SIG_IGN); /* as httpd does */
    apr_pool_create(&pool, NULL);
    assert_true(fd >= 0 && close(fd) == 0);
    make_certificate(path);
    assert_null(la_redis_tls_make(pool, &files, &tls));
    unlink(path);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    fcntl(sockets[0], F_SETFL, O_NONBLOCK);
    pthread_create(&thread, NULL, serve, NULL);
    assert_null(la_redis_stream_open(&stream, sockets[0], tls, "localhost",
                                     la_clock_us() + PATIENCE_US, pool));
    assert_null(la_redis_stream_read(&stream, buffer, sizeof(buffer), la_clock_us() + PATIENCE_US,
                                     pool, &len, &closed));
    assert_int_equal(len, 5);
    pthread_join(thread, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    la_redis_stream_close(&stream);
    SSL_free(server);
    close(sockets[1]);
    X509_free(certificate);
    EVP_PKEY_free(key);
    apr_pool_destroy(pool);
    return 0;
}

static void test_quiet(void **state)
{
    (void)state;
    assert_true(la_redis_stream_is_quiet(&stream)); /* tickets are nothing */
    assert_int_equal(SSL_write(server, ":1\r\n", 4), 4);
    assert_false(la_redis_stream_is_quiet(&stream));
}

/* Whoever comes too late to look does not say that he has seen nothing. */
static void test_late(void **state)
{
    apr_size_t len;
    char byte;

    (void)state;
    assert_true(la_redis_stream_is_quiet(&stream));
    assert_int_equal(SSL_write(server, ":1\r\n", 4), 4);
    assert_int_equal(la_redis_tls_read(stream.tls, &byte, 1, la_clock_us(), &len),
                     LA_REDIS_STEP_FAILED);
}

/* The thread's queue of errors is everybody's. */
static void test_no_error_stays(void **state)
{
    (void)state;
    shutdown(sockets[1], SHUT_RDWR);
    assert_false(la_redis_stream_is_quiet(&stream));
    la_redis_stream_close(&stream);
    assert_int_equal(ERR_peek_error(), 0);
}

static void add_in(const char *name, CMUnitTestFunction function)
{
    add(name, function, NULL);
    tests[test_count - 1].setup_func = set_up;
    tests[test_count - 1].teardown_func = tear_down;
}

int main(void)
{
    start();
    add_in("quiet", test_quiet);
    add_in("a look that comes late", test_late);
    add_in("no error stays", test_no_error_stays);
    return finish("redis_tls");
}

#else

static void test_refused(void **state)
{
    la_redis_tls_files_t files = {NULL, NULL, NULL};
    la_redis_tls_t *tls;

    (void)state;
    assert_non_null(strstr(la_redis_tls_make(NULL, &files, &tls), "hiredis_ssl"));
    assert_null(tls);
}

int main(void)
{
    start();
    add("refused", test_refused, NULL);
    return finish("redis_tls");
}

#endif

/* TLS to Redis, with OpenSSL: reads the files at startup, and runs sessions. hiredis_ssl could do
 * neither: it leaves the names of hosts to its caller, and its handshake knows no deadline. */
#ifdef LA_REDIS_TLS
#include "io/redis_tls.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <apr_strings.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static apr_status_t free_context(void *context)
{
    SSL_CTX_free(context);
    return APR_SUCCESS;
}

/* Refuses to ask for a passphrase: nobody may be there to type it. */
static int no_passphrase(char *buffer, int size, int writing, void *unused)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)unused;
    return -1;
}

/* Returns "word: path: why", and forgets OpenSSL's errors. */
static const char *refuse(apr_pool_t *pool, const char *word, const char *path, const char *what)
{
    unsigned long error = ERR_peek_error(); /* the first: the others say who called */
    const char *reason =
        ERR_SYSTEM_ERROR(error) ? strerror(ERR_GET_REASON(error)) : ERR_reason_error_string(error);

    reason = reason ? apr_psprintf(pool, " (%s)", reason) : "";
    ERR_clear_error();
    return apr_pstrcat(pool, word, ": ", path, what, reason, NULL);
}

static const char *set_authorities(apr_pool_t *pool, SSL_CTX *context, const char *path)
{
    if (!path) {
        return SSL_CTX_set_default_verify_paths(context) == 1
                   ? NULL
                   : "cafile: the system's authorities cannot be used";
    }
    return SSL_CTX_load_verify_locations(context, path, NULL) == 1
               ? NULL
               : refuse(pool, "cafile", path, " holds no certificate in PEM that can be read");
}

static const char *set_certificate(apr_pool_t *pool, SSL_CTX *context,
                                   const la_redis_tls_files_t *files)
{
    const char *key = files->key ? files->key : files->cert;

    if (!files->cert) {
        return files->key ? "keyfile needs certfile" : NULL;
    }
    if (SSL_CTX_use_certificate_chain_file(context, files->cert) != 1) {
        return refuse(pool, "certfile", files->cert,
                      " holds no certificate in PEM that can be read");
    }
    ERR_clear_error();
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
        return refuse(pool, "keyfile", key,
                      " holds no private key of that certificate in PEM, without a passphrase");
    }
    return NULL;
}

/* At least 1.2, or what the system demands. */
static int demand_version(SSL_CTX *context)
{
    return SSL_CTX_get_min_proto_version(context) >= TLS1_2_VERSION ||
           SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1;
}

const char *la_redis_tls_make(apr_pool_t *pool, const la_redis_tls_files_t *files,
                              la_redis_tls_t **tls)
{
    SSL_CTX *made = SSL_CTX_new(TLS_client_method());
    const char *error;

    *tls = NULL;
    if (!made || !demand_version(made)) {
        SSL_CTX_free(made);
        return "OpenSSL failed to make a context";
    }
    apr_pool_cleanup_register(pool, made, free_context, apr_pool_cleanup_null);
    SSL_CTX_set_verify(made, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_options(made, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_default_passwd_cb(made, no_passphrase);
    ERR_clear_error();
    error = set_authorities(pool, made, files->ca);
    error = error ? error : set_certificate(pool, made, files);
    *tls = error ? NULL : made;
    return error;
}

/* Whether it is an address, for which no server name is sent. */
static int is_address(const char *host)
{
    struct in6_addr address;

    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

static int expect_host(SSL *session, const char *host)
{
    if (is_address(host)) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), host) == 1;
    }
    SSL_set_hostflags(session, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(session, host) == 1 && SSL_set_tlsext_host_name(session, host) == 1;
}

/* One call reads for as long as records come that bring nothing: a server that sends them without
 * end would keep a thread for ever. So each read from the socket looks at the clock. */
static long refuse_late_reads(BIO *bio, int operation, const char *buffer, size_t len, int command,
                              long argument, int result, size_t *done)
{
    const apr_time_t *deadline_us = (const void *)BIO_get_callback_arg(bio);

    (void)buffer;
    (void)len;
    (void)command;
    (void)argument;
    (void)done;
    if (operation == BIO_CB_READ && deadline_us && la_clock_us() >= *deadline_us) {
        BIO_clear_retry_flags(bio); /* of the read before: this one did not see that nothing came */
        errno = ETIMEDOUT;
        return -1;
    }
    return result;
}

SSL *la_redis_tls_begin(la_redis_tls_t *tls, const char *host, int fd, apr_pool_t *pool)
{
    apr_size_t len = strlen(host);
    SSL *session = SSL_new(tls);

    if (len > 1 && host[len - 1] == '.') { /* the root's dot is in no certificate */
        host = apr_pstrmemdup(pool, host, len - 1);
    }
    if (session && (!expect_host(session, host) || SSL_set_fd(session, fd) != 1)) {
        SSL_free(session);
        return NULL;
    }
    if (session) {
        BIO_set_callback_ex(SSL_get_rbio(session), refuse_late_reads);
    }
    return session;
}

void la_redis_tls_end(SSL *session)
{
    if (session) {
        SSL_free(session);
        ERR_clear_error(); /* mod_ssl uses the same thread's queue */
    }
}

/* ---- steps ---- */

/* Before a step: forgets what earlier calls of this thread left, which SSL_get_error() looks at.
 * deadline_us: stays until after(). */
static void before(SSL *session, apr_time_t *deadline_us)
{
    ERR_clear_error();
    errno = 0;
    BIO_set_callback_arg(SSL_get_rbio(session), (char *)deadline_us);
}

static la_redis_step_e after(SSL *session, int result)
{
    int error = SSL_get_error(session, result);

    BIO_set_callback_arg(SSL_get_rbio(session), NULL);
    if (result > 0) {
        return LA_REDIS_STEP_DONE;
    }
    if (error == SSL_ERROR_WANT_READ) {
        return LA_REDIS_STEP_WANTS_READ;
    }
    if (error == SSL_ERROR_WANT_WRITE) {
        return LA_REDIS_STEP_WANTS_WRITE;
    }
    return error == SSL_ERROR_ZERO_RETURN || (error == SSL_ERROR_SYSCALL && errno == 0)
               ? LA_REDIS_STEP_CLOSED
               : LA_REDIS_STEP_FAILED;
}

la_redis_step_e la_redis_tls_shake_hands(SSL *session, apr_time_t deadline_us)
{
    before(session, &deadline_us);
    return after(session, SSL_connect(session));
}

la_redis_step_e la_redis_tls_read(SSL *session, char *buffer, apr_size_t size,
                                  apr_time_t deadline_us, apr_size_t *len)
{
    *len = 0;
    before(session, &deadline_us);
    return after(session, SSL_read_ex(session, buffer, size, len));
}

la_redis_step_e la_redis_tls_write(SSL *session, la_slice_t bytes, apr_time_t deadline_us,
                                   apr_size_t *len)
{
    *len = 0;
    before(session, &deadline_us);
    return after(session, SSL_write_ex(session, bytes.data, bytes.len, len));
}

int la_redis_tls_has_pending(const SSL *session)
{
    return SSL_has_pending(session);
}

const char *la_redis_tls_reason(const SSL *session, const char *host, apr_pool_t *pool)
{
    /* Before there is a certificate, OpenSSL says that it is fine or that it is unspecified. */
    long verdict = host ? SSL_get_verify_result(session) : X509_V_OK;
    unsigned long code = ERR_peek_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    char system[120];

    ERR_clear_error();
    if (verdict != X509_V_OK && verdict != X509_V_ERR_UNSPECIFIED) {
        return apr_psprintf(pool, "its certificate is not accepted for %s: %s", host,
                            X509_verify_cert_error_string(verdict));
    }
    if (text) {
        return apr_pstrcat(pool, "TLS: ", text, NULL);
    }
    return errno ? apr_pstrdup(pool, apr_strerror(errno, system, sizeof(system))) : "TLS failed";
}
#endif

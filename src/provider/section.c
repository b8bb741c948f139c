/* Checks options of a section that need each other. Runs while the configuration is read. */
#include "provider/section.h"

#include "io/server.h"

#include <string.h>
#include <strings.h>

#include <apr_strings.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

/* Gives no passphrase: OpenSSL would ask the terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *data)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)data;
    return -1;
}

static EVP_PKEY *read_key(const char *path)
{
    BIO *file = BIO_new_file(path, "r");
    EVP_PKEY *key = file ? PEM_read_bio_PrivateKey(file, NULL, no_passphrase, NULL) : NULL;

    BIO_free(file);
    return key;
}

static X509 *read_certificate(const char *path)
{
    BIO *file = BIO_new_file(path, "r");
    X509 *certificate = file ? PEM_read_bio_X509(file, NULL, NULL, NULL) : NULL;

    BIO_free(file);
    return certificate;
}

static const char *check_pair(const la_http_options_t *http, apr_pool_t *pool, X509 *certificate,
                              EVP_PKEY *key)
{
    if (!key && http->tls_key_file) {
        return apr_psprintf(pool, "TLSKeyFile: %s holds no private key in PEM without a passphrase",
                            http->tls_key_file);
    }
    if (!key) {
        return "TLSCertFile needs TLSKeyFile, because it holds no private key";
    }
    if (!certificate || X509_check_private_key(certificate, key) != 1) {
        return http->tls_key_file ? "TLSKeyFile is not the key of the certificate in TLSCertFile"
                                  : "TLSCertFile holds a private key of another certificate";
    }
    return NULL;
}

static const char *check_certificate(const la_http_options_t *http, apr_pool_t *pool)
{
    X509 *certificate;
    EVP_PKEY *key;
    const char *error;

    if (!http->tls_cert_file) {
        return http->tls_key_file ? "TLSKeyFile needs TLSCertFile" : NULL;
    }
    certificate = read_certificate(http->tls_cert_file);
    key = read_key(http->tls_key_file ? http->tls_key_file : http->tls_cert_file);
    error = check_pair(http, pool, certificate, key);
    X509_free(certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return error;
}

static void warn_of_times(const la_provider_t *provider)
{
    const la_http_options_t *http = &provider->common.http;

    if (la_provider_is_set(provider, "Timeout") && la_provider_is_set(provider, "ConnectTimeout") &&
        http->connect_timeout_us > http->timeout_us) {
        la_log(LA_LOG_WARNING,
               LA_LOGNO(
                   0140) "provider %s: ConnectTimeout is longer than Timeout, which ends the call "
                         "before",
               provider->name);
    }
}

/* Refuses words that mean any audience elsewhere: here no token would have them. */
static const char *check_audiences(const la_provider_t *provider, apr_pool_t *pool)
{
    const la_option_t *option = la_option_find(provider->type->options, "Audience");
    const apr_array_header_t *names;

    if (!option) {
        return NULL;
    }
    names =
        *(apr_array_header_t *const *)(const void *)((const char *)provider->conf + option->offset);
    for (int i = 0; names && i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);

        if (strcmp(name, "*") == 0 || strcasecmp(name, "none") == 0) {
            return apr_psprintf(pool, "Audience %s is no audience; if any will do, %s", name,
                                strstr(option->help, "none") ? "write Audience none"
                                                             : "leave the line out");
        }
    }
    return NULL;
}

const char *la_section_check(const la_provider_t *provider, apr_pool_t *pool)
{
    const char *error = check_certificate(&provider->common.http, pool);

    warn_of_times(provider);
    return error ? error : check_audiences(provider, pool);
}

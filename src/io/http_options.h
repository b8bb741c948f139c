/* Options of the HTTP client (http.h). */
#pragma once

#include <apr.h>
#include <apr_time.h>

/* How a provider's endpoint is called: constant after startup. */
typedef struct la_http_options_t {
    apr_interval_time_t timeout_us;         /* for the whole call */
    apr_interval_time_t connect_timeout_us; /* for name resolution, TCP and TLS, as a part of it */
    apr_size_t response_limit_bytes;        /* a longer body ends the call */
    int tls_verify;                         /* 0 accepts any certificate */
    const char *tls_ca_file;                /* PEM, or NULL for the system's */
    const char *tls_cert_file;              /* PEM client certificate, or NULL */
    const char *tls_key_file;               /* its key, or NULL when it is in the same file */
    const char *proxy; /* an http URL, or NULL; the environment's is never used */
} la_http_options_t;

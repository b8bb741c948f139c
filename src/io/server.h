/* What the floors below httpd/ need of the server: a log, paths, regular expressions, how many
 * requests run at once. httpd/lifecycle.c sets it before any configuration is read. */
#pragma once

#include "base/slice.h"

#include <apr_pools.h>

typedef enum la_log_e {
    LA_LOG_ERROR,
    LA_LOG_WARNING,
    LA_LOG_NOTICE,
    LA_LOG_INFO,
    LA_LOG_DEBUG
} la_log_e;

typedef struct la_server_t {
    /* Writes one line to the server's error log. Never pass a token or a secret. */
    void (*log)(la_log_e level, const char *line);

    /* A path relative to ServerRoot made absolute, in `pool`; NULL when it is no path. */
    const char *(*path)(apr_pool_t *pool, const char *path);

    /* Compiles a regular expression (httpd's flavour, PCRE) for the life of `pool`; NULL when it is
     * none. */
    const void *(*regex_compile)(apr_pool_t *pool, const char *pattern);

    /* Whether the text matches. An expression that gives up (its match limit) does not match. */
    int (*regex_match)(const void *regex, la_slice_t text);

    /* Threads that may run requests in one process, at least 1; known once the configuration is
     * read. */
    int (*threads)(void);

    /* Requests that the server can work on at once in all processes, at least 1; known as above. */
    int (*workers)(void);
} la_server_t;

/* Installs the server's functions; `host` must live as long as the module. */
void la_server_set(const la_server_t *host);

/* The installed functions. */
const la_server_t *la_host(void);

/* la_host()->log with a format (apr_psprintf's: no %zu). Unique numbers: LA_LOGNO in the text. */
void la_log(la_log_e level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A log line's own number, four digits, unique in the source and never used again: LA_LOGNO(0012)
 * -> "LA0012: ". */
#define LA_LOGNO(number) "LA" #number ": "

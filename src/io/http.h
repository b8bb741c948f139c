/* The HTTP client. One for each provider and process; its connections stay open for whichever
 * thread calls next.
 */
#pragma once

#include "base/slice.h"
#include "io/http_options.h"

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

/* One provider's client in one process. */
typedef struct la_http_t la_http_t;

typedef struct la_http_request_t {
    const char *method;         /* "GET" or "POST" */
    const char *url;            /* one that la_url_check() passed */
    const apr_table_t *headers; /* fields to send, or NULL */
    la_slice_t body;            /* for POST */
    const char *const *wanted;  /* names of answer fields to keep, closed with NULL; or NULL */
    apr_time_t deadline_us;     /* of la_clock_us(), if sooner than the Timeout; 0: none */
} la_http_request_t;

typedef enum la_http_e {
    LA_HTTP_FAILED, /* zero: resolution, connection, TLS, a reset, a short or oversize body */
    LA_HTTP_TIMEOUT,
    LA_HTTP_ANSWERED
} la_http_e;

typedef struct la_http_response_t {
    la_http_e outcome;
    const char *reason; /* on failure, for the log; never what was sent */
    int status;         /* of the endpoint, 200 to 599; on failure 0, unless it was too large */
    la_slice_t body;    /* in the call's pool; may be empty */
    const char *content_type; /* of the body, as it came; or NULL */
    apr_table_t *headers;     /* wanted fields that came, lines joined by ", "; NULL on failure */
} la_http_response_t;

/* Checks that a URL can be called: http or https, a host, no user and no password (they would reach
 * the log), no fragment.
 *
 * authority: host[:port], as clients are told it, in `pool`.
 * Returns NULL, or what is wrong.
 */
const char *la_url_check(apr_pool_t *pool, const char *url, const char **authority);

/* A checked URL for the log, in `pool`: its query may hold a secret. */
const char *la_url_without_query(apr_pool_t *pool, const char *url);

/* Makes libcurl's global state: once in each child, before any client. */
apr_status_t la_http_child_init(apr_pool_t *pchild);

/* Makes a client in a child process; its connections close with `pchild`.
 *
 * options: must outlive the client. max_handles: how many connections are kept between calls.
 */
apr_status_t la_http_make(apr_pool_t *pchild, const la_http_options_t *options, int max_handles,
                          la_http_t **http);

/* Makes one call and waits for its end, at most options->timeout_us. Follows no redirect, keeps no
 * cookie, decompresses nothing. Any thread.
 *
 * response: always filled, in `pool`.
 */
void la_http_call(la_http_t *http, const la_http_request_t *request, apr_pool_t *pool,
                  la_http_response_t *response);

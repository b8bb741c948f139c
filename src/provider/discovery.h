/* An issuer's metadata (OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3): where its keys
 * and its introspection endpoint are. */
#pragma once

#include "io/http.h"
#include "provider/option.h"

/* Checks an issuer while the configuration is read: an http or https URL without query and
 * fragment. Returns NULL, or what is wrong. authority: as la_url_check(). */
const char *la_discovery_issuer_check(apr_pool_t *pool, const char *issuer, const char **authority);

/* The option `Issuer URL`: la_url_t, checked as above. */
la_option_parse_fn la_discovery_issuer_option;

/* Whether others can read and answer calls to a checked URL: plain http to another machine. */
int la_discovery_is_exposed(const la_url_t *url);

/* Whether two checked URLs have the same scheme, host and port, as they are spelt. */
int la_discovery_same_origin(const char *a, const char *b);

/* Fetches a document: GET, expecting 200. headers, deadline_us: as of la_http_request_t. body: in
 * `pool`, empty on failure. status: 0 if there was no answer. Returns NULL, or what went wrong, for
 * the log, with the URL up to its query. */
const char *la_discovery_get(la_http_t *http, const char *url, const apr_table_t *headers,
                             apr_time_t deadline_us, apr_pool_t *pool, la_slice_t *body,
                             int *status);

/* Fetches the metadata and takes one URL from it ("jwks_uri", "introspection_endpoint"). Tries in
 * this order, the next one only after a 4xx (except 408, 425 and 429, which are outages):
 * ISSUER/.well-known/openid-configuration, then with the issuer's path behind the name,
 * /.well-known/oauth-authorization-server and /.well-known/openid-configuration. The metadata's
 * `issuer` must be the issuer, character for character; the URL must be callable, and https if the
 * issuer is https.
 *
 * deadline_us: of la_clock_us(), for all the calls together. url: in `pool`, NULL on failure.
 * Returns NULL, or why there is none, for the log; in `pool` or a literal. */
const char *la_discovery_find(la_http_t *http, const char *issuer, const char *member,
                              apr_time_t deadline_us, apr_pool_t *pool, const char **url);

/* TLS of the HTTP client: whom to trust, and no record behind the deadline of a call. */
#pragma once

#include <apr_time.h>

#include <curl/curl.h>

/* Whether curl took an option. Without any of them a call is not safe. */
#define LA_CURL_SET(handle, option, value) (curl_easy_setopt(handle, option, value) == CURLE_OK)

/* Sets a handle's options about endpoints. Returns 0 if curl did not take one without which a call
 * is not safe.
 *
 * verify: 0 accepts any certificate. ca_file: PEM, or NULL for the system's authorities.
 */
int la_http_tls_set(CURL *handle, int verify, const char *ca_file);

/* Until when, by la_clock_us(), sessions of this thread read records. 0, as before the first call:
 * any record ends its session. */
void la_http_tls_read_until(apr_time_t deadline_us);

/* Whether a session of this thread was ended since la_http_tls_read_until(). */
int la_http_tls_was_late(void);

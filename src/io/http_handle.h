/* A handle of libcurl for the calls of one client (http.c). */
#pragma once

#include "io/http_options.h"

#include <curl/curl.h>

/* Makes a handle with all that the client's calls have in common; curl copies the texts. Returns
 * NULL if memory is out or an option was refused. The caller owns it. */
CURL *la_http_handle_make(const la_http_options_t *options);

/* Microseconds as milliseconds for curl, to which 0 means no limit, and which takes no more than
 * an int. Rounds up. */
long la_http_milliseconds(apr_interval_time_t us);

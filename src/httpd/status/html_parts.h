/* Parts of the status page. */
#pragma once

#include "shm/counters.h"

#include <httpd.h>

/* A tile: a number and what it counts. is_bad: red unless it is 0. Tiles of 0 are small, and come
 * last. */
void la_html_number(request_rec *r, const char *label, uint64_t value, int is_bad);

/* A bar of which `share` (0 to 1) is filled. */
void la_html_fill(request_rec *r, double share);

/* How long calls took, as a picture. of: what took that long. */
void la_html_histogram(request_rec *r, const la_counters_histogram_t *histogram, const char *of);

/* The tokens of the last hour, as a picture; nothing when there was no answer yet.
 *
 * name: of the provider, not escaped.
 */
void la_html_tokens(request_rec *r, const la_counters_usage_t *usage, const char *name);

/* Reads the tokens used from an answer while it passes to the client. */
#pragma once

#include "quota/usage.h"

#include <httpd.h>

/* Has the answer read: asks the backend for one that is not compressed. For the last fixup. */
void la_usage_filter_want(request_rec *r);

/* Hook insert_filter, last: puts the filter nearest to the handler, but behind mod_deflate's
 * INFLATE, which is of the same type. */
void la_usage_filter_insert(request_rec *r);

/* What the answer told, once it has passed or was cut off; also noted for the access log. */
la_usage_t la_usage_filter_end(request_rec *r);

/* Registers the output filter; once, with the hooks. */
void la_usage_filter_register(void);

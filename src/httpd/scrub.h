/* Keeps clients from speaking in the module's name: in header fields, in trailers (`MergeTrailers
 * On`), and by a Connection field that makes a proxy remove ours. */
#pragma once

#include "httpd/config/config.h"

/* Registers the filter of trailers. */
void la_scrub_register(void);

/* Hook post_read_request: removes what no client may send, and adds the filter of trailers. */
int la_scrub_read(request_rec *r);

/* Hook insert_filter: the same filter, for a redirect's request. */
void la_scrub_insert_filter(request_rec *r);

/* Removes the fields that LlamaAuthForward names anywhere, and in `forwards` (may be NULL). */
void la_scrub_fields(request_rec *r, const la_forwards_t *forwards);

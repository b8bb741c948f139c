/* Protected resource metadata (RFC 9728): the handler that serves the document. */
#ifndef LA_METADATA_H
#define LA_METADATA_H

#include <httpd.h>

/* Handler `llama-auth-metadata`. */
int la_metadata_handler(request_rec *r);

#endif

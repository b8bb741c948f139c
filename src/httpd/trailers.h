/* Keeps clients from speaking in the module's name in trailers, which `MergeTrailers On` makes header fields of. */
#ifndef LA_TRAILERS_H
#define LA_TRAILERS_H

#include <httpd.h>

/* Registers the filter. */
void la_trailers_register(void);

/* Hooks post_read_request and insert_filter: put the filter in front of a body that may have trailers. */
int la_trailers_watch(request_rec *r);
void la_trailers_insert(request_rec *r);

#endif

/* Comparing http and https URLs as RFC 3986 section 6.2 says. Any thread. */
#ifndef LA_URI_H
#define LA_URI_H

#include "base/slice.h"

/* Whether two URLs name the same resource: scheme and host in any case, a default port like none, a
 * path of `/` alone like none, the rest byte for byte. Texts that are no such URLs, or have a user,
 * are the same only byte for byte. */
int la_uri_is_same(la_slice_t a, la_slice_t b);

#endif

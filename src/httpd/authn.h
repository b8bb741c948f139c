/* Authentication: from the Authorization field to a known caller. */
#ifndef LA_AUTHN_H
#define LA_AUTHN_H

#include "httpd/request.h"

/* Makes sure that the caller of this request is known: takes over a result that this request or the one it
 * came from already has for the same chain, path and query, else asks the providers of LlamaAuthUse.
 *
 * Returns OK with la_request_get(r)->identity, r->user and the notes set; else the status of a recorded denial.
 */
int la_authn_require(request_rec *r);

/* Hook check_authn, before all others. */
int la_authn_check(request_rec *r);

#endif

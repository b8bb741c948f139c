/* Authentication: from the Authorization field to a known caller. */
#ifndef LA_AUTHN_H
#define LA_AUTHN_H

#include "httpd/request.h"

/* Hook check_authn, before all others. */
int la_authn_check(request_rec *r);

#endif

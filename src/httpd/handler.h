/* Which handler answers a request, and whether an .htaccess says so. */
#pragma once

#include <httpd.h>

/* Whether SetHandler, AddHandler or RewriteRule names this handler for the request. */
int la_handler_is(const request_rec *r, const char *name);

/* Whether a SetHandler in the server's configuration names this handler for the request. An
 * .htaccess, AddHandler and RewriteRule do not count: who may write an .htaccess does not run the
 * server. In request threads. */
int la_handler_is_servers(request_rec *r, const char *name);

/* Has the SetHandler lines of each configuration collected once it is read. */
void la_handler_register(void);

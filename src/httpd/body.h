/* Reads a request's body where a rule needs it, and hands it on byte for byte to the handler. */
#pragma once

#include "access/denial.h"
#include "base/json_members.h"

#include <httpd.h>

/* Reads the body of the client's request, whichever request of the chain asks, and finds members in
 * it. For the last fixup, when all that can be decided without the body has let the caller through.
 * members: wanted. size: of the body in bytes; 0 means that there is none, and nothing was found.
 * Returns OK, or the status of a denial that is recorded, or of httpd's own error (a time-out). */
int la_body_read(request_rec *r, la_member_t *members, int count, apr_off_t *size);

/* Logs and records a denial: the body, or what else names the model or the operation, is of no use.
 * message: for the client; NULL: the kind's own. */
int la_body_refuse(request_rec *r, la_denial_e kind, const char *message);

/* Hook insert_filter: each request of the chain gets a body that was read from its beginning. */
void la_body_insert_filter(request_rec *r);

/* Registers the input filter; once, with the hooks. */
void la_body_register(void);

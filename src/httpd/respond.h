/* Denials: whoever decides records one, the module's error document answers it. */
#pragma once

#include "httpd/request.h"

/* Records a denial and returns the status that the calling hook returns to httpd; never OK.
 * denial: copied, with its texts. */
int la_respond_deny(request_rec *r, la_denial_t denial);

/* Keeps out ErrorDocuments for all statuses of this request. */
void la_respond_without_error_page(request_rec *r);

/* Our checks hold: if httpd's Require refuses the caller now, that is answered as a denial too. */
void la_respond_await_require(request_rec *r);

/* httpd's Require holds too. From here on a denied subrequest can become the request's denial. */
void la_respond_require_held(request_rec *r);

/* The request goes to its handler: errors from here on are other modules' and stay as they are. */
void la_respond_passed(request_rec *r);

/* Records a denial in place of the handler's answer, of which nothing was sent. Returns the status.
 */
int la_respond_fail(request_rec *r, la_denial_t denial);

/* Hooks. */
void la_respond_insert_error_filter(request_rec *r);
int la_respond_note_auth_failure(request_rec *r, const char *auth_type);

/* Registers the output filter; once, with the hooks. */
void la_respond_register(void);

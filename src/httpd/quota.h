/* Quotas of requests: admission, the fields of answers, and what is settled when a request ends. */
#pragma once

#include <httpd.h>

/* Charges the request to the quotas of its section; each quota charges a client's request once,
 * wherever it leads. For the last fixup, when all rules have let the caller through.
 * Returns OK, or the status of a denial that is recorded. */
int la_quota_admit(request_rec *r);

/* Hooks insert_filter and insert_error_filter: the fields of the answer. */
void la_quota_insert_filter(request_rec *r);

/* Hook log_transaction, before the access log's: settles what was used, sets the notes of usage and
 * gives permits back. */
int la_quota_settle(request_rec *r);

/* Registers the output filter; once, with the hooks. */
void la_quota_register(void);

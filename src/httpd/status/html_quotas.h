/* The status page's part about tokens and quotas. */
#pragma once

#include "httpd/status/status.h"

/* Tokens by provider; nothing while no answer was read. */
void la_html_usage(request_rec *r, const la_status_t *status);

/* Each quota with its fullest counters; nothing without quotas. */
void la_html_quotas(request_rec *r, const la_status_t *status);

/* The signers of assertions as the status page shows them. */
#pragma once

#include "base/json.h"
#include "httpd/assertions.h"

#include <httpd.h>

typedef struct la_status_signer_t {
    const char *label;
    const apr_array_header_t *keys; /* of la_signer_report_t, as this process has them */
    uint64_t counts[LA_ASSERTIONS_FAILED + 1];
} la_status_signer_t;

/* Reads them all: array of la_status_signer_t in `pool`. */
const apr_array_header_t *la_status_signers_read(apr_pool_t *pool, apr_time_t now);

/* Parts of the JSON, `null` where there is no signer, and of the metrics, nothing then. */
void la_status_signers_json(la_json_writer_t *w, const apr_array_header_t *signers);
void la_status_signers_prometheus(request_rec *r, const apr_array_header_t *signers);

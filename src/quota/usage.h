/* What an answer says of the tokens that it took. */
#pragma once

#include "base/slice.h"

#include <apr_pools.h>
#include <stdint.h>

typedef enum la_usage_e {
    LA_USAGE_NONE,     /* a whole answer without a usage, or one that is no answer */
    LA_USAGE_ESTIMATE, /* it was cut off, or a stream ended without a usage */
    LA_USAGE_RESPONSE  /* the answer told */
} la_usage_e;

typedef struct la_usage_t {
    la_usage_e source;
    uint64_t input;
    uint64_t output;
    uint64_t total;
} la_usage_t;

typedef enum la_usage_form_e {
    LA_USAGE_FORM_OTHER,
    LA_USAGE_FORM_JSON,
    LA_USAGE_FORM_SSE,
    LA_USAGE_FORM_NDJSON
} la_usage_form_e;

/* Reads an answer as it passes. Its memory does not grow. */
typedef struct la_usage_reader_t la_usage_reader_t;

/* The form that a Content-Type names; NULL is none. */
la_usage_form_e la_usage_form(const char *content_type);

la_usage_reader_t *la_usage_reader_make(apr_pool_t *pool, la_usage_form_e form);

/* The next bytes of the body. */
void la_usage_read(la_usage_reader_t *reader, la_slice_t bytes);

/* The body has ended, or was cut off. is_success: status 2xx. is_whole: it came to its end. */
la_usage_t la_usage_end(la_usage_reader_t *reader, int is_success, int is_whole);

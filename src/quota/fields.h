/* What a client is told of its quotas. */
#pragma once

#include "quota/items.h"

/* The answer's fields, name and value by turns, NULL at the end. */
const char *const *la_admission_fields(const la_admission_t *admission, apr_pool_t *pool);

/* Why it was refused, as the client reads it; seconds: for Retry-After. */
const char *la_admission_message(const la_admission_t *admission, apr_pool_t *pool,
                                 apr_int64_t *seconds);

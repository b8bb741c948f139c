/* The shape of a Redis reply (RESP 2), checked before anything is allocated for it: how long it is,
 * how many values it has, and how deep its lists are. The bytes come from the network and are not
 * trusted. */
#pragma once

#include "base/slice.h"

/* Longest reply: two of the longest entries, with room for what others may have stored there. */
#define LA_REDIS_REPLY_MAX_BYTES ((apr_size_t)2 * 1024 * 1024)

/* Most values in a reply, lists included: three for each counter that a request is charged to. */
#define LA_REDIS_REPLY_MAX_VALUES 8192

/* How many lists may be inside each other. */
#define LA_REDIS_REPLY_MAX_DEPTH 3

typedef enum la_redis_reply_e {
    LA_REDIS_REPLY_MALFORMED, /* zero */
    LA_REDIS_REPLY_TOO_LARGE, /* more bytes, values or depth than the limits, announced or sent */
    LA_REDIS_REPLY_PARTIAL,   /* sound so far, more is to come */
    LA_REDIS_REPLY_WHOLE
} la_redis_reply_e;

/* Looks at the reply that `bytes` begin with. len: of the whole reply; 0 unless
 * LA_REDIS_REPLY_WHOLE. Time is linear in the number of lines, not of bytes. */
la_redis_reply_e la_redis_reply_check(la_slice_t bytes, apr_size_t *len);

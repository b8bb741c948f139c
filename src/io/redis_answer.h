/* How a command of Redis ended, and what the server said. */
#pragma once

#include "base/slice.h"

#include <apr.h>

typedef enum la_redis_e {
    LA_REDIS_FAILED, /* zero: not connected, timed out, or no answer that can be read */
    LA_REDIS_ERROR,  /* the server answered with an error */
    LA_REDIS_OK
} la_redis_e;

typedef enum la_redis_kind_e {
    LA_REDIS_NIL,
    LA_REDIS_TEXT,
    LA_REDIS_INTEGER,
    LA_REDIS_LIST
} la_redis_kind_e;

/* An answer, in the caller's pool. */
typedef struct la_redis_answer_t {
    la_redis_kind_e kind;
    la_slice_t text; /* also the reason of what is not OK; never a secret; NUL-terminated */
    apr_int64_t integer;
    apr_size_t count; /* of a list */
    const struct la_redis_answer_t *items;
    const char
        *server;  /* run_id of the server process that answered; empty when it does not tell */
    int is_again; /* the command was sent before and not answered: it may have run twice */
} la_redis_answer_t;

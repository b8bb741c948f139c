/* One run of llama-auth-keys. */
#pragma once

#include "keys/options.h"

#include <stdio.h>

/* The exit status. */
typedef enum la_key_exit_e {
    LA_KEYS_DONE = 0,
    LA_KEYS_FAILED = 1,
    LA_KEYS_USAGE = 2
} la_key_exit_e;

typedef struct la_key_run_t {
    apr_pool_t *pool;
    const la_key_options_t *options;
    apr_time_t now; /* whole seconds */
    FILE *in;
    FILE *out;
    FILE *err;
} la_key_run_t;

/* Does what the options say. */
la_key_exit_e la_key_run(const la_key_run_t *run);

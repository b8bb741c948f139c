#pragma once

#include "keys/loaded.h"

/* The command `list`. */
la_key_exit_e la_key_list(const la_key_run_t *run);

/* Says that a key is valid, and whose it is. */
la_key_exit_e la_key_print_valid(const la_key_run_t *run, const la_key_loaded_t *loaded,
                                 const la_api_key_t *key);

/* What llama-auth-keys does. */
#ifndef LA_KEY_COMMANDS_H
#define LA_KEY_COMMANDS_H

#include "keys/run.h"

/* Does what the options say. */
la_key_exit_e la_key_run(const la_key_run_t *run);

#endif

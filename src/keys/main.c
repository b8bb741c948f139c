/* llama-auth-keys: makes, lists, rotates and revokes the keys of `static` key files. */
#include "keys/run.h"

#include <signal.h>
#include <stdlib.h>

#include <apr_general.h>

int main(int argc, char **argv)
{
    apr_time_t now = apr_time_from_sec(apr_time_sec(apr_time_now()));
    la_key_options_t options = {.verb = LA_KEYS_HELP};
    const char *error;
    apr_pool_t *pool;
    la_key_run_t run;

    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS) {
        fputs("llama-auth-keys: APR does not start\n", stderr);
        return LA_KEYS_FAILED;
    }
    atexit(apr_terminate);
    /* A full disk and a closed pipe are errors to be told of, not ends. */
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    error = la_key_options_parse(pool, argc > 0 ? argc - 1 : 0, (const char *const *)argv + 1, now,
                                 &options);
    if (error) {
        fprintf(stderr, "llama-auth-keys: %s\nllama-auth-keys --help shows the commands.\n", error);
        return LA_KEYS_USAGE;
    }
    run = (la_key_run_t){pool, &options, now, stdin, stdout, stderr};
    return (int)la_key_run(&run);
}

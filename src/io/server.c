#include "io/server.h"

#include <stdarg.h>

#include <apr_strings.h>

/* A longer log line is cut. */
#define LOG_LINE_BYTES 2048

static const la_server_t *host_functions;

void la_server_set(const la_server_t *host)
{
    host_functions = host;
}

const la_server_t *la_host(void)
{
    return host_functions;
}

void la_log(la_log_e level, const char *format, ...)
{
    char line[LOG_LINE_BYTES];
    va_list arguments;

    va_start(arguments, format);
    apr_vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    host_functions->log(level, line);
}

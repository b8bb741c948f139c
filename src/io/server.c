/* The server's functions, as the provider floor reaches them: one pointer, set by
 * httpd/lifecycle.c before any configuration is read, and the formatting in front of the log.
 */
#include "io/server.h"

#include <stdarg.h>

#include <apr_strings.h>

/* Longest log line; a longer one is cut. */
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

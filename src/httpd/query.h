/* Query strings that hold tokens: keeps what the client sent, and hides it from others and logs.
 *
 * The first hook removes the tokens from the request line, the unparsed URI and Referer. r->args
 * keeps them until the handler's section is known: mod_cache's keys and rewriting need whole query
 * strings, and in other sections a parameter of that name may be no token. */
#pragma once

#include <httpd.h>

/* Hook post_read_request: keeps the query string, and hides the tokens of all `query:` sources. */
int la_query_read(request_rec *r);

/* Hooks insert_error_filter and log_transaction: the same for requests that failed before it; the
 * second also cleans what handlers have read. */
void la_query_hide(request_rec *r);
int la_query_hide_from_log(request_rec *r);

/* Hides parameters of more names, from an .htaccess. names: of const char *; NULL is empty. */
void la_query_redact(request_rec *r, const apr_array_header_t *names);

/* The query string as the client sent it with the first request of the chain, or NULL. */
const char *la_query_of_client(request_rec *r);

/* Removes parameters from all that a handler may read a query string from, in the request and in
 * those that were redirected to it. */
void la_query_remove(request_rec *r, const apr_array_header_t *names);

/* Restores what was hidden, except in the request line, for a handler that may see it. */
void la_query_restore(request_rec *r);

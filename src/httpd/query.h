/* Query strings that hold tokens: keeping what the client sent, and keeping it from everybody who
 * shows or logs requests.
 *
 * The request line, the unparsed URI and Referer lose the tokens in the first hook. r->args keeps
 * them until the handler's section is known: the keys of mod_cache and rewriting need whole query
 * strings, and in other sections a parameter of that name may be no token.
 */
#ifndef LA_QUERY_H
#define LA_QUERY_H

#include <httpd.h>

/* Hook post_read_request: keeps the query string, and hides the tokens of all `query:` sources of
 * the configuration. */
int la_query_read(request_rec *r);

/* Hooks insert_error_filter and log_transaction: the same for requests that failed before; and what
 * handlers read has no more readers when it is logged. */
void la_query_hide(request_rec *r);
int la_query_hide_from_log(request_rec *r);

/* Hides parameters of more names, which an .htaccess may have. names: of const char *; NULL is
 * empty. */
void la_query_redact(request_rec *r, const apr_array_header_t *names);

/* The query string of the first request of all that this one came from, as the client sent it; NULL
 * when there was none. */
const char *la_query_of_client(request_rec *r);

/* Takes parameters out of all that a handler may read a query string from: of the request, and
 * where redirects came from. */
void la_query_remove(request_rec *r, const apr_array_header_t *names);

/* Puts back what was hidden from all but the request line, for a handler that may see it. */
void la_query_restore(request_rec *r);

#endif

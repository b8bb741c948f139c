/* Names of header fields as CGI and the backend see them. */
#pragma once

#include "base/slice.h"

/* A character of a name in CGI's variables: a capital, a digit or `_`. */
char la_field_cgi_char(char c);

/* Whether a field has a name that is the same variable for CGI. */
int la_field_has_name(la_slice_t field, const char *name);

/* Whether two fields are one variable for CGI: in any case, `_` for all but letters and digits. */
int la_field_is_same(const char *a, const char *b);

/* Whether HTTP, the connection, a proxy or authentication needs the field, so that it can carry
 * neither a caller nor a bare token. Compared as CGI would see it. */
int la_field_is_vital(const char *name);

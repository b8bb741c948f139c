/* LlamaAuthModelList filter: shows a caller those models alone that RequireModel allows. */
#pragma once

#include <httpd.h>

/* Asks the backend for a whole list, neither compressed nor from somebody's cache, and in HTTP, if
 * this is the request of one. For the end of fixups. */
void la_model_list_prepare(request_rec *r);

/* Hook insert_filter. */
void la_model_list_insert_filter(request_rec *r);

/* Registers the output filter; once, with the hooks. */
void la_model_list_register(void);

/* What others see of the caller: the request notes. */
#ifndef LA_FORWARD_H
#define LA_FORWARD_H

#include "httpd/request.h"

#define LA_NOTE_PRINCIPAL  "llama_auth.principal"
#define LA_NOTE_CLIENT_ID  "llama_auth.client_id"
#define LA_NOTE_PROVIDER   "llama_auth.provider"
#define LA_NOTE_ATTRIBUTES "llama_auth.attributes"
#define LA_NOTE_MESSAGE    "llama_auth.message"
#define LA_NOTE_CACHE      "llama_auth.cache"
#define LA_NOTE_ERROR      "llama_auth.error"

/* Sets r->user, r->ap_auth_type and the notes of an accepted caller (spec section 7). The notes point into the
 * identity, which must live as long as the request. */
void la_forward_caller(request_rec *r, const la_request_t *state);

/* Sets r->user and r->ap_auth_type alone, where the notes came with another request's (mod_dir's index). */
void la_forward_user(request_rec *r, const char *principal);

#endif

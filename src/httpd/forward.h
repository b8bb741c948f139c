/* What others see of the caller: the request notes, request headers for the backend
 * (LlamaAuthForward) and environment variables (LlamaAuthEnv); and that nobody else speaks in their
 * name.
 */
#ifndef LA_FORWARD_H
#define LA_FORWARD_H

#include "httpd/request.h"

#define LA_NOTE_PREFIX     "llama_auth."
#define LA_NOTE_PRINCIPAL  "llama_auth.principal"
#define LA_NOTE_CLIENT_ID  "llama_auth.client_id"
#define LA_NOTE_PROVIDER   "llama_auth.provider"
#define LA_NOTE_ATTRIBUTES "llama_auth.attributes"
#define LA_NOTE_MESSAGE    "llama_auth.message"
#define LA_NOTE_CACHE      "llama_auth.cache"
#define LA_NOTE_ERROR      "llama_auth.error"

/* Sets r->user, r->ap_auth_type and the notes of an accepted caller (spec section 7). */
void la_forward_caller(request_rec *r, const la_caller_t *caller);

/* Forgets who the caller is: r->user, r->ap_auth_type, the notes and the state. For a section that
 * has yet to say it. */
void la_forward_nobody(request_rec *r);

/* Sets headers and environment for the handler, by the section that the request is in now; takes
 * the token out where LlamaAuthForwardToken is off. May be called again after the section has
 * changed. */
void la_forward_to_handler(request_rec *r);

/* Hook handler, before all others: mod_include gives a script the page's query string after fixups.
 */
int la_forward_before_handler(request_rec *r);

/* Keeps the answer out of mod_cache where mod_cache cannot see that there was a credential: the
 * caller's token was not in Authorization, or is not there any more. For the end of fixups. */
void la_forward_keep_private(request_rec *r);

#endif

/* What others see of the caller: notes, LlamaAuthForward's headers, LlamaAuthEnv's variables. */
#pragma once

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

/* The first line that sends one value of a category of which the caller has several, `one:CATEGORY`
 * or an assertion with such a claim; NULL if there is none. category: which it is. */
const la_forward_line_t *la_forward_find_ambiguous(const la_forwards_t *forwards,
                                                   const la_caller_t *caller, la_slice_t *category);

/* Forgets the caller (r->user, r->ap_auth_type, notes, state) when another section takes over. */
void la_forward_nobody(request_rec *r);

/* Sets headers and environment for the handler as the request's section says, and removes the token
 * under LlamaAuthForwardToken off. To be called again if the section may have changed. */
void la_forward_to_handler(request_rec *r);

/* Hook handler, before all others: removes tokens again, because mod_include gives a script the
 * page's query string after fixups. */
int la_forward_before_handler(request_rec *r);

/* Keeps the answer out of mod_cache if the caller's token was not in Authorization, or is not there
 * any more. For the end of fixups. */
void la_forward_keep_private(request_rec *r);

/* RequireModel: finds the model that a request names, and decides on it. */
#pragma once

#include "base/slice.h"

#include <httpd.h>

#define LA_NOTE_MODEL "llama_auth.model"

/* Checks the model. For the last fixup, when all other rules but the quotas hold.
 * Returns OK, or the status of a denial that is recorded. Notes the model, what the body says of
 * max_tokens and the like, and whether the answer is a list to be filtered. */
int la_model_check(request_rec *r);

/* Tells the backend of the model (LlamaAuthForward X model). */
void la_model_forward(request_rec *r);

/* A la_model_allowed_t: whether the rules of a request_rec's section allow its caller a model. */
int la_model_is_allowed(void *request, apr_pool_t *pool, la_slice_t model);

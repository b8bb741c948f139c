/* LlamaAuthModelList: takes out of a list of models what a caller may not name. */
#pragma once

#include "base/slice.h"

#include <apr_pools.h>

/* Whether a model may stay. pool: cleared afterwards. */
typedef int la_model_allowed_t(void *baton, apr_pool_t *pool, la_slice_t model);

/* Filters an answer: an object with `data`, a list whose items have an `id`, with `models`, a list
 * whose items have a `name` or else a `model`, or with both. Items that are not allowed, or have no
 * usable name, go. `first_id` and `last_id` become those of `data`. All else stays as it is.
 * filtered: in `pool`. Returns NULL, or why the text is no such answer. */
const char *la_model_list_filter(apr_pool_t *pool, la_slice_t text, la_model_allowed_t *allowed,
                                 void *baton, la_slice_t *filtered);

/* The question to a `custom` endpoint, as JSON: the token, and the request's path, query and some
 * of its header fields.
 */
#ifndef LA_QUESTION_H
#define LA_QUESTION_H

#include "provider/provider.h"

/* Largest question. A request's fields come from anybody, and JSON makes up to six bytes of one. */
#define LA_QUESTION_MAX_BYTES ((apr_size_t)256 * 1024)

/* Which of the request's header fields the endpoint sees. */
typedef enum la_send_e { LA_SEND_ALL, LA_SEND_NONE, LA_SEND_NAMED } la_send_e;

typedef struct la_send_headers_t {
    la_send_e which;
    apr_array_header_t *names; /* of const char *, for LA_SEND_NAMED */
} la_send_headers_t;

/* Whether a field of that name, in any case, holds credentials or a proof of them, which are never
 * sent. */
int la_question_is_credential(const char *name);

/* Whether a field of that name is sent, unless the call hides it. */
int la_question_has_field(const la_send_headers_t *send, const char *name);

/* Makes the question in `pool`. Returns 1, or 0 if it would be larger than LA_QUESTION_MAX_BYTES.
 */
int la_question_make(const la_send_headers_t *send, const la_call_t *call, apr_pool_t *pool,
                     la_slice_t *question);

#endif

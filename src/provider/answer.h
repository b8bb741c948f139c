/* A question to an endpoint about a token, and its answer: what the types that call out share. Any
 * thread. Each reason for the log names the URL, what came and what was expected; none holds the
 * token, or more than a short text of the answer. */
#pragma once

#include "base/json.h"
#include "provider/provider.h"

/* One token's verification. Fill the first five; la_answer_ask() sets the rest. */
typedef struct la_answer_t {
    const la_provider_t *provider;
    const la_call_t *call;
    apr_pool_t *pool; /* of all that the result points to */
    la_result_t *result;
    const char *malformed; /* what the client is told of an answer that cannot be read */
    const char *url;
    la_http_response_t response;
} la_answer_t;

/* Asks. scratch: of the answer; request->url must live as long. Returns 1 if the endpoint answered,
 * whatever the status; else 0, and the result is an outage. */
int la_answer_ask(la_answer_t *answer, const la_http_request_t *request, apr_pool_t *scratch);

/* Parses the body, a document of type `expected`, in `scratch`. Returns NULL if it is none, and the
 * result is an outage. */
const la_json_t *la_answer_parse(la_answer_t *answer, la_json_e expected, apr_pool_t *scratch);

/* Makes an outage of an answer that can be read but is of the wrong form. */
void la_answer_set_malformed(const la_answer_t *answer, const char *what);

/* Makes the verdict on a status. hint: what to put behind it for the log, or "". */
void la_answer_set_status(const la_answer_t *answer, la_verdict_e verdict, const char *message,
                          const char *hint);

/* What an object says of a refusal in words, as `: "..."` to put behind a reason: the first of the
 * members that OAuth 2.0, Kubernetes and GitHub have for it. Empty if there is none, or if it shows
 * a part of the token. Not for outages: each text counts as another one. */
const char *la_answer_quote(const la_answer_t *answer, const la_json_t *object);

/* Ends with an acceptance, for which result->identity is set. error: why there is no identity that
 * can be used; then the token is rejected (spec section 4), or NULL. */
void la_answer_conclude(const la_answer_t *answer, const char *error);

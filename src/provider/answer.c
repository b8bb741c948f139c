/* Asks endpoints about tokens and words what became of it; what an answer means is its type's. */
#include "provider/answer.h"

#include <string.h>

#include <apr_strings.h>

/* A text of the answer that holds so many bytes of the token in a row is not shown. */
#define TOKEN_PART_BYTES ((apr_size_t)12)

static const char *with_url(const la_answer_t *answer, const char *separator, const char *what)
{
    return apr_pstrcat(answer->pool, la_url_without_query(answer->pool, answer->url), separator,
                       what, NULL);
}

int la_answer_ask(la_answer_t *answer, const la_http_request_t *request, apr_pool_t *scratch)
{
    la_http_response_t *response = &answer->response;
    la_result_t *result = answer->result;

    answer->url = request->url;
    la_http_call(answer->provider->child->http, request, scratch, response);
    result->status = response->status;
    /* These are about the endpoint's health, and not about the token. */
    result->cause = result->status == 0 || result->status == 429 || result->status >= 500
                        ? LA_CAUSE_PROVIDER
                        : LA_CAUSE_ANSWER;
    if (response->outcome == LA_HTTP_ANSWERED) {
        return 1;
    }
    result->timed_out = response->outcome == LA_HTTP_TIMEOUT;
    la_result_set(result, LA_VERDICT_UNAVAILABLE,
                  result->timed_out ? LA_MESSAGE_TIMEOUT : LA_MESSAGE_ERROR,
                  with_url(answer, ": ", response->reason));
    return 0;
}

void la_answer_set_malformed(const la_answer_t *answer, const char *what)
{
    la_result_set(answer->result, LA_VERDICT_UNAVAILABLE, answer->malformed,
                  with_url(answer, ": in the answer ", what));
}

const la_json_t *la_answer_parse(la_answer_t *answer, la_json_e expected, apr_pool_t *scratch)
{
    const char *type = answer->response.content_type;
    const la_json_t *document;
    const char *error = la_json_parse(scratch, answer->response.body, &document);

    if (error) {
        error = apr_psprintf(scratch, ": the answer (%s) is not JSON: %s",
                             type ? la_json_quoted(scratch, la_slice_of(type)) : "no Content-Type",
                             error);
    } else if (la_json_type(document) != expected) {
        error = apr_psprintf(scratch, ": the answer is %s, expected %s", la_claims_kind(document),
                             expected == LA_JSON_OBJECT ? "an object" : "a list");
    } else {
        return document;
    }
    la_result_set(answer->result, LA_VERDICT_UNAVAILABLE, answer->malformed,
                  with_url(answer, error, ""));
    return NULL;
}

/* Whether a text holds the token, or a part of it. */
static int shows_token(la_slice_t text, la_slice_t token)
{
    apr_size_t part = token.len < TOKEN_PART_BYTES ? token.len : TOKEN_PART_BYTES;

    for (apr_size_t i = 0; i + part <= text.len; i++) {
        if (memmem(token.data, token.len, text.data + i, part)) {
            return 1;
        }
    }
    return 0;
}

const char *la_answer_quote(const la_answer_t *answer, const la_json_t *object)
{
    static const char *const members[] = {"error_description", "message", "error"};
    la_slice_t text;

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (la_json_string(la_json_get(object, members[i]), &text)) {
            text.len = text.len < LA_JSON_QUOTED_BYTES ? text.len : LA_JSON_QUOTED_BYTES;
            return shows_token(text, answer->call->token)
                       ? ""
                       : apr_pstrcat(answer->pool, ": ", la_json_quoted(answer->pool, text), NULL);
        }
    }
    return "";
}

void la_answer_set_status(const la_answer_t *answer, la_verdict_e verdict, const char *message,
                          const char *hint)
{
    la_result_set(answer->result, verdict, message,
                  with_url(answer, " answered ",
                           apr_psprintf(answer->pool, "%d%s", answer->response.status, hint)));
}

void la_answer_conclude(const la_answer_t *answer, const char *error)
{
    if (error) {
        la_result_set(answer->result, LA_VERDICT_REJECTED, answer->malformed,
                      with_url(answer, ": in the answer ", error));
        answer->result->unusable = 1;
    } else {
        answer->result->verdict = LA_VERDICT_ACCEPTED;
    }
}

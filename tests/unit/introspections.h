/* The introspection provider's tests: introspection.c with an HTTP client that keeps the question
 * and gives the answer that a test chose, a document that says what a test wants, and providers
 * from option lines. Included by one .c per program.
 */
#ifndef LA_TEST_INTROSPECTIONS_H
#define LA_TEST_INTROSPECTIONS_H

#include "support.h"

#include "provider/discovery.h"
#include "provider/remote_doc.h"

/* ---- what is replaced ---- */

static struct outside_t {
    la_http_response_t answer;
    int calls;
    const char *url, *body;
    const apr_table_t *headers;
    apr_time_t deadline_us;
    const char *known;     /* the document in force: the endpoint's URL; NULL: none */
    const char *found;     /* what discovery finds; NULL: nothing */
    const char *looked_up; /* where */
    const la_remote_doc_source_t *source;
    int attached, ensured, ticked;
} out;

static void fake_http_call(la_http_t *http, const la_http_request_t *request, apr_pool_t *pool,
                           la_http_response_t *response)
{
    (void)http;
    assert_string_equal(request->method, "POST");
    out.calls++;
    out.url = request->url;
    out.headers = apr_table_clone(pool, request->headers);
    out.body = apr_pstrmemdup(pool, request->body.data, request->body.len);
    out.deadline_us = request->deadline_us;
    *response = out.answer;
    response->headers = apr_table_make(pool, 1);
}

static const char *fake_discovery_find(la_http_t *http, const char *issuer, const char *member,
                                       apr_time_t deadline_us, apr_pool_t *pool, const char **url)
{
    (void)http;
    (void)pool;
    assert_string_equal(member, "introspection_endpoint");
    assert_true(deadline_us > 0);
    out.looked_up = issuer;
    *url = out.found;
    return out.found ? NULL : "404";
}

static la_remote_doc_t *fake_document_attach(const la_provider_t *provider,
                                             const la_remote_doc_source_t *source,
                                             apr_pool_t *pchild)
{
    (void)provider;
    out.attached++;
    out.source = source;
    return apr_palloc(pchild, 1);
}

static void fake_document_tick(la_remote_doc_t *document, apr_pool_t *scratch)
{
    (void)scratch;
    out.ticked += document != NULL;
}

static la_remote_doc_e fake_document_ensure(la_remote_doc_t *document, apr_pool_t *scratch)
{
    (void)scratch;
    out.ensured += document != NULL;
    return LA_REMOTE_DOC_CURRENT;
}

static int fake_document_read(const la_remote_doc_t *document, apr_pool_t *pool, la_slice_t *bytes,
                              apr_uint64_t *version)
{
    assert_non_null(document);
    assert_int_equal(out.ensured, 1);
    *version = out.known != NULL;
    *bytes = slice_of_text(apr_pstrcat(pool, "", out.known, NULL));
    return out.known != NULL;
}

#define la_http_call         fake_http_call
#define la_discovery_find    fake_discovery_find
#define la_remote_doc_attach fake_document_attach
#define la_remote_doc_tick   fake_document_tick
#define la_remote_doc_ensure fake_document_ensure
#define la_remote_doc_read   fake_document_read
#include "provider/answer.c"
#include "provider/introspection.c"

static inline const char *json(apr_pool_t *pool, const char *text)
{
    char *copy = apr_pstrdup(pool, text);

    for (char *p = copy; (p = strchr(p, '\'')) != NULL;) {
        *p = '"';
    }
    return copy;
}

/* ---- providers ---- */

#define MAX_LINES 5
#define URL       "https://idp.example.com:8443/introspect"
#define ISS       "https://idp.example.com/a"
#define AT        "Endpoint " URL
#define BY        "Issuer " ISS
#define ID        "ClientId llm"
#define SECRET    "ClientSecret s3cret"
#define NONE      "ClientAuth none"

/* Sets one line, split at single spaces; a ~ in a word is a space. */
static inline const char *set_line(la_provider_t *provider, apr_pool_t *pool, const char *line)
{
    const char *words[16];
    char *rest = apr_pstrdup(pool, line);
    int count = 0;
    char *word;

    while ((word = strsep(&rest, " ")) != NULL) {
        words[count++] = word;
        while ((word = strchr(word, '~')) != NULL) {
            *word = ' ';
        }
    }
    return la_provider_set(provider, pool, words[0], count - 1, words + 1);
}

static inline const char *make(apr_pool_t *pool, const char *const *lines, la_provider_t **provider)
{
    const char *error = NULL;

    forget_log();
    *provider = la_provider_make(pool, "idp", &la_introspection_type);
    for (int i = 0; i < MAX_LINES && lines[i] && !error; i++) {
        error = set_line(*provider, pool, lines[i]);
    }
    return error ? error : la_provider_finish(*provider, pool);
}

/* One at work in a process. */
static inline la_provider_t *started(apr_pool_t *pool, const char *const *lines)
{
    la_provider_t *provider;

    out = (struct outside_t){0};
    assert_null(make(pool, lines, &provider));
    assert_int_equal(la_provider_child_init(provider, pool, NULL, NULL), APR_SUCCESS);
    return provider;
}

#define NOW (APR_TIME_C(2000000000) * APR_USEC_PER_SEC)

/* LlamaAuthResource of the place that is asked for; NULL: it has none. */
static const char *resource;

static inline void verify(apr_pool_t *pool, const la_provider_t *provider, const char *token,
                          la_result_t *result)
{
    la_call_t call = {.token = slice_of_text(token), .now = NOW, .resource = resource};

    la_provider_verify(provider, &call, pool, result);
}

#endif

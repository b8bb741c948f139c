/* kubernetes.c: its options, what it takes from the pod it runs in, and the questions it asks the
 * API server. */
#include "clusters.h"

/* A certificate as openssl makes one (P-256, CN=ca): only its being one counts. */
/* A certificate and its key, made for this test. */
static const char certificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBNDCB56ADAgECAhRGv+70RYXbA7kTvuErPyBZ3eVc/DAFBgMrZXAwDzENMAsG\n"
    "A1UEAwwEdGVzdDAgFw0yNjExMjkxMjI5MDdaGA8yMTI2MTEwNTEyMjkwN1owDzEN\n"
    "MAsGA1UEAwwEdGVzdDAqMAUGAytlcAMhAM7kqmCBKKflZ7TeIZ1GYiM4F3MWxy9p\n"
    "XYEF9uABWTtjo1MwUTAdBgNVHQ4EFgQUr4rg/SFAUY0CC/dIGuE88PAyFMkwHwYD\n"
    "VR0jBBgwFoAUr4rg/SFAUY0CC/dIGuE88PAyFMkwDwYDVR0TAQH/BAUwAwEB/zAF\n"
    "BgMrZXADQQBhIKrrMu9U8cCAR5iFM0kisDf2hSbLd6kikaVTuDKuDY8wInVUVexT\n"
    "U3lghSHOAgkzc9LSz6D0oA6hWh1Tw5YP\n"
    "-----END CERTIFICATE-----\n"
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIK5Bt0RafmK6iBXEKaJv/vJZg0OS+4RilDOhhgCgNaDO\n"
    "-----END PRIVATE KEY-----\n";

/* ---- options ---- */

typedef struct option_case_t {
    const char *name;
    const char *lines[MAX_LINES];
    const char *error; /* part of the message; NULL: accepted */
    const char *url;   /* accepted: what is asked */
} option_case_t;

#define TOKEN_URL(base) base "/apis/authentication.k8s.io/v1/tokenreviews"
#define SELF_URL(base)  base "/apis/authentication.k8s.io/v1/selfsubjectreviews"

#define GOOD(name, url, ...)                                                                       \
    {                                                                                              \
        "option: " name, {__VA_ARGS__}, NULL, url                                                  \
    }
#define WRONG(name, error, ...)                                                                    \
    {                                                                                              \
        "option: " name, {__VA_ARGS__}, error, NULL                                                \
    }

static option_case_t option_cases[] = {
    GOOD("the reviewer's token only", TOKEN_URL("https://kubernetes.default.svc"), REVIEWER),
    GOOD("self", SELF_URL("https://kubernetes.default.svc"), "Review self"),
    GOOD("token", TOKEN_URL(DEFAULT_SERVER), "Review TOKEN", REVIEWER),
    GOOD("a server", TOKEN_URL("https://k:6443"), REVIEWER, "ApiServer https://k:6443"),
    GOOD("a slash at the end", SELF_URL("https://k"), "Review self", "ApiServer https://k//"),
    GOOD("a path", TOKEN_URL("https://k/c/1"), REVIEWER, "ApiServer https://k/c/1/"),
    GOOD("audiences", TOKEN_URL(DEFAULT_SERVER), REVIEWER, "Audience a b"),
    GOOD("token with a client certificate", TOKEN_URL(DEFAULT_SERVER), REVIEWER,
         "TLSCertFile cert.pem"),
    GOOD("common ones", TOKEN_URL(DEFAULT_SERVER), REVIEWER, "CacheTTL 1m", "Timeout 2s",
         "CacheVary none"),
    WRONG("a query", "ApiServer: must have no query", REVIEWER, "ApiServer https://k/?x=1"),
    WRONG("no URL", "ApiServer: must begin with", REVIEWER, "ApiServer kubernetes"),
    WRONG("a password in the URL", "no password", "ApiServer https://u:s3@k/"),
    WRONG("another review", "Review: 'both' is none of token|self", "Review both"),
    WRONG("no audience", "Audience takes AUD...", REVIEWER, "Audience"),
    WRONG("audiences twice", "only once", REVIEWER, "Audience a", "Audience b"),
    WRONG("no reviewer outside a pod", "the pod has none", NULL),
    WRONG("a reviewer that is not there", "No such file", "ReviewerToken file:absent"),
    WRONG("self with a reviewer", "ReviewerToken needs Review token", "Review self", REVIEWER),
    WRONG("self with audiences", "Audience needs Review token", "Review self", "Audience a"),
    WRONG("self with a client certificate", "TLSCertFile needs Review token", "Review self",
          "TLSCertFile cert.pem"),
    WRONG("misspelt", "did you mean ApiServer?", "ApiSever https://k"),
    WRONG("another type's", "not an option of a kubernetes", "Endpoint https://k"),
};

static void test_option(void **state)
{
    const option_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;
    const char *error;

    write_text(pool, "cert.pem", certificate);
    error = make(pool, row->lines, &provider);
    if (row->error) {
        assert_non_null(error);
        assert_non_null(strstr(error, row->error));
        assert_null(strstr(error, "s3"));
    } else {
        assert_null(error);
        assert_string_equal(((kubernetes_conf_t *)provider->conf)->url, row->url);
        assert_null(provider->common.http.tls_ca_file);
    }
    apr_pool_destroy(pool);
}

static void test_hint(void **state)
{
    static const char *const lines[MAX_LINES] = {REVIEWER};
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;

    (void)state;
    assert_null(make(pool, lines, &provider));
    assert_string_equal(provider->hint,
                        "Authentication required. Please provide a valid Kubernetes service "
                        "account token as a Bearer token");
    apr_pool_destroy(pool);
}

/* ---- the question ---- */

typedef struct question_case_t {
    const char *name;
    const char *lines[MAX_LINES];
    const char *bearer;
    const char *body;
} question_case_t;

#define REVIEW_HEAD                                                                                \
    "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenReview\",\"spec\":"

static question_case_t question_cases[] = {
    {"question: token",
     {REVIEWER},
     "Bearer reviewer-s3cret",
     REVIEW_HEAD "{\"token\":\"caller\\\"s-token\"}}"},
    {"question: token and an audience",
     {REVIEWER, "Audience https://llm.example"},
     "Bearer reviewer-s3cret",
     REVIEW_HEAD "{\"token\":\"caller\\\"s-token\",\"audiences\":[\"https://llm.example\"]}}"},
    {"question: token and audiences",
     {REVIEWER, "Audience a b\"c"},
     "Bearer reviewer-s3cret",
     REVIEW_HEAD "{\"token\":\"caller\\\"s-token\",\"audiences\":[\"a\",\"b\\\"c\"]}}"},
    {"question: self",
     {"Review self"},
     "Bearer caller\"s-token",
     "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"SelfSubjectReview\"}"},
};

static void test_question(void **state)
{
    const question_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;
    la_result_t result;

    answer = (la_http_response_t){.outcome = LA_HTTP_FAILED, .reason = "x"};
    assert_null(make(pool, row->lines, &provider));
    verify_token(pool, provider, CALLER, &result);
    assert_string_equal(asked.method, "POST");
    assert_string_equal(asked.url, ((kubernetes_conf_t *)provider->conf)->url);
    assert_string_equal(asked.body, row->body);
    assert_string_equal(apr_table_get(asked.headers, "Authorization"), row->bearer);
    assert_string_equal(apr_table_get(asked.headers, "Content-Type"), "application/json");
    assert_string_equal(apr_table_get(asked.headers, "Accept"), "application/json");
    assert_int_equal(apr_table_elts(asked.headers)->nelts, 3);
    apr_pool_destroy(pool);
}

/* ---- the pod ---- */

static void test_pod(void **state)
{
    static const char *const lines[MAX_LINES] = {NULL};
    apr_pool_t *pool = new_pool();
    const char *token = write_text(pool, "token", "pods-own\n");
    const char *ca = write_text(pool, "ca.crt", certificate);
    la_provider_t *provider;
    la_result_t result;

    (void)state;
    assert_int_equal(chdir(directory),
                     0); /* `.` is asked for before the server's root is put in front */
    assert_null(make(pool, lines, &provider));
    assert_non_null(strstr(provider->common.http.tls_ca_file, "/ca.crt"));
    verify_token(pool, provider, CALLER, &result);
    assert_string_equal(apr_table_get(asked.headers, "Authorization"), "Bearer pods-own");
    write_text(pool, "token", "rotated");
    verify_token(pool, provider, CALLER, &result);
    assert_string_equal(apr_table_get(asked.headers, "Authorization"), "Bearer rotated");
    remove(token);
    remove(ca);
    assert_int_equal(chdir("/"), 0);
    apr_pool_destroy(pool);
}

static void test_pod_authority(void **state)
{
    static const char *const self[MAX_LINES] = {"Review self"};
    static const char *const own[MAX_LINES] = {"Review self", "TLSCAFile own.pem"};
    apr_pool_t *pool = new_pool();
    const char *ca = write_text(pool, "ca.crt", "no certificate");
    const char *error;
    la_provider_t *provider;

    (void)state;
    write_text(pool, "own.pem", certificate);
    assert_int_equal(chdir(directory), 0);
    error = make(pool, self, &provider);
    assert_non_null(error);
    assert_non_null(strstr(error, "TLSCAFile: "));
    assert_non_null(strstr(error, "holds no certificate"));
    assert_null(make(pool, own, &provider));
    assert_non_null(strstr(provider->common.http.tls_ca_file, "/own.pem"));
    remove(ca);
    assert_int_equal(chdir("/"), 0);
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(option_cases); i++)
        add(option_cases[i].name, test_option, &option_cases[i]);
    add("hint", test_hint, NULL);
    for (size_t i = 0; i < ROWS(question_cases); i++)
        add(question_cases[i].name, test_question, &question_cases[i]);
    add("pod: its token, rotated, and its ca.crt", test_pod, NULL);
    add("pod: a broken ca.crt", test_pod_authority, NULL);
    return finish("kubernetes");
}

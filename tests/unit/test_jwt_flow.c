/* jwt.c: tokens whose keys come, go, or do not exist. */
#include "jwts.h"

/* ---- the verdict, with a document that changes ---- */

typedef struct flow_case_t {
    const char *name;
    int keys, newer; /* there are some before; after a renewal there are newer ones */
    la_remote_doc_e renewal;
    const char *kid;
    EVP_PKEY *const *key;
    la_verdict_e verdict; /* zero: unavailable */
    int renewed;
    const char *line; /* one more option */
} flow_case_t;

#define FLOW(name, keys, newer, renewal, kid, key, verdict, renewed)                               \
    {                                                                                              \
        "flow: " name, keys, newer, LA_REMOTE_DOC_##renewal, kid, key, LA_VERDICT_##verdict,       \
            renewed, NULL                                                                          \
    }

static flow_case_t flow_cases[] = {
    FLOW("no keys yet", 0, 0, FAILED, "ed", &known, UNAVAILABLE, 0),
    FLOW("a known key", 1, 1, CURRENT, "ed", &known, ACCEPTED, 0),
    FLOW("a known key's bad signature", 1, 1, CURRENT, "ed", &stranger, REJECTED, 0),
    FLOW("a new key", 1, 1, CURRENT, "new", &stranger, ACCEPTED, 1),
    FLOW("a new key's bad signature", 1, 1, CURRENT, "new", &known, REJECTED, 1),
    FLOW("a kid that nobody knows", 1, 1, CURRENT, "x", &stranger, REJECTED, 1),
    FLOW("an unknown kid, nothing newer", 1, 0, CURRENT, "new", &stranger, REJECTED, 1),
    FLOW("an unknown kid, no fetch", 1, 0, FAILED, "new", &stranger, UNAVAILABLE, 1),
    FLOW("an unknown kid, a fetch that lasts", 1, 0, BUSY, "new", &stranger, UNAVAILABLE, 1),
    FLOW("an unknown kid within the cool-down", 1, 0, RECENT, "new", &stranger, UNAVAILABLE, 1),
    FLOW("a new key within the cool-down", 1, 1, RECENT, "new", &stranger, ACCEPTED, 1),
    FLOW("no kid", 1, 0, CURRENT, NULL, &known, ACCEPTED, 0),
    FLOW("no kid, but the keys have", 1, 1, CURRENT, NULL, &stranger, REJECTED, 0),
    FLOW("a new key all the same", 1, 1, BUSY, "new", &stranger, ACCEPTED, 1),
    {"flow: a key, but its algorithm is not listed", 1, 0, LA_REMOTE_DOC_CURRENT, "ed", &known,
     LA_VERDICT_REJECTED, 0, "Algorithms RS256"},
    FLOW("another issuer's", 1, 1, CURRENT, "new", &stranger, NOT_MINE, 0),
};

static void test_flow(void **state)
{
    const flow_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider = started(pool, "Issuer " ISS, row->line);
    const char *header =
        row->kid ? apr_psprintf(pool, "{'alg':'EdDSA','kid':'%s'}", row->kid) : "{'alg':'EdDSA'}";
    const char *claims = apr_psprintf(pool, "{" AUD EXP SUB ",'iss':'%s'}",
                                      row->verdict == LA_VERDICT_NOT_MINE ? "b" : ISS);
    la_result_t result;

    assert_null(la_jwks_parse(pool, slice_of_text(known_set), LA_JWA_DEFAULT, &out.keys));
    assert_null(la_jwks_parse(pool, slice_of_text(stranger_set), LA_JWA_DEFAULT, &out.newer));
    out.keys = row->keys ? out.keys : NULL;
    out.newer = row->newer ? out.newer : NULL;
    out.version = row->keys ? 7 : 0;
    out.renewal = row->renewal;
    verify(pool, provider, sign(pool, *row->key, header, claims), &result);
    expect(pool, &result,
           &(verdict_case_t){.verdict = row->verdict,
                             .who = row->verdict == LA_VERDICT_ACCEPTED ? "al" : "",
                             .attributes = "{'roles':['al']}"});
    assert_int_equal(out.ensured, row->verdict != LA_VERDICT_NOT_MINE);
    assert_int_equal(out.renewed, row->renewed);
    if (row->renewal == LA_REMOTE_DOC_RECENT && row->verdict == LA_VERDICT_UNAVAILABLE) {
        assert_int_equal(result.cause, LA_CAUSE_TOKEN);
        assert_int_equal(result.retry_after_s, 7);
        assert_string_equal(result.reason, "its key is not in the key set, which was fetched a "
                                           "moment ago: kid \"new\"");
    }
    assert_int_equal(result.epoch, out.version); /* of the keys that judged it, not those before */
    la_jwt_type.tick(provider, pool);
    assert_int_equal(out.ticked, 1);
    apr_pool_destroy(pool);
}

int main(void)
{
    apr_pool_t *pool;
    int failed;

    start();
    pool = new_pool();
    make_keys(pool);
    for (size_t i = 0; i < ROWS(flow_cases); i++) {
        add(flow_cases[i].name, test_flow, &flow_cases[i]);
    }
    failed = finish("jwt_flow");
    EVP_PKEY_free(known);
    EVP_PKEY_free(stranger);
    return failed;
}

/* static_keys.c: the key file's form, to the last member, and the look-up. */
#include "support.h"

#include "provider/static_keys.h"

#include "access/claims.h"

/* Digests that begin alike, so that the look-up's chain is walked. */
#define ZEROS "00000000000000000000000000000000000000000000000000000000000000"
#define D0    ZEROS "00"
#define D1    ZEROS "01"
#define DUP   ZEROS "aB"
#define DLOW  ZEROS "ab"

#define ENTRY(members) "{\"keys\":[{" members "}]}"
#define KEY(members)   ENTRY("\"sha256\":\"" D0 "\",\"principal\":\"p\"" members)

static const la_provider_common_t plain;

static const char *parse(apr_pool_t *pool, const char *text, const la_provider_common_t *common,
                         la_static_keys_t **keyfile)
{
    apr_pool_t *scratch = new_pool();
    la_static_keys_form_t form = {.common = common};
    size_t len = strlen(text);
    char *tight = malloc(len > 0 ? len : 1);
    const char *error;

    assert_non_null(tight);
    memcpy(tight, text, len);
    error = la_static_keys_parse((la_slice_t){tight, len}, &form, pool, scratch, keyfile);
    /* Nothing that is kept may lie in either. */
    free(tight);
    apr_pool_destroy(scratch);
    return error;
}

/* ---- what is refused ---- */

typedef struct bad_case_t {
    const char *text;
    const char *error; /* how the message begins */
} bad_case_t;

#define EXPIRES "keys[0]: expires is not a date and time"

static bad_case_t bad_cases[] = {
    {"", "unexpected end"},
    {"{\"keys\":[", "unexpected end"},
    {"{\"keys\":[]} x", "more after the value"},
    {"{\"keys\":[],\"keys\":[]}", "duplicate member name at line 1, column 12"},
    {"[]", "not a JSON object"},
    {"null", "not a JSON object"},
    {"\"keys\"", "not a JSON object"},
    {"{}", "no list named \"keys\""},
    {"{\"Keys\":[]}", "no list named \"keys\""},
    {"{\"keys\":{}}", "no list named \"keys\""},
    {"{\"keys\":null}", "no list named \"keys\""},
    {"{\"keys\":[],\"version\":1}", "a field beside \"keys\""},
    {"{\"keys\":[\"" D0 "\"]}", "keys[0]: not an object"},
    {"{\"keys\":[[]]}", "keys[0]: not an object"},
    {"{\"keys\":[{}]}", "keys[0]: no sha256"},
    {ENTRY("\"principal\":\"p\""), "keys[0]: no sha256"},
    {KEY(",\"key\":\"s3cret\""), "keys[0]: unknown field (number 3)"},
    {KEY(",\"Expires\":\"2027-01-01T00:00:00Z\""), "keys[0]: unknown field (number 3)"},
    {KEY(",\"\":1"), "keys[0]: unknown field (number 3)"},
    {KEY(",\"id\":7"), "keys[0]: id is not a string"},
    {KEY(",\"id\":\"\""), "keys[0]: id is not a string, or empty"},
    {KEY(",\"id\":\"a\\nb\""), "keys[0]: id holds a control character"},
    {ENTRY("\"principal\":\"p\",\"sha256\":7"), "keys[0]: sha256 is not 64 hex digits"},
    {ENTRY("\"principal\":\"p\",\"sha256\":null"), "keys[0]: no sha256"},
    {ENTRY("\"principal\":\"p\",\"sha256\":\"\""), "keys[0]: sha256 is not 64 hex digits"},
    {ENTRY("\"principal\":\"p\",\"sha256\":\"" ZEROS "0\""),
     "keys[0]: sha256 is not 64 hex digits"},
    {ENTRY("\"principal\":\"p\",\"sha256\":\"" D0 "0\""), "keys[0]: sha256 is not 64 hex digits"},
    {ENTRY("\"principal\":\"p\",\"sha256\":\"" ZEROS "0g\""),
     "keys[0]: sha256 is not 64 hex digits"},
    {ENTRY("\"principal\":\"p\",\"sha256\":\"" ZEROS "\\u0000\\u0000\""),
     "keys[0]: sha256 is not 64 hex digits"},
    {ENTRY("\"sha256\":\"" D0 "\""), "keys[0]: no principal"},
    {ENTRY("\"sha256\":\"" D0 "\",\"principal\":null"), "keys[0]: no principal"},
    {ENTRY("\"sha256\":\"" D0 "\",\"principal\":7"), "keys[0]: the principal is not a string"},
    {ENTRY("\"sha256\":\"" D0 "\",\"principal\":\"\""), "keys[0]: the principal is empty"},
    {ENTRY("\"sha256\":\"" D0 "\",\"principal\":\"a \""),
     "keys[0]: the principal begins or ends with a blank"},
    {ENTRY("\"sha256\":\"" D0 "\",\"principal\":\"a\\rb\""),
     "keys[0]: the principal holds control characters"},
    {KEY(",\"attributes\":[]"), "keys[0]: attributes is a list, expected an object"},
    {KEY(",\"attributes\":\"admin\""), "keys[0]: attributes is a string, expected an object"},
    {KEY(",\"attributes\":{\"roles\":{}}"),
     "keys[0]: the attribute \"roles\" holds an object, expected strings"},
    {KEY(",\"attributes\":{\"roles\":7}"),
     "keys[0]: the attribute \"roles\" holds a number, expected strings"},
    {KEY(",\"attributes\":{\"roles\":[7]}"), "keys[0]: the attribute \"roles\" holds a number"},
    {KEY(",\"attributes\":{\"roles\":[[]]}"), "keys[0]: the attribute \"roles\" holds a list"},
    {KEY(",\"attributes\":{\"\":[]}"), "keys[0]: an attribute has no name"},
    {KEY(",\"expires\":1798761600"), EXPIRES},
    {KEY(",\"expires\":\"\""), EXPIRES},
    {KEY(",\"expires\":\"2027-01-01\""), EXPIRES},
    {KEY(",\"expires\":\"2027-02-29T00:00:00Z\""), EXPIRES},
    {KEY(",\"expires\":\"2027-01-01T00:00:00\""), EXPIRES},
    {KEY(",\"expires\":\"2027-01-01T00:00:00Z\\u0000\""), EXPIRES},
    {KEY(",\"not_before\":\"tomorrow\""), "keys[0]: not_before is not a date and time"},
    {KEY(",\"created\":0"), "keys[0]: created is not a date and time"},
    {KEY(",\"disabled\":\"true\""), "keys[0]: disabled is neither true nor false"},
    {KEY(",\"disabled\":1"), "keys[0]: disabled is neither true nor false"},
    {KEY(",\"note\":[]"), "keys[0]: note is not a string"},
    {KEY(",\"from\":\"10.0.0.0/8\""), "keys[0]: from is not a list"},
    {KEY(",\"from\":[\"10.0.0.0/33\"]"), "keys[0]: from holds something that is no network"},
    {KEY(",\"from\":[7]"), "keys[0]: from holds something that is no network"},
    {"{\"keys\":[{\"sha256\":\"" D0 "\",\"principal\":\"p\"},{\"sha256\":\"" D0
     "\",\"principal\":\"q\"}]}",
     "keys[1]: duplicate sha256"},
    {"{\"keys\":[{\"sha256\":\"" DUP "\",\"principal\":\"p\"},{\"sha256\":\"" D1
     "\",\"principal\":\"p\"},{\"sha256\":\"" DLOW "\",\"principal\":\"q\"}]}",
     "keys[2]: duplicate sha256"},
    {"{\"keys\":[{\"id\":\"a\",\"sha256\":\"" D0 "\",\"principal\":\"p\"},{\"id\":\"a\","
     "\"sha256\":\"" D1 "\",\"principal\":\"q\"}]}",
     "keys[1]: duplicate id: only one entry"},
};

static void test_bad(void **state)
{
    const bad_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_static_keys_t *keyfile = (void *)pool;
    const char *error = parse(pool, row->text, &plain, &keyfile);

    assert_non_null(error);
    assert_null(keyfile);
    if (strncmp(error, row->error, strlen(row->error)) != 0)
        fail_msg("%s", error);
    assert_null(strstr(error, "s3cret"));
    assert_null(strstr(error, "0000"));
    apr_pool_destroy(pool);
}

/* ---- what is read ---- */

typedef struct good_case_t {
    const char *name;
    const char *text;
    const char *label;
    const char *principal;
    const char *attributes;
    apr_int64_t expires_us;
} good_case_t;

static good_case_t good_cases[] = {
    {"key: bare", KEY(""), "keys[0]", "p", "{}", 0},
    {"key: whole",
     "{\"keys\": [{\"id\": \"ci\", \"sha256\": \"" D0 "\", \"principal\": \"ci-bot\", "
     "\"attributes\": {\"roles\": [\"ci\"], \"scopes\": [\"models.read\"]}, "
     "\"expires\": \"2027-01-01T00:00:00Z\"}]}\n",
     "ci", "ci-bot", "{\"roles\":[\"ci\"],\"scopes\":[\"models.read\"]}",
     APR_INT64_C(1798761600000000)},
    {"key: null members are absent",
     KEY(",\"id\":null,\"expires\":null,\"note\":null,\"disabled\":null,\"from\":null,\"strange\":"
         "null,\"attributes\":{\"roles\":null}"),
     "keys[0]", "p", "{}", 0},
    {"key: null entries are skipped",
     "{\"version\":null,\"keys\":[null,{\"sha256\":\"" D0 "\",\"principal\":\"p\"},null]}",
     "keys[1]", "p", "{}", 0},
    {"key: null attributes", KEY(",\"attributes\":null"), "keys[0]", "p", "{}", 0},
    {"key: one string is one value", KEY(",\"attributes\":{\"scopes\":\"a b\"}"), "keys[0]", "p",
     "{\"scopes\":[\"a b\"]}", 0},
    {"key: expired in 1970", KEY(",\"expires\":\"1970-01-01T00:00:00Z\""), "keys[0]", "p", "{}", 1},
    {"key: expired before 1970", KEY(",\"expires\":\"1907-01-01T00:00:00Z\""), "keys[0]", "p", "{}",
     1},
};

static void test_good(void **state)
{
    const good_case_t *row = *state;
    unsigned char digest[LA_DIGEST_BYTES] = {0};
    apr_pool_t *pool = new_pool();
    la_static_keys_t *keyfile;
    const la_api_key_t *key;

    assert_null(parse(pool, row->text, &plain, &keyfile));
    key = la_static_keys_find(keyfile, digest);
    assert_non_null(key);
    assert_string_equal(key->label, row->label);
    assert_string_equal(la_identity_principal(key->identity).data, row->principal);
    assert_string_equal(la_identity_attributes_json(key->identity).data, row->attributes);
    assert_true(key->expires == row->expires_us);
    apr_pool_destroy(pool);
}

static void test_no_keys(void **state)
{
    unsigned char digest[LA_DIGEST_BYTES] = {0};
    apr_pool_t *pool = new_pool();
    la_static_keys_t *keyfile;

    (void)state;
    assert_null(parse(pool, "{\"keys\":[]}", &plain, &keyfile));
    assert_null(la_static_keys_find(keyfile, digest));
    apr_pool_destroy(pool);
}

/* All digests share their first bytes: each is told from the others by its last. */
static void test_find(void **state)
{
    apr_pool_t *pool = new_pool();
    const char *text = "{\"keys\":[";
    unsigned char digest[LA_DIGEST_BYTES] = {0};
    la_static_keys_t *keyfile;

    (void)state;
    for (int i = 0; i < 200; i++)
        text = apr_psprintf(pool, "%s%s{\"sha256\":\"" ZEROS "%02x\",\"principal\":\"p%d\"}", text,
                            i > 0 ? "," : "", (unsigned)i, i);
    assert_null(parse(pool, apr_pstrcat(pool, text, "]}", NULL), &plain, &keyfile));
    for (int i = 0; i < 256; i++) {
        const la_api_key_t *key;

        digest[LA_DIGEST_BYTES - 1] = (unsigned char)i;
        key = la_static_keys_find(keyfile, digest);
        assert_int_equal(key != NULL, i < 200);
        if (key)
            assert_string_equal(la_identity_principal(key->identity).data,
                                apr_psprintf(pool, "p%d", i));
    }
    digest[0] = 1;
    assert_null(la_static_keys_find(keyfile, digest));
    apr_pool_destroy(pool);
}

/* ---- when and where a key is valid ---- */

#define NOW   (APR_TIME_C(1798761600) * APR_USEC_PER_SEC) /* 2027-01-01T00:00:00Z */
#define FIRST "\"2027-01-01T00:00:00Z\""
#define THEN  "\"2027-01-01T00:00:01Z\""

typedef struct valid_case_t {
    const char *name;
    const char *text;
    const char *client_ip;
    const char *refusal; /* NULL: valid then */
    int is_from;
} valid_case_t;

static valid_case_t valid_cases[] = {
    {"valid: always", KEY(""), "10.1.2.3", NULL, 1},
    {"valid: from anywhere, an unknown address too", KEY(""), NULL, NULL, 1},
    {"valid: not disabled", KEY(",\"disabled\":false"), "::1", NULL, 1},
    {"valid: disabled", KEY(",\"disabled\":true,\"expires\":" FIRST), "::1", "is disabled", 1},
    {"valid: at its first moment", KEY(",\"not_before\":" FIRST), "::1", NULL, 1},
    {"valid: early", KEY(",\"not_before\":" THEN), "::1",
     "is not valid before 2027-01-01T00:00:01Z", 1},
    {"valid: since long ago", KEY(",\"not_before\":\"1907-01-01T00:00:00Z\""), "::1", NULL, 1},
    {"valid: expired", KEY(",\"expires\":" FIRST), "::1", "expired at 2027-01-01T00:00:00Z", 1},
    {"valid: not yet expired", KEY(",\"expires\":" THEN), "::1", NULL, 1},
    {"valid: from there", KEY(",\"from\":[\"10.0.0.0/8\"]"), "10.1.2.3", NULL, 1},
    {"valid: from the second", KEY(",\"from\":[\"10.0.0.0/8\",\"::1\"]"), "::1", NULL, 1},
    {"valid: from elsewhere", KEY(",\"from\":[\"10.0.0.0/8\"]"), "11.1.2.3", NULL, 0},
    {"valid: from a zone", KEY(",\"from\":[\"fe80::/10\"]"), "fe80::1%eth0", NULL, 1},
    {"valid: from an IPv4 that came by IPv6", KEY(",\"from\":[\"10.0.0.0/8\"]"), "::ffff:10.1.2.3",
     NULL, 1},
    {"valid: an empty from admits nobody", KEY(",\"from\":[]"), "::1", NULL, 0},
    {"valid: so does one of nulls", KEY(",\"from\":[null]"), "::1", NULL, 0},
    {"valid: from without an address", KEY(",\"from\":[\"0.0.0.0/0\",\"::/0\"]"), NULL, NULL, 0},
    {"valid: from no address", KEY(",\"from\":[\"0.0.0.0/0\",\"::/0\"]"), "local", NULL, 0},
};

static void test_valid(void **state)
{
    const valid_case_t *row = *state;
    unsigned char digest[LA_DIGEST_BYTES] = {0};
    apr_pool_t *pool = new_pool();
    la_static_keys_t *keyfile;
    const la_api_key_t *key;
    const char *refusal;

    assert_null(parse(pool, row->text, &plain, &keyfile));
    key = la_static_keys_find(keyfile, digest);
    refusal = la_static_keys_refusal(key, NOW, pool);
    if (row->refusal) {
        assert_string_equal(refusal, row->refusal);
    } else {
        assert_null(refusal);
    }
    assert_int_equal(la_static_keys_is_from(key, row->client_ip), row->is_from);
    apr_pool_destroy(pool);
}

/* A rotation leaves two entries of one id, of which the old one ends. */
static void test_entries_of_one_id(void **state)
{
    apr_pool_t *pool = new_pool();
    const apr_array_header_t *all;
    la_static_keys_t *keyfile;

    (void)state;
    assert_null(parse(pool,
                      "{\"keys\":[{\"id\":\"a\",\"sha256\":\"" D0
                      "\",\"principal\":\"p\",\"expires\":" FIRST "},{\"sha256\":\"" DUP
                      "\",\"principal\":\"p\"},{\"id\":\"a\",\"sha256\":\"" D1
                      "\",\"principal\":\"p\",\"created\":" FIRST "}]}",
                      &plain, &keyfile));
    all = la_static_keys_all(keyfile);
    assert_int_equal(all->nelts, 3);
    assert_int_equal(APR_ARRAY_IDX(all, 0, const la_api_key_t *)->entry, 1);
    assert_null(APR_ARRAY_IDX(all, 1, const la_api_key_t *)->id);
    assert_int_equal(APR_ARRAY_IDX(all, 2, const la_api_key_t *)->entry, 2);
    assert_true(APR_ARRAY_IDX(all, 2, const la_api_key_t *)->created == NOW);
    apr_pool_destroy(pool);
}

static void test_lenient(void **state)
{
    la_static_keys_form_t form = {.common = &plain, .lenient = 1};
    const char *text = "{\"version\":1,\"keys\":[{\"sha256\":\"" D0 "\",\"team\":[]}]}";
    apr_pool_t *pool = new_pool();
    la_static_keys_t *keyfile;

    (void)state;
    assert_null(la_static_keys_parse(slice_of_text(text), &form, pool, pool, &keyfile));
    assert_non_null(parse(pool, text, &plain, &keyfile));
    apr_pool_destroy(pool);
}

/* ---- PrincipalClaim and Claim ---- */

typedef struct claim_case_t {
    const char *name;
    const char *principal_claim; /* or NULL */
    const char *source;          /* of a Claim line to "teams", or NULL */
    const char *text;
    const char *principal;  /* NULL: refused */
    const char *attributes; /* or the error */
} claim_case_t;

static claim_case_t claim_cases[] = {
    {"claim: principal from the id", "id", NULL,
     ENTRY("\"id\":\"ci\",\"sha256\":\"" D0 "\",\"attributes\":{\"a\":[\"b\"]}"), "ci",
     "{\"a\":[\"b\"]}"},
    {"claim: principal from the attributes", "mail", NULL,
     KEY(",\"attributes\":{\"mail\":\"a@b\"}"), "a@b", "{\"mail\":[\"a@b\"]}"},
    {"claim: principal absent", "mail", NULL, KEY(""), NULL, "keys[0]: no principal"},
    {"claim: principal of a wrong type", "mail", NULL, KEY(",\"attributes\":{\"mail\":[\"a\"]}"),
     NULL, "keys[0]: mail is a list, expected a string"},
    {"claim: principal's own member still checked", "id", NULL,
     ENTRY("\"id\":\"ci\",\"sha256\":\"" D0 "\",\"principal\":7"), NULL,
     "keys[0]: the principal is not a string"},
    {"claim: mapped attributes only", NULL, "groups",
     KEY(",\"attributes\":{\"groups\":\"x y\",\"roles\":[\"r\"]}"), "p", "{\"teams\":[\"x y\"]}"},
    {"claim: mapped from the entry", NULL, "id", KEY(",\"id\":\"ci\""), "p",
     "{\"teams\":[\"ci\"]}"},
    {"claim: attributes still checked", NULL, "groups", KEY(",\"attributes\":{\"x\":{}}"), NULL,
     "keys[0]: the attribute \"x\" holds an object"},
};

static la_provider_common_t common_of(apr_pool_t *pool, const claim_case_t *row)
{
    la_provider_common_t common = {0};

    if (row->principal_claim) {
        common.principal_claims = apr_array_make(pool, 1, sizeof(const char *));
        APR_ARRAY_PUSH(common.principal_claims, const char *) = row->principal_claim;
    }
    if (row->source) {
        common.claims = apr_array_make(pool, 1, sizeof(la_claim_map_t));
        APR_ARRAY_PUSH(common.claims, la_claim_map_t) =
            (la_claim_map_t){row->source, "teams", LA_CLAIM_WHOLE};
    }
    return common;
}

static void test_claim(void **state)
{
    const claim_case_t *row = *state;
    unsigned char digest[LA_DIGEST_BYTES] = {0};
    apr_pool_t *pool = new_pool();
    la_provider_common_t common = common_of(pool, row);
    la_static_keys_t *keyfile;
    const char *error = parse(pool, row->text, &common, &keyfile);

    if (row->principal) {
        const la_api_key_t *key;

        assert_null(error);
        key = la_static_keys_find(keyfile, digest);
        assert_string_equal(la_identity_principal(key->identity).data, row->principal);
        assert_string_equal(la_identity_attributes_json(key->identity).data, row->attributes);
    } else {
        assert_non_null(error);
        assert_int_equal(strncmp(error, row->attributes, strlen(row->attributes)), 0);
    }
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(bad_cases); i++)
        add(*bad_cases[i].text ? bad_cases[i].text : "(empty)", test_bad, &bad_cases[i]);
    for (size_t i = 0; i < ROWS(good_cases); i++)
        add(good_cases[i].name, test_good, &good_cases[i]);
    for (size_t i = 0; i < ROWS(valid_cases); i++)
        add(valid_cases[i].name, test_valid, &valid_cases[i]);
    add("entries of one id", test_entries_of_one_id, NULL);
    add("unknown members and no principal, if asked", test_lenient, NULL);
    add("no keys at all", test_no_keys, NULL);
    add("find among digests that begin alike", test_find, NULL);
    for (size_t i = 0; i < ROWS(claim_cases); i++)
        add(claim_cases[i].name, test_claim, &claim_cases[i]);
    return finish("keyfile");
}

/* signer.c: the lines of a <LlamaAuthSigner> section, what is said of broken ones, and the
 * published set. */
#include "signers.h"

#include "jose/jwk.h"

typedef struct line_case_t {
    const char *lines;
    const char *error; /* what it holds; NULL: none */
} line_case_t;

#define KEY   "Key file:es256.pem;"
#define WHOLE KEY "Issuer https://api.example.com;Audience ogx"

static line_case_t line_cases[] = {
    {WHOLE, NULL},
    {"key file:es256.pem file:rs256.pem;issuer me;AUDIENCE ogx", NULL},
    {KEY "Key file:rs256.pem;Issuer i;Audience a", NULL},
    {WHOLE ";Lifetime 10s", NULL},
    {WHOLE ";Lifetime 1h", NULL},
    {WHOLE ";Lifetime 3600", NULL},
    {WHOLE ";Claim roles roles;Claim roles also;Claim scopes permissions", NULL},
    {WHOLE ";Claim scope scopes", NULL},
    {WHOLE ";Claim one:tenant tenant;Claim ONE:tenant org;Claim tenant tenants", NULL},
    {WHOLE ";Claim one: tenant", "Claim: takes a category and a claim's name"},
    {WHOLE ";Claim one:tenant sub", "Claim: sub is set by the module itself"},
    {WHOLE ";Claim one:tenant t;Claim tenant t", "Claim: two lines make the claim t"},
    {"Issuer i;Audience a", "has no Key, as in Key file:conf/signer.pem"},
    {KEY "Audience a", "has no Issuer, as in Issuer https://api.example.com"},
    {KEY "Issuer i", "has no Audience, as in Audience ogx"},
    {"Key", "Key: takes one to eight files of private keys, as in Key file:conf/signer.pem"},
    {"Key es256.pem", "Key: takes files of private keys, as in Key file:conf/signer.pem"},
    {"Key file:", "Key: takes files"},
    {"Key env:KEY", "Key: takes files"},
    {"Key file:missing.pem", "/missing.pem: open: No such file or directory"},
    {"Key file:garbage.pem", "/garbage.pem: no private key in PEM"},
    {"Key file:rsa1024.pem", "/rsa1024.pem: an RSA key of 1024 bits, expected"},
    {"Key file:es256.pem file:rsa1024.pem", "/rsa1024.pem: an RSA key of 1024 bits"},
    {KEY KEY, "es256.pem is named twice"},
    {"Issuer", "Issuer: takes one argument, as in Issuer https://api.example.com"},
    {"Issuer a b", "Issuer: takes one argument"},
    {"Issuer i;Issuer i", "Issuer: stands twice"},
    {"Issuer ''", "Issuer: is no text in UTF-8"},
    {"Issuer a\xff", "Issuer: is no text in UTF-8"},
    {"Issuer a\tb", "Issuer: is no text in UTF-8"},
    {"Audience", "Audience: takes one argument, as in Audience ogx"},
    {"Audience a b", "Audience: takes one argument"},
    {"Audience a;Audience b", "Audience: stands twice"},
    {"Audience ''", "Audience: is no text in UTF-8"},
    {"Lifetime 9s", "Lifetime: '9s' is no time from 10s to 1h, as in Lifetime 60s"},
    {"Lifetime 9999ms", "Lifetime: '9999ms' is no time"},
    {"Lifetime 3601", "Lifetime: '3601' is no time"},
    {"Lifetime 0", "Lifetime: '0' is no time"},
    {"Lifetime soon", "Lifetime: 'soon' is no time"},
    {"Lifetime 60s 60s", "Lifetime: takes one argument"},
    {"Lifetime 60s;Lifetime 61s", "Lifetime: stands twice"},
    {"Claim roles", "Claim: takes a category and a claim's name, as in Claim roles roles"},
    {"Claim a b c", "Claim: takes a category and"},
    {"Claim a ''", "Claim: takes a category and"},
    {"Claim '' a", "Claim: takes a category and"},
    {"Claim a \xff", "Claim: takes a category and"},
    {"Claim a sub", "Claim: sub is set by the module itself"},
    {"Claim a scope", "Claim: scope is set by the module itself"},
    {"Claim a Sub", "Claim: Sub is set by the module itself"},
    {"Claim a b;Claim c b", "Claim: two lines make the claim b"},
    {"Kid x", "Kid: is no option of a signer; there are Key, Issuer, Audience, Lifetime, Claim"},
};

static void test_line(void **state)
{
    const line_case_t *row = *state;
    const char *error = read_lines(la_signer_make(pool, "internal", 0), row->lines);

    if (row->error ? !error || !strstr(error, row->error) : error != NULL)
        fail_msg("%s", error ? error : "no error");
}

/* What could be the key itself is not repeated. */
static void test_no_secret(void **state)
{
    const char *error = read_lines(la_signer_make(pool, "internal", 0), "Key MC4CAQAwBQYDK2Vw");

    (void)state;
    assert_null(strstr(error, "MC4CAQAwBQYDK2Vw"));
}

static void test_defaults(void **state)
{
    la_signer_t *signer = good_signer(WHOLE);

    (void)state;
    assert_int_equal(signer->lifetime_us, 60 * APR_USEC_PER_SEC);
    assert_int_equal(signer->keys->nelts, 1);
    assert_int_equal(signer->claims->nelts, 0);
}

static void test_most_keys(void **state)
{
    const char *lines = "";

    (void)state;
    for (int i = 0; i <= LA_SIGNER_KEYS_MAX; i++) {
        const char *name = apr_psprintf(pool, "many%d.pem", i);

        write_key(name, EVP_EC_gen("P-256"));
        lines = apr_pstrcat(pool, lines, "Key file:", name, ";", NULL);
    }
    assert_string_equal(read_lines(la_signer_make(pool, "internal", 0), lines),
                        "Key: a signer has at most 8 keys");
}

static void test_reserved(void **state)
{
    static const char *const names[] = {"iss", "sub", "aud",       "exp",   "nbf", "iat",
                                        "jti", "cnf", "client_id", "scope", "act"};
    static const char *const folded[] = {"Sub", "SUB",       "\xC5\xBFub",   "i\xC5\xBF\xC5\xBF",
                                         "AuD", "Client_ID", "\305\277cope", "I\xC5\xBFS"};

    (void)state;
    for (size_t i = 0; i < ROWS(names); i++)
        assert_int_equal(la_signer_reserves(la_slice_of(names[i])), 1);
    assert_int_equal(la_signer_reserves(LA_SLICE("scopes")), 0);
    for (size_t i = 0; i < ROWS(folded); i++)
        assert_int_equal(la_signer_reserves(la_slice_of(folded[i])), 1);
    assert_int_equal(la_signer_reserves(LA_SLICE("su")), 0);
    assert_int_equal(la_signer_reserves(LA_SLICE("subs")), 0);
    assert_int_equal(la_signer_reserves(LA_SLICE("sub\0")), 0);
    assert_int_equal(la_signer_reserves(LA_SLICE("\xC5ub")), 0);
    assert_int_equal(la_signer_reserves(LA_SLICE("i\xC5")), 0);
    assert_int_equal(la_signer_reserves(LA_SLICE("")), 0);
}

static void test_names(void **state)
{
    static const char *const bad[] = {"", "a b", "a:b", "ä", "a/b"};

    (void)state;
    assert_null(la_signer_check_name(pool, "In-ter_nal.2"));
    for (size_t i = 0; i < ROWS(bad); i++)
        assert_non_null(strstr(la_signer_check_name(pool, bad[i]), "is no name of a signer"));
}

/* ---- the published set ---- */

static const la_jwks_t *published(const apr_array_header_t *signers, apr_time_t now)
{
    la_slice_t text = la_signer_jwks(pool, signers, now);
    const la_jwks_t *keys;
    const char *reason = la_jwks_parse(pool, text, LA_JWA_DEFAULT, &keys);

    if (reason)
        fail_msg("%s: %s", reason, text.data);
    assert_int_equal(keys->skipped->nelts, 0);
    assert_null(strstr(text.data, "\"d\""));
    return keys;
}

/* All keys of all signers, each once, in order. */
static void test_jwks(void **state)
{
    apr_array_header_t *signers = apr_array_make(pool, 2, sizeof(const la_signer_t *));
    const la_jwks_t *keys;

    (void)state;
    APR_ARRAY_PUSH(signers, const la_signer_t *) =
        good_signer("Key file:es256.pem file:rs256.pem;Issuer i;Audience a");
    APR_ARRAY_PUSH(signers, const la_signer_t *) =
        good_signer("Key file:eddsa.pem file:es256.pem file:es384.pem;Issuer i;Audience a");
    keys = published(signers, apr_time_now());
    assert_int_equal(keys->count, 4);
    assert_int_equal(keys->keys[0].algorithms, LA_JWA_ES256);
    assert_int_equal(keys->keys[1].algorithms, LA_JWA_RS256);
    assert_int_equal(keys->keys[2].algorithms & LA_JWA_OKP, LA_JWA_ED25519);
    assert_int_equal(keys->keys[3].algorithms, LA_JWA_ES384);
}

/* ---- changes of a file ---- */

static const char *kid_of(const la_signer_t *signer, apr_time_t now)
{
    unsigned held;
    const char *kid = apr_pstrdup(pool, la_signer_hold(signer, now, &held)->kid);

    la_signer_release(signer, held);
    return kid;
}

static void test_change(void **state)
{
    apr_time_t now = apr_time_now();
    la_signer_t *signer;
    const char *first;
    const char *second;

    (void)state;
    write_key("changing.pem", EVP_EC_gen("P-256"));
    signer = good_signer("Key file:changing.pem;Issuer i;Audience a");
    la_signer_child_init(signer, pool);
    first = kid_of(signer, now);
    write_key("changing.pem", EVP_EC_gen("P-384"));
    second = kid_of(signer, now += 2 * APR_USEC_PER_SEC);
    assert_string_not_equal(second, first);
    forget_log();
    write_text(pool, "changing.pem", "garbage");
    assert_string_equal(kid_of(signer, now += 2 * APR_USEC_PER_SEC), second);
    assert_int_equal(log_level, LA_LOG_ERROR);
    assert_non_null(strstr(logged, "changing.pem: no private key in PEM"));
    assert_int_equal(remove(file_path(pool, "changing.pem")), 0);
    assert_string_equal(kid_of(signer, now + 2 * APR_USEC_PER_SEC), second);
}

/* The set has a new key at once: another process may have signed by it. */
static void test_published_at_once(void **state)
{
    apr_array_header_t *signers = apr_array_make(pool, 1, sizeof(const la_signer_t *));
    apr_time_t now = apr_time_now();
    const la_jwks_t *keys;
    la_signer_t *signer;

    (void)state;
    write_key("published.pem", EVP_EC_gen("P-256"));
    signer = good_signer("Key file:published.pem;Issuer i;Audience a");
    APR_ARRAY_PUSH(signers, const la_signer_t *) = signer;
    (void)kid_of(signer, now);
    write_key("published.pem", EVP_EC_gen("P-384"));
    keys = published(signers, now);
    assert_int_equal(keys->keys[0].algorithms, LA_JWA_ES384);
    assert_true(la_slice_is(keys->keys[0].kid, kid_of(signer, now)));
}

/* A file that this process cannot open changes nothing, without a word, until it can: else two
 * processes that began before and after that would sign by two keys for good. */
static void test_hidden(void **state)
{
    apr_time_t now = apr_time_now();
    la_signer_t *signer;
    const char *first;

    (void)state;
    write_key("hidden.pem", EVP_EC_gen("P-256"));
    signer = good_signer("Key file:hidden.pem;Issuer i;Audience a");
    assert_int_equal(remove(file_path(pool, "hidden.pem")), 0);
    forget_log();
    la_signer_child_init(signer, pool);
    assert_int_equal(log_level, LA_LOG_DEBUG);
    assert_non_null(strstr(logged, "is seen at the next restart"));
    forget_log();
    first = kid_of(signer, now);
    assert_string_equal(kid_of(signer, now += 2 * APR_USEC_PER_SEC), first);
    assert_int_equal(log_lines, 0);
    write_key("hidden.pem", EVP_EC_gen("P-256"));
    assert_string_not_equal(kid_of(signer, now += 2 * APR_USEC_PER_SEC), first);
    assert_int_equal(remove(file_path(pool, "hidden.pem")), 0);
    forget_log();
    (void)kid_of(signer, now + 2 * APR_USEC_PER_SEC);
    assert_int_equal(log_level, LA_LOG_ERROR);
}

int main(void)
{
    start();
    write_signer_keys();
    write_text(pool, "garbage.pem", "garbage");
    write_key("rsa1024.pem", EVP_RSA_gen(1024));
    for (size_t i = 0; i < ROWS(line_cases); i++)
        add(line_cases[i].lines, test_line, &line_cases[i]);
    add("a key's text is not shown", test_no_secret, NULL);
    add("defaults", test_defaults, NULL);
    add("too many keys", test_most_keys, NULL);
    add("reserved claims", test_reserved, NULL);
    add("names", test_names, NULL);
    add("jwks", test_jwks, NULL);
    add("a file changes", test_change, NULL);
    add("a new key is published at once", test_published_at_once, NULL);
    add("a file that cannot be read", test_hidden, NULL);
    return finish("signer");
}

/* provider/jwt.c: its options and its verdicts. Tokens are signed here, with keys made by OpenSSL, and judged
 * by the real core with the real keys of a file. For what hangs on a shared document that is replaced, and with it the keys in force.
 * How it fetches that document: test_discovery.c. JSON is written with ' for ".
 */
#include "support.h"

#include "provider/keyset.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

/* ---- what is replaced ---- */

static struct outside_t {
    int scripted;           /* the keys in force are these: */
    const la_jwks_t *keys;  /* NULL: none */
    const la_jwks_t *newer; /* after a renewal; NULL: the same */
    apr_uint64_t version;
    la_document_e renewal;
    int ensured, renewed, ticked, holds;
} out;

#define ISS "https://idp.example.com/a"

static apr_status_t fake_document_attach(const la_provider_t *provider,
                                         const la_document_source_t *source, apr_pool_t *pchild,
                                         la_document_t **document)
{
    (void)provider;
    assert_string_equal(source->what, "the key set");
    *document = apr_palloc(pchild, 1);
    return APR_SUCCESS;
}

static void fake_document_tick(la_document_t *document, apr_pool_t *scratch)
{
    (void)scratch;
    out.ticked += document != NULL;
}

static la_document_e fake_document_ensure(la_document_t *document, apr_pool_t *scratch)
{
    (void)scratch;
    assert_int_equal(out.holds, 0);
    out.ensured += document != NULL;
    return LA_DOCUMENT_CURRENT;
}

/* Nobody waits for it with the old keys in hand. */
static la_document_e fake_document_renew(la_document_t *document, apr_uint64_t used,
                                         apr_pool_t *scratch)
{
    (void)scratch;
    assert_int_equal(used, out.version);
    assert_int_equal(out.holds, 0);
    out.renewed += document != NULL;
    out.version += out.newer != NULL;
    out.keys = out.newer ? out.newer : out.keys;
    return out.renewal;
}

static apr_status_t fake_keyset_make(const char *name, la_document_t *document, const char *path,
                                     la_jwa_set_t allowed, apr_pool_t *pchild, la_keyset_t **keyset)
{
    assert_int_equal(document == NULL, path != NULL);
    out.scripted = !path;
    *keyset = NULL;
    return path ? la_keyset_make(name, document, path, allowed, pchild, keyset) : APR_SUCCESS;
}

static apr_uint64_t fake_keyset_epoch(la_keyset_t *keyset, apr_time_t now, apr_pool_t *scratch)
{
    return out.scripted ? out.version : la_keyset_epoch(keyset, now, scratch);
}

static int fake_keyset_hold(la_keyset_t *keyset, apr_time_t now, apr_pool_t *scratch,
                            la_keyset_hold_t *hold)
{
    int held = out.scripted ? out.keys != NULL : la_keyset_hold(keyset, now, scratch, hold);

    if (out.scripted) {
        *hold = (la_keyset_hold_t){.keys = out.keys, .version = out.version};
    }
    out.holds += held;
    return held;
}

static void fake_keyset_release(la_keyset_t *keyset, la_keyset_hold_t *hold)
{
    out.holds--;
    if (!out.scripted) {
        la_keyset_release(keyset, hold);
    }
}

#define la_document_attach fake_document_attach
#define la_document_tick   fake_document_tick
#define la_document_ensure fake_document_ensure
#define la_document_renew  fake_document_renew
#define la_keyset_epoch    fake_keyset_epoch
#define la_keyset_hold     fake_keyset_hold
#define la_keyset_release  fake_keyset_release
#define la_keyset_make     fake_keyset_make
#include "provider/jwt.c"

/* ---- keys and tokens ---- */

#define SECRET "0123456789abcdef0123456789abcdef"

static EVP_PKEY *known, *stranger, *const secret; /* NULL: signs with SECRET */
static const char *known_set, *stranger_set;      /* the first with the secret */

static const char *json(apr_pool_t *pool, const char *text)
{
    char *copy = apr_pstrdup(pool, text);

    for (char *p = copy; (p = strchr(p, '\'')) != NULL;) {
        *p = '"';
    }
    return copy;
}

static const char *encode(apr_pool_t *pool, const void *bytes, size_t len)
{
    char *text = apr_palloc(pool, len * 2 + 5);
    int used = EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);

    for (int i = 0; i < used; i++) {
        text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i] == '=' ? '\0' : text[i];
    }
    return text;
}

static const char *set_of(apr_pool_t *pool, EVP_PKEY *key, const char *kid, const char *more)
{
    unsigned char x[32];
    size_t len = sizeof(x);

    assert(EVP_PKEY_get_raw_public_key(key, x, &len) == 1);
    return json(pool,
                apr_psprintf(pool, "{'keys':[{'kty':'OKP','crv':'Ed25519','kid':'%s','x':'%s'}%s]}",
                             kid, encode(pool, x, len), more));
}

static void make_keys(apr_pool_t *pool)
{
    known = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    stranger = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    known_set = set_of(pool, known, "ed",
                       apr_psprintf(pool, ",{'kty':'oct','kid':'hs','k':'%s'}",
                                    encode(pool, SECRET, sizeof(SECRET) - 1)));
    stranger_set = set_of(pool, stranger, "new", "");
    write_text(pool, "keys.json", known_set);
    write_text(pool, "empty.json", "{\"keys\":[]}");
}

static const char *sign(apr_pool_t *pool, EVP_PKEY *key, const char *header, const char *claims)
{
    const char *input = apr_pstrcat(pool, encode(pool, json(pool, header), strlen(header)), ".",
                                    encode(pool, json(pool, claims), strlen(claims)), NULL);
    const unsigned char *bytes = (const unsigned char *)input;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char signature[EVP_MAX_MD_SIZE];
    size_t len = 64;
    unsigned int mac = 0;

    if (key) {
        assert(EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1);
        assert(EVP_DigestSign(context, signature, &len, bytes, strlen(input)) == 1);
    } else {
        HMAC(EVP_sha256(), SECRET, sizeof(SECRET) - 1, bytes, strlen(input), signature, &mac);
    }
    EVP_MD_CTX_free(context);
    return apr_pstrcat(pool, input, ".", encode(pool, signature, key ? len : mac), NULL);
}

/* ---- providers ---- */

#define MAX_LINES 4
#define FILE_LINE "JwksFile keys.json"
#define URI_LINE  "JwksUri https://idp.example.com/keys?a=b"

/* Sets one line, split at single spaces. */
static const char *set_line(la_provider_t *provider, apr_pool_t *pool, const char *line)
{
    const char *words[16];
    char *rest = apr_pstrdup(pool, line);
    int count = 0;

    while ((words[count] = strsep(&rest, " ")) != NULL) {
        count++;
    }
    return la_provider_set(provider, pool, words[0], count - 1, words + 1);
}

static const char *make(apr_pool_t *pool, const char *const *lines, la_provider_t **provider)
{
    const char *error = NULL;

    forget_log();
    *provider = la_provider_make(pool, "idp", &la_jwt_type);
    for (int i = 0; i < MAX_LINES && lines[i] && !error; i++) {
        error = set_line(*provider, pool, lines[i]);
    }
    return error ? error : la_provider_finish(*provider, pool);
}

/* One at work in a process. */
static la_provider_t *started(apr_pool_t *pool, const char *a, const char *b)
{
    const char *lines[MAX_LINES] = {a, b};
    la_provider_t *provider;

    out = (struct outside_t){0};
    assert_null(make(pool, lines, &provider));
    assert_int_equal(la_jwt_type.child_init(provider, pool), APR_SUCCESS);
    return provider;
}

/* ---- options ---- */

typedef struct option_case_t {
    const char *name;
    const char *error;   /* part of the message; NULL: accepted */
    const char *warning; /* part of the one line logged; NULL: none */
    const char *hint;    /* accepted: its end */
    const char *issuer;
    const char *lines[MAX_LINES];
} option_case_t;

#define PLAIN "Bearer token in the Authorization header"
#define FROM  "provide a valid OAuth2 Bearer token from "
#define OPTION(name, error, warning, hint, issuer, ...)                                            \
    {                                                                                              \
        name, error, warning, hint, issuer,                                                        \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define GOOD(name, ...)            OPTION("good: " name, NULL, NULL, PLAIN, NULL, __VA_ARGS__)
#define NAMES(name, end, url, ...) OPTION("names: " name, NULL, NULL, FROM end, url, __VA_ARGS__)
#define WARNS(name, text, ...)     OPTION("warns: " name, NULL, text, PLAIN, NULL, __VA_ARGS__)
#define BAD(name, error, ...)      OPTION("bad: " name, error, NULL, NULL, NULL, __VA_ARGS__)

static option_case_t option_cases[] = {
    GOOD("a URI", URI_LINE, "JwksToken s3cret", "JwksRefresh 10m", "Leeway 0"),
    GOOD("algorithms", FILE_LINE, "Algorithms ES256 EdDSA Ed25519 Ed448 RS256 HS512"),
    GOOD("plain http at home", "JwksUri http://127.0.0.1:8080/k"),
    NAMES("an issuer", ISS, ISS, "Issuer " ISS),
    NAMES("a plain http issuer at home", "http://[::1]", "http://[::1]", "Issuer http://[::1]"),
    NAMES("an issuer's URI", ISS, ISS, URI_LINE, "Issuer " ISS),
    NAMES("an issuer's file", "http://idp", "http://idp", FILE_LINE, "Issuer http://idp"),
    NAMES("issuer and another iss", ISS, ISS, "Issuer " ISS, "ExpectIssuer urn:x"),
    NAMES("an iss", ISS, ISS, FILE_LINE, "ExpectIssuer " ISS),
    NAMES("an iss that is no URL", "corp", NULL, FILE_LINE, "ExpectIssuer corp"),
    WARNS("Audience none", "LA0071: provider idp: Audience is none", FILE_LINE, "Audience NONE"),
    WARNS("plain http", "LA0006: provider idp: JwksUri is plain http", "JwksUri http://idp/k"),
    BAD("no source", "JwksUri, JwksFile or Issuer is missing", "ExpectIssuer " ISS),
    BAD("two sources", "two sources", FILE_LINE, URI_LINE),
    BAD("a file without keys", "empty.json", "JwksFile empty.json"),
    BAD("an empty iss", "ExpectIssuer: may not be empty", FILE_LINE, "ExpectIssuer "),
    BAD("algorithm none", "'none' is no algorithm", FILE_LINE, "Algorithms RS256 none"),
    BAD("no algorithm of any key", "keys.json", FILE_LINE, "Algorithms ES384"),
    BAD("audience none and another", "none stands alone", FILE_LINE, "Audience a None"),
    BAD("token with a control character", "control", URI_LINE, "JwksToken s3\ncret"),
    BAD("token for a file", "no use with JwksFile", FILE_LINE, "JwksToken s3cret"),
    BAD("refresh of a file", "no use with JwksFile", FILE_LINE, "JwksRefresh 10m"),
};

static void test_option(void **state)
{
    const option_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider;
    const char *error = make(pool, row->lines, &provider);

    if (row->error) {
        assert_non_null(error ? strstr(error, row->error) : NULL);
        assert_null(strstr(error, "cret"));
    } else {
        assert_null(error);
        assert_int_equal(log_lines, row->warning != NULL);
        assert_true(!row->warning || log_level == LA_LOG_WARNING);
        assert_non_null(strstr(logged, row->warning ? row->warning : ""));
        assert_non_null(strstr(la_jwt_type.hint(provider, pool), row->hint));
        assert_string_equal(apr_pstrcat(pool, "", la_jwt_type.issuer(provider), NULL),
                            row->issuer ? row->issuer : "");
    }
    apr_pool_destroy(pool);
}

/* ---- the verdict, with the keys of a file ---- */

#define NOW (APR_TIME_C(2000000000) * APR_USEC_PER_SEC)

typedef struct verdict_case_t {
    const char *name;
    la_verdict_e verdict;
    const char *line;       /* one more option */
    const char *header;     /* or the whole token, */
    const char *claims;     /* if this is NULL */
    const char *who;        /* accepted: the principal; else part of the reason */
    const char *attributes; /* accepted */
    EVP_PKEY *const *key;
} verdict_case_t;

#define ED       "{'alg':'EdDSA','kid':'ed'}"
#define TYP(typ) "{'alg':'EdDSA','kid':'ed','typ':" typ "}"
#define HS       "{'alg':'HS256','kid':'hs'}"
#define AUD      "'aud':'llama-stack',"
#define EXP      "'exp':2000000300,"
#define SUB      "'sub':'al'"
#define ROW(name, verdict, line, header, claims, who, attributes, key)                             \
    {                                                                                              \
        name, LA_VERDICT_##verdict, line, header, claims, who, attributes, key                     \
    }
#define YES(name, line, header, claims, key)                                                       \
    ROW("accepted: " name, ACCEPTED, line, header, "{" claims "}", "al", "{'roles':['al']}", key)
#define WHO(name, line, claims, who, attributes)                                                   \
    ROW("identity: " name, ACCEPTED, line, ED, "{" AUD EXP claims "}", who, attributes, &known)
#define NO(name, line, header, claims, why)                                                        \
    ROW("rejected: " name, REJECTED, line, header, "{" claims "}", why, NULL, &known)
#define NOT(name, line, claims)                                                                    \
    ROW("not mine: " name, NOT_MINE, line, ED, "{" claims "}", "iss", NULL, &stranger)
#define FORM(token, verdict) ROW("form: " token, verdict, NULL, token, NULL, "", NULL, NULL)

static verdict_case_t verdict_cases[] = {
    YES("EdDSA", NULL, ED, AUD EXP SUB, &known),
    YES("its new name", "Algorithms Ed25519", "{'alg':'Ed25519'}", AUD EXP SUB, &known),
    YES("HS256 where it is listed", "Algorithms HS256", HS, AUD EXP SUB, &secret),
    YES("an audience", "Audience a b", ED, "'aud':['c','b']," EXP SUB, &known),
    YES("the resource's audience", NULL, ED, "'aud':'https://api'," EXP SUB, &known),
    YES("no audience demanded", "Audience none", ED, EXP SUB, &known),
    YES("the iss", "Issuer " ISS, ED, AUD EXP SUB ",'iss':'" ISS "'", &known),
    YES("the typ", "RequireType at+jwt", TYP("'AT+JWT'"), AUD EXP SUB, &known),
    YES("within the leeway", NULL, ED, AUD SUB ",'exp':1999999941", &known),
    YES("without exp", "RequireExp off", ED, AUD SUB, &known),
    ROW("rejected: no HMAC", REJECTED, NULL, HS, "{" AUD EXP SUB "}", "", NULL, &secret),
    NO("no listed algorithm", "Algorithms RS256 HS256", ED, AUD EXP SUB, ""),
    NO("crit", NULL, "{'alg':'EdDSA','kid':'ed','crit':['x'],'x':1}", AUD EXP SUB, ""),
    NO("a kid that the file does not have", NULL, "{'alg':'EdDSA','kid':'x'}", AUD EXP SUB, ""),
    NO("no typ", "RequireType at+jwt", ED, AUD EXP SUB, "RequireType"),
    NO("another typ", "RequireType at+jwt", TYP("'JWT'"), AUD EXP SUB, "RequireType"),
    NO("no audience", NULL, ED, EXP SUB, ""),
    NO("another audience", NULL, ED, "'aud':'x'," EXP SUB, ""),
    NO("no iss where it is demanded", "ExpectIssuer b", ED, AUD EXP SUB, ""),
    NO("an iss of a wrong type", "ExpectIssuer b", ED, AUD EXP SUB ",'iss':['b']", ""),
    NO("no exp", NULL, ED, AUD SUB, ""),
    NO("past exp", NULL, ED, AUD SUB ",'exp':1999999940", ""),
    NO("past exp, no leeway", "Leeway 0", ED, AUD SUB ",'exp':2000000000", ""),
    NO("before nbf", NULL, ED, AUD EXP SUB ",'nbf':2000000061", ""),
    NO("no principal", NULL, ED, AUD EXP "'groups':'a'", "no claim names the principal"),
    NO("a principal of a wrong type", NULL, ED, AUD EXP "'sub':7,'username':'al'", "not a string"),
    NO("a principal with controls", NULL, ED, AUD EXP "'sub':'a\\nb'", "control"),
    ROW("rejected: forged", REJECTED, NULL, ED, "{" AUD EXP SUB "}", "", NULL, &stranger),
    FORM("opaque", NOT_MINE),
    FORM("a.b.c", NOT_MINE),
    FORM("eyJhIjoxfQ.e30.a.b.c", NOT_MINE),
    FORM("eyJhbGciOiJub25lIn0.e30.", REJECTED),
    NOT("another issuer's, whatever its signature", "Issuer " ISS, "'iss':'b'," AUD EXP SUB),
    NOT("another issuer's, expired", "ExpectIssuer " ISS, "'iss':'" ISS "/','exp':1"),
    WHO("every claim", NULL,
        SUB ",'username':'u v','groups':['g h',7],'team':'t','project':'p','tenant':'n',"
            "'namespace':'m n','scope':'a b','scp':['b','c']",
        "al",
        "{'roles':['al','u','v'],'teams':['g h','7','t'],'projects':['p'],'namespaces':['n','m'],"
        "'scopes':['a','b','c']}"),
    WHO("username", NULL, "'username':'u','client_id':'c'", "u", "{'roles':['u']}"),
    WHO("client_id", NULL, "'client_id':'c','x':null", "c", "{}"),
    WHO("PrincipalClaim", "PrincipalClaim x.y", "'sub':'s','x':{'y':'z'}", "z", "{'roles':['s']}"),
    WHO("Claim", "Claim r.x roles", SUB ",'r':{'x':['r']}", "al", "{'roles':['r']}"),
};

static void verify(apr_pool_t *pool, const la_provider_t *provider, const char *token,
                   la_result_t *result)
{
    la_call_t call = {.token = slice_of_text(token), .now = NOW, .resource = "https://api"};

    la_provider_verify(provider, &call, pool, result);
    assert_int_equal(out.holds, 0);
}

static void expect(apr_pool_t *pool, const la_result_t *result, const verdict_case_t *row)
{
    assert_int_equal(result->verdict, row->verdict);
    if (row->verdict == LA_VERDICT_ACCEPTED) {
        assert_string_equal(la_identity_principal(result->identity).data, row->who);
        assert_string_equal(la_identity_attributes_json(result->identity).data,
                            json(pool, row->attributes));
        return;
    }
    assert_null(result->identity);
    assert_string_equal(result->message, row->verdict ? "Invalid JWT token" : LA_MESSAGE_ERROR);
    assert_non_null(strstr(result->reason, row->who));
}

static void test_verdict(void **state)
{
    const verdict_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider = started(pool, FILE_LINE, row->line);
    const char *token = row->claims ? sign(pool, *row->key, row->header, row->claims) : row->header;
    la_result_t result;

    verify(pool, provider, token, &result);
    expect(pool, &result, row);
    assert_true(result.epoch && result.epoch == la_jwt_type.epoch(provider, NOW, pool));
    if (row->verdict == LA_VERDICT_ACCEPTED && strstr(row->claims, EXP)) {
        assert_true(result.expires == APR_TIME_C(2000000360) * APR_USEC_PER_SEC);
    }
    assert_int_equal(out.ensured + out.renewed, 0);
    apr_pool_destroy(pool);
}

/* ---- the verdict, with a document that changes ---- */

typedef struct flow_case_t {
    const char *name;
    int keys, newer; /* there are some before; after a renewal there are newer ones */
    la_document_e renewal;
    const char *kid;
    EVP_PKEY *const *key;
    la_verdict_e verdict; /* zero: unavailable */
    int renewed;
    const char *line; /* one more option */
} flow_case_t;

#define FLOW(name, keys, newer, renewal, kid, key, verdict, renewed)                               \
    {                                                                                              \
        "flow: " name, keys, newer, LA_DOCUMENT_##renewal, kid, key, LA_VERDICT_##verdict,         \
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
    FLOW("a new key all the same", 1, 1, BUSY, "new", &stranger, ACCEPTED, 1),
    {"flow: a key, but its algorithm is not listed", 1, 0, LA_DOCUMENT_CURRENT, "ed", &known,
     LA_VERDICT_REJECTED, 0, "Algorithms RS256"},
    FLOW("another issuer's", 1, 1, CURRENT, "new", &stranger, NOT_MINE, 0),
};

static void test_flow(void **state)
{
    const flow_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_provider_t *provider = started(pool, "Issuer " ISS, row->line);
    const char *header = apr_psprintf(pool, "{'alg':'EdDSA','kid':'%s'}", row->kid);
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
    for (size_t i = 0; i < ROWS(option_cases); i++) {
        add(option_cases[i].name, test_option, &option_cases[i]);
    }
    for (size_t i = 0; i < ROWS(verdict_cases); i++) {
        add(verdict_cases[i].name, test_verdict, &verdict_cases[i]);
    }
    for (size_t i = 0; i < ROWS(flow_cases); i++) {
        add(flow_cases[i].name, test_flow, &flow_cases[i]);
    }
    failed = finish("jwt_provider");
    EVP_PKEY_free(known);
    EVP_PKEY_free(stranger);
    return failed;
}

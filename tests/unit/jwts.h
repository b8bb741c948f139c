/* What the tests of jwt.c share: keys and tokens made here, a document and a key set that do as the
 * test says. JSON is written with ' for ".
 */
#ifndef LA_TEST_JWTS_H
#define LA_TEST_JWTS_H

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
    la_remote_doc_e renewal;
    int ensured, renewed, ticked, holds;
} out;

#define ISS "https://idp.example.com/a"

static inline la_remote_doc_t *fake_document_attach(const la_provider_t *provider,
                                                    const la_remote_doc_source_t *source,
                                                    apr_pool_t *pchild)
{
    (void)provider;
    assert_string_equal(source->what, "the key set");
    return apr_palloc(pchild, 1);
}

static inline void fake_document_tick(la_remote_doc_t *document, apr_pool_t *scratch)
{
    (void)scratch;
    out.ticked += document != NULL;
}

static inline la_remote_doc_e fake_document_ensure(la_remote_doc_t *document, apr_pool_t *scratch)
{
    (void)scratch;
    assert_int_equal(out.holds, 0);
    out.ensured += document != NULL;
    return LA_REMOTE_DOC_CURRENT;
}

/* Nobody waits for it with the old keys in hand. */
static inline la_remote_doc_e fake_document_renew(la_remote_doc_t *document, apr_uint64_t used,
                                                  apr_uint64_t what, apr_pool_t *scratch)
{
    (void)scratch;
    assert_true(what);
    assert_int_equal(used, out.version);
    assert_int_equal(out.holds, 0);
    out.renewed += document != NULL;
    out.version += out.newer != NULL;
    out.keys = out.newer ? out.newer : out.keys;
    return out.renewal;
}

static inline int fake_document_retry_s(const la_remote_doc_t *document)
{
    assert_non_null(document);
    return 7;
}

static inline la_keyset_t *fake_keyset_make(const char *provider, la_remote_doc_t *document,
                                            la_jwa_set_t allowed, apr_pool_t *pool)
{
    (void)provider;
    (void)allowed;
    (void)pool;
    assert_non_null(document);
    out.scripted = 1;
    return NULL;
}

static inline apr_uint64_t fake_keyset_epoch(la_keyset_t *keyset, apr_time_t now)
{
    return out.scripted ? out.version : la_keyset_epoch(keyset, now);
}

static inline int fake_keyset_hold(la_keyset_t *keyset, apr_time_t now, apr_pool_t *scratch,
                                   la_keyset_hold_t *hold)
{
    int held = out.scripted ? out.keys != NULL : la_keyset_hold(keyset, now, scratch, hold);

    if (out.scripted) {
        *hold = (la_keyset_hold_t){.keys = out.keys, .version = out.version};
    }
    out.holds += held;
    return held;
}

static inline void fake_keyset_release(la_keyset_t *keyset, const la_keyset_hold_t *hold)
{
    out.holds--;
    if (!out.scripted) {
        la_keyset_release(keyset, hold);
    }
}

#define la_remote_doc_attach  fake_document_attach
#define la_remote_doc_tick    fake_document_tick
#define la_remote_doc_ensure  fake_document_ensure
#define la_remote_doc_renew   fake_document_renew
#define la_remote_doc_retry_s fake_document_retry_s
#define la_keyset_epoch       fake_keyset_epoch
#define la_keyset_hold        fake_keyset_hold
#define la_keyset_release     fake_keyset_release
#define la_keyset_make        fake_keyset_make
#include "provider/jwt.c"

/* ---- keys and tokens ---- */

#define SECRET "0123456789abcdef0123456789abcdef"

static EVP_PKEY *known, *stranger, *const secret; /* NULL: signs with SECRET */
static const char *known_set, *stranger_set;      /* the first with the secret */

static inline const char *json(apr_pool_t *pool, const char *text)
{
    char *copy = apr_pstrdup(pool, text);

    for (char *p = copy; (p = strchr(p, '\'')) != NULL;) {
        *p = '"';
    }
    return copy;
}

static inline const char *encode(apr_pool_t *pool, const void *bytes, size_t len)
{
    char *text = apr_palloc(pool, len * 2 + 5);
    int used = EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);

    for (int i = 0; i < used; i++) {
        text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i] == '=' ? '\0' : text[i];
    }
    return text;
}

static inline const char *set_of(apr_pool_t *pool, EVP_PKEY *key, const char *kid, const char *more)
{
    unsigned char x[32];
    size_t len = sizeof(x);

    assert(EVP_PKEY_get_raw_public_key(key, x, &len) == 1);
    return json(pool,
                apr_psprintf(pool, "{'keys':[{'kty':'OKP','crv':'Ed25519','kid':'%s','x':'%s'}%s]}",
                             kid, encode(pool, x, len), more));
}

static inline void make_keys(apr_pool_t *pool)
{
    known = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    stranger = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    known_set = set_of(pool, known, "ed",
                       apr_psprintf(pool, ",{'kty':'oct','kid':'hs','k':'%s'}",
                                    encode(pool, SECRET, sizeof(SECRET) - 1)));
    stranger_set = set_of(pool, stranger, "new", "");
    write_text(pool, "keys.json", known_set);
    write_text(pool, "good.json", stranger_set);
    write_text(pool, "empty.json", "{\"keys\":[]}");
}

static inline const char *sign(apr_pool_t *pool, EVP_PKEY *key, const char *header,
                               const char *claims)
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
static inline const char *set_line(la_provider_t *provider, apr_pool_t *pool, const char *line)
{
    const char *words[16];
    char *rest = apr_pstrdup(pool, line);
    int count = 0;

    while ((words[count] = strsep(&rest, " ")) != NULL) {
        count++;
    }
    return la_provider_set(provider, pool, words[0], count - 1, words + 1);
}

static inline const char *make(apr_pool_t *pool, const char *const *lines, la_provider_t **provider)
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
static inline la_provider_t *started(apr_pool_t *pool, const char *a, const char *b)
{
    const char *lines[MAX_LINES] = {a, b};
    la_provider_t *provider;

    out = (struct outside_t){0};
    assert_null(make(pool, lines, &provider));
    assert_int_equal(la_provider_child_init(provider, pool, NULL, NULL), APR_SUCCESS);
    return provider;
}

/* ---- verdicts ---- */

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

/* LlamaAuthResource of the place that is asked for; NULL: it has none. */
static const char *resource;

static inline void verify(apr_pool_t *pool, const la_provider_t *provider, const char *token,
                          la_result_t *result)
{
    la_call_t call = {.token = slice_of_text(token),
                      .digest = (const unsigned char *)"0123456789abcdef0123456789abcdef",
                      .now = NOW,
                      .resource = resource};

    la_provider_verify(provider, &call, pool, result);
    assert_int_equal(out.holds, 0);
}

static inline void expect(apr_pool_t *pool, const la_result_t *result, const verdict_case_t *row)
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

#endif

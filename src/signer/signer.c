/* Reads the lines of a <LlamaAuthSigner> section, and keeps its keys. Lines are read while httpd
 * reads its configuration, in the parent, which may read files that its children may not. */
#include "signer/signer.h"

#include "access/policy.h"
#include "base/json.h"
#include "base/units.h"
#include "io/server.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <openssl/crypto.h>

#include <stdint.h>
#include <string.h>
#include <strings.h>

#define LIFETIME_DEFAULT_US (60 * APR_USEC_PER_SEC)
#define LIFETIME_MIN_US     (10 * APR_USEC_PER_SEC)
#define LIFETIME_MAX_US     (3600 * APR_USEC_PER_SEC)

#define KEY_FILE_LIMIT_BYTES ((apr_size_t)64 * 1024)

#define FILE_PREFIX "file:"
#define ONE_PREFIX  "one:"

static la_signer_key_t *key_at(const la_signer_t *signer, int i)
{
    return &APR_ARRAY_IDX(signer->keys, i, la_signer_key_t);
}

/* ---- Key ---- */

/* For reload.h. Overwrites the text, which is in `scratch`: a slice is const, its bytes are not. */
static const char *parse_key(void *context, la_slice_t text, apr_pool_t *pool, apr_pool_t *scratch,
                             const void **value)
{
    const la_signing_key_t *key;
    const char *error = la_signing_key_read(pool, text, &key);

    (void)context;
    (void)scratch;
    OPENSSL_cleanse((void *)(uintptr_t)text.data, text.len);
    *value = key;
    return error;
}

static int has_path(const la_signer_t *signer, const char *path)
{
    int i = 0;

    while (i < signer->keys->nelts && strcmp(key_at(signer, i)->path, path) != 0) {
        i++;
    }
    return i < signer->keys->nelts;
}

static const char *add_key(apr_pool_t *pool, la_signer_t *signer, const char *word)
{
    la_signer_key_t key;
    const char *error;

    if (strncmp(word, FILE_PREFIX, strlen(FILE_PREFIX)) != 0 || !word[strlen(FILE_PREFIX)]) {
        return "Key: takes files of private keys, as in Key file:conf/signer.pem"; /* no secret */
    }
    key.path = la_host()->path(pool, word + strlen(FILE_PREFIX));
    if (!key.path) {
        return apr_psprintf(pool, "Key: '%s' is no path", word);
    }
    if (signer->keys->nelts == LA_SIGNER_KEYS_MAX) {
        return apr_psprintf(pool, "Key: a signer has at most %d keys", LA_SIGNER_KEYS_MAX);
    }
    if (has_path(signer, key.path)) {
        return apr_psprintf(pool, "Key: %s is named twice", key.path);
    }
    key.versions = la_reload_make(pool, key.path, KEY_FILE_LIMIT_BYTES, parse_key, NULL);
    error = la_reload_read(key.versions, pool);
    if (error) {
        return apr_psprintf(pool, "Key: %s", error);
    }
    APR_ARRAY_PUSH(signer->keys, la_signer_key_t) = key;
    return NULL;
}

static const char *read_keys(apr_pool_t *pool, la_signer_t *signer, int count,
                             const char *const *words)
{
    const char *error = NULL;

    for (int i = 0; i < count && !error; i++) {
        error = add_key(pool, signer, words[i]);
    }
    return error;
}

/* ---- Claim ---- */

/* U+017F, which readers that ignore case take for `s`. */
#define LONG_S "\xC5\xBF"

/* Whether a reader that matches names without their case takes `claim` for `name`, which is in
 * small letters. */
static int reads_as(la_slice_t claim, const char *name)
{
    apr_size_t i = 0;

    while (i < claim.len && *name) {
        int is_long_s = claim.len - i >= 2 && memcmp(claim.data + i, LONG_S, 2) == 0;

        if ((is_long_s ? 's' : apr_tolower(claim.data[i])) != *name++) {
            return 0;
        }
        i += is_long_s ? 2 : 1;
    }
    return i == claim.len && !*name;
}

int la_signer_reserves(la_slice_t claim)
{
    static const char *const names[] = {"iss", "sub",       "aud",   "exp", "nbf", "iat",
                                        "jti", "client_id", "scope", "cnf", "act", NULL};
    int i = 0;

    while (names[i] && !reads_as(claim, names[i])) {
        i++;
    }
    return names[i] != NULL;
}

static const char *read_claim(apr_pool_t *pool, la_signer_t *signer, int count,
                              const char *const *words)
{
    int is_one = strncasecmp(words[0], ONE_PREFIX, strlen(ONE_PREFIX)) == 0;
    const char *category = words[0] + (is_one ? strlen(ONE_PREFIX) : 0);

    (void)count;
    for (int i = 0; i < 2; i++) {
        if (!*category || !*words[i] || !la_policy_is_text(words[i])) {
            return "Claim: takes a category and a claim's name in UTF-8, as in Claim roles roles";
        }
    }
    if (la_signer_reserves(la_slice_of(words[1]))) {
        return apr_psprintf(pool,
                            "Claim: %s is set by the module itself; take another name, as in "
                            "Claim roles roles",
                            words[1]);
    }
    for (int i = 0; i < signer->claims->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(signer->claims, i, la_signer_claim_t).name, words[1]) == 0) {
            return apr_psprintf(pool, "Claim: two lines make the claim %s", words[1]);
        }
    }
    APR_ARRAY_PUSH(signer->claims, la_signer_claim_t) =
        (la_signer_claim_t){.category = la_slice_of(apr_pstrdup(pool, category)),
                            .name = apr_pstrdup(pool, words[1]),
                            .is_one = is_one};
    signer->sends_one |= is_one;
    return NULL;
}

/* ---- Issuer, Audience, Lifetime ---- */

/* Whether a text can be a claim: not empty, in UTF-8, without control characters. */
static int is_claim_text(const char *text)
{
    const char *p;

    for (p = text; *p && !apr_iscntrl(*p); p++) {}
    return *text && !*p && la_policy_is_text(text);
}

static const char *read_issuer(apr_pool_t *pool, la_signer_t *signer, int count,
                               const char *const *words)
{
    (void)count;
    signer->issuer = apr_pstrdup(pool, words[0]);
    return is_claim_text(words[0])
               ? NULL
               : "Issuer: is no text in UTF-8, as in Issuer https://api.example.com";
}

static const char *read_audience(apr_pool_t *pool, la_signer_t *signer, int count,
                                 const char *const *words)
{
    (void)count;
    signer->audience = apr_pstrdup(pool, words[0]);
    return is_claim_text(words[0]) ? NULL : "Audience: is no text in UTF-8, as in Audience ogx";
}

static const char *read_lifetime(apr_pool_t *pool, la_signer_t *signer, int count,
                                 const char *const *words)
{
    (void)count;
    return la_units_duration(words[0], &signer->lifetime_us) &&
                   signer->lifetime_us >= LIFETIME_MIN_US && signer->lifetime_us <= LIFETIME_MAX_US
               ? NULL
               : apr_psprintf(pool, "Lifetime: '%s' is no time from 10s to 1h, as in Lifetime 60s",
                              words[0]);
}

/* ---- the section ---- */

static const struct {
    const char *name;
    const char *(*read)(apr_pool_t *pool, la_signer_t *signer, int count, const char *const *words);
    int min_words;
    int max_words;
    int repeatable;
    const char *takes; /* and an example */
} options[] = {
    {"Key", read_keys, 1, LA_SIGNER_KEYS_MAX, 1,
     "one to eight files of private keys, as in Key file:conf/signer.pem"},
    {"Issuer", read_issuer, 1, 1, 0, "one argument, as in Issuer https://api.example.com"},
    {"Audience", read_audience, 1, 1, 0, "one argument, as in Audience ogx"},
    {"Lifetime", read_lifetime, 1, 1, 0, "one argument, as in Lifetime 60s"},
    {"Claim", read_claim, 2, 2, 1, "a category and a claim's name, as in Claim roles roles"},
};

#define OPTIONS (sizeof(options) / sizeof(options[0]))

const char *la_signer_check_name(apr_pool_t *pool, const char *name)
{
    const char *p = name;

    while (apr_isalnum(*p) || *p == '_' || *p == '.' || *p == '-') {
        p++;
    }
    return p != name && !*p ? NULL
                            : apr_psprintf(pool,
                                           "'%s' is no name of a signer: letters, digits, '_', "
                                           "'.' and '-' make one",
                                           name);
}

la_signer_t *la_signer_make(apr_pool_t *pool, const char *name, uint32_t index)
{
    la_signer_t *signer = apr_pcalloc(pool, sizeof(*signer));

    signer->name = apr_pstrdup(pool, name);
    signer->index = index;
    signer->lifetime_us = LIFETIME_DEFAULT_US;
    signer->keys = apr_array_make(pool, 2, sizeof(la_signer_key_t));
    signer->claims = apr_array_make(pool, 4, sizeof(la_signer_claim_t));
    return signer;
}

const char *la_signer_option(apr_pool_t *pool, la_signer_t *signer, const char *option, int count,
                             const char *const *words)
{
    unsigned i = 0;

    while (i < OPTIONS && strcasecmp(option, options[i].name) != 0) {
        i++;
    }
    if (i == OPTIONS) {
        return apr_psprintf(pool,
                            "%s: is no option of a signer; there are Key, Issuer, Audience, "
                            "Lifetime, Claim",
                            option);
    }
    if (count < options[i].min_words || count > options[i].max_words) {
        return apr_psprintf(pool, "%s: takes %s", options[i].name, options[i].takes);
    }
    if (!options[i].repeatable && signer->given & 1u << i) {
        return apr_psprintf(pool, "%s: stands twice", options[i].name);
    }
    signer->given |= 1u << i;
    return options[i].read(pool, signer, count, words);
}

const char *la_signer_check(apr_pool_t *pool, la_signer_t *signer)
{
    la_json_writer_t writer;

    if (signer->keys->nelts == 0) {
        return "has no Key, as in Key file:conf/signer.pem";
    }
    if (!signer->issuer) {
        return "has no Issuer, as in Issuer https://api.example.com";
    }
    if (!signer->audience) {
        return "has no Audience, as in Audience ogx";
    }
    la_json_writer_init(&writer, pool);
    la_json_write_raw(&writer, LA_SLICE("{\"iss\":"));
    la_json_write_string(&writer, la_slice_of(signer->issuer));
    la_json_write_raw(&writer, LA_SLICE(",\"aud\":"));
    la_json_write_string(&writer, la_slice_of(signer->audience));
    signer->beginning = (la_slice_t){writer.data, writer.len};
    return NULL;
}

/* ---- serving ---- */

void la_signer_child_init(const la_signer_t *signer, apr_pool_t *pool)
{
    for (int i = 0; i < signer->keys->nelts; i++) {
        const la_signer_key_t *key = key_at(signer, i);
        const char *error = la_reload_may_be_hidden(key->versions, pool);

        if (error) {
            la_log(LA_LOG_DEBUG,
                   LA_LOGNO(0370) "signer %s: %s: %s: until this process can read it, a change of "
                                  "this key is seen at the next restart",
                   signer->name, key->path, error);
        }
    }
}

const la_signing_key_t *la_signer_hold(const la_signer_t *signer, apr_time_t now, unsigned *held)
{
    la_reload_t *versions = key_at(signer, 0)->versions;

    la_reload_look(versions, now);
    return la_reload_hold(versions, held);
}

void la_signer_release(const la_signer_t *signer, unsigned held)
{
    la_reload_release(key_at(signer, 0)->versions, held);
}

apr_array_header_t *la_signer_report(apr_pool_t *pool, const la_signer_t *signer, apr_time_t now)
{
    apr_array_header_t *reports =
        apr_array_make(pool, signer->keys->nelts, sizeof(la_signer_report_t));

    for (int i = 0; i < signer->keys->nelts; i++) {
        la_reload_t *versions = key_at(signer, i)->versions;
        const la_signing_key_t *key;
        unsigned held;

        la_reload_look_now(versions, now);
        key = la_reload_hold(versions, &held);
        APR_ARRAY_PUSH(reports, la_signer_report_t) =
            (la_signer_report_t){.kid = apr_pstrdup(pool, key->kid),
                                 .algorithm = apr_pstrdup(pool, key->algorithm),
                                 .read_at = la_reload_read_at(versions, held)};
        la_reload_release(versions, held);
    }
    return reports;
}

static void write_jwk(la_json_writer_t *writer, const la_signing_key_t *key,
                      apr_array_header_t *kids)
{
    for (int i = 0; i < kids->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(kids, i, const char *), key->kid) == 0) {
            return;
        }
    }
    if (kids->nelts > 0) {
        la_json_write_raw(writer, LA_SLICE(","));
    }
    la_json_write_raw(writer, la_slice_of(key->jwk));
    APR_ARRAY_PUSH(kids, const char *) = apr_pstrdup(writer->pool, key->kid);
}

/* Another process may have signed by a new key already. */
static void write_key(la_json_writer_t *writer, const la_signer_key_t *key, apr_time_t now,
                      apr_array_header_t *kids)
{
    unsigned held;

    la_reload_look_now(key->versions, now);
    write_jwk(writer, la_reload_hold(key->versions, &held), kids);
    la_reload_release(key->versions, held);
}

la_slice_t la_signer_jwks(apr_pool_t *pool, const apr_array_header_t *signers, apr_time_t now)
{
    apr_array_header_t *kids = apr_array_make(pool, 4, sizeof(const char *));
    la_json_writer_t writer;

    la_json_writer_init(&writer, pool);
    la_json_write_raw(&writer, LA_SLICE("{\"keys\":["));
    for (int i = 0; i < signers->nelts; i++) {
        const la_signer_t *signer = APR_ARRAY_IDX(signers, i, const la_signer_t *);

        for (int j = 0; j < signer->keys->nelts; j++) {
            write_key(&writer, key_at(signer, j), now, kids);
        }
    }
    la_json_write_raw(&writer, LA_SLICE("]}"));
    return (la_slice_t){writer.data, writer.len};
}

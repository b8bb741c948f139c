/* Reads JWK sets. Owns what a key may be used for, and the secrets of oct keys; pubkey.c checks the
 * numbers of public keys. Called while the configuration is read, and once per version by the
 * thread that takes a new set. A set comes from outside, so the work for one is limited. What
 * json-c held of an oct key's text is freed, but not overwritten. */
#include "jose/jwk.h"

#include "base/base64url.h"
#include "base/json.h"
#include "jose/pubkey.h"

#include <apr_strings.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include <stdint.h>
#include <string.h>

typedef struct draft_t {
    apr_pool_t *pool;    /* the set's */
    apr_pool_t *scratch; /* cleared after the key */
    const la_json_t *json;
    la_jwa_set_t allowed;
    unsigned int *effort; /* what is left of LA_PUBKEY_EFFORT */
    int other_use;        /* it says that it is for something else than verifying */
    la_jwk_t key;
} draft_t;

/* ---- members ---- */

/* text: data NULL if the member is absent, or null. Returns NULL, or why it is not a string. */
static const char *optional_text(const draft_t *draft, const char *name, la_slice_t *text)
{
    const la_json_t *member;

    *text = (la_slice_t){NULL, 0};
    if (la_json_member(draft->json, name, &member) && member && !la_json_string(member, text)) {
        return apr_pstrcat(draft->pool, name, " is not a string", NULL);
    }
    return NULL;
}

static const char *required_text(const draft_t *draft, const char *name, la_slice_t *text)
{
    const char *reason = optional_text(draft, name, text);

    if (!reason && !text->data) {
        reason = apr_pstrcat(draft->pool, "no ", name, NULL);
    }
    return reason;
}

/* bytes: in the scratch pool. */
static const char *required_bytes(const draft_t *draft, const char *name, la_slice_t *bytes)
{
    la_slice_t text;
    const char *reason = required_text(draft, name, &text);

    *bytes = (la_slice_t){NULL, 0};
    if (!reason && !la_base64url_decode(draft->scratch, text, bytes)) {
        reason = apr_pstrcat(draft->pool, name, " is not base64url", NULL);
    }
    return reason;
}

static const char *unexpected(const draft_t *draft, const char *name, la_slice_t came,
                              const char *expected)
{
    return apr_psprintf(draft->pool, "%s is %s, expected one of: %s", name,
                        la_json_quoted(draft->pool, came), expected);
}

/* ---- what a key is for ---- */

static const char *check_operations(draft_t *draft, const la_json_t *operations)
{
    int verifies = 0;

    if (la_json_type(operations) != LA_JSON_ARRAY) {
        return "key_ops is not a list";
    }
    for (apr_size_t i = 0; i < la_json_count(operations); i++) {
        const la_json_t *item = la_json_item(operations, i);
        la_slice_t operation;

        if (item && !la_json_string(item, &operation)) {
            return "key_ops holds something that is not a string";
        }
        verifies |= item && la_slice_is(operation, "verify");
    }
    draft->other_use = !verifies;
    return verifies ? NULL : "key_ops is without verify";
}

static const char *check_purpose(draft_t *draft)
{
    const la_json_t *operations;
    la_slice_t use;
    const char *reason = optional_text(draft, "use", &use);

    if (!reason && use.data && !la_slice_is(use, "sig")) {
        draft->other_use = 1;
        reason = unexpected(draft, "use", use, "sig");
    }
    if (!reason && la_json_member(draft->json, "key_ops", &operations) && operations) {
        reason = check_operations(draft, operations);
    }
    return reason;
}

static const char *take_algorithm(draft_t *draft)
{
    la_slice_t alg;
    const char *reason = optional_text(draft, "alg", &alg);

    draft->key.algorithms = LA_JWA_ALL;
    if (!reason && alg.data) {
        draft->key.algorithms = la_jwa_named(alg);
        reason = draft->key.algorithms
                     ? NULL
                     : unexpected(draft, "alg", alg, la_jwa_names(draft->pool, LA_JWA_ALL));
    }
    return reason;
}

/* Leaves the algorithms that `alg`, the key's type and the configuration have in common. */
static const char *narrow(draft_t *draft, la_jwa_set_t type)
{
    la_jwa_set_t own = draft->key.algorithms & type;

    if (!own) {
        return "alg does not fit the type of key";
    }
    draft->key.algorithms = own & draft->allowed;
    return draft->key.algorithms
               ? NULL
               : apr_psprintf(draft->pool, "it is for %s, expected one of: %s (Algorithms)",
                              la_jwa_names(draft->pool, own),
                              la_jwa_names(draft->pool, draft->allowed));
}

/* ---- RSA, EC, OKP (RFC 7518 section 6, RFC 8037 section 2) ---- */

static const char *read_rsa(draft_t *draft)
{
    la_slice_t modulus;
    la_slice_t exponent;
    const char *reason = narrow(draft, LA_JWA_RSA);

    reason = reason ? reason : required_bytes(draft, "n", &modulus);
    reason = reason ? reason : required_bytes(draft, "e", &exponent);
    return reason ? reason
                  : la_pubkey_rsa(draft->pool, modulus, exponent, draft->effort, &draft->key.key);
}

/* Finds the curve that `crv` names, one of `known`, and leaves the curve's algorithms. */
static const char *take_curve(draft_t *draft, la_jwa_set_t family, const char *known,
                              const la_curve_t **curve)
{
    la_slice_t crv;
    const char *reason = required_text(draft, "crv", &crv);

    *curve = reason ? NULL : la_curve_named(crv);
    if (*curve && (*curve)->algorithm & family) {
        return narrow(draft, (*curve)->algorithm);
    }
    return reason ? reason : unexpected(draft, "crv", crv, known);
}

static const char *read_ec(draft_t *draft)
{
    const la_curve_t *curve;
    la_slice_t x;
    la_slice_t y;
    const char *reason = take_curve(draft, LA_JWA_EC, "P-256 P-384 P-521", &curve);

    reason = reason ? reason : required_bytes(draft, "x", &x);
    reason = reason ? reason : required_bytes(draft, "y", &y);
    return reason ? reason : la_pubkey_ec(draft->pool, curve, x, y, &draft->key.key);
}

static const char *read_okp(draft_t *draft)
{
    const la_curve_t *curve;
    la_slice_t x;
    const char *reason = take_curve(draft, LA_JWA_OKP, "Ed25519 Ed448", &curve);

    reason = reason ? reason : required_bytes(draft, "x", &x);
    return reason ? reason : la_pubkey_okp(draft->pool, curve, x, &draft->key.key);
}

/* ---- oct (RFC 7518 section 6.4) ---- */

static apr_status_t cleanse(void *data)
{
    const la_slice_t *secret = data;

    /* A slice is const, its bytes are a pool's. */
    OPENSSL_cleanse((void *)(uintptr_t)secret->data, secret->len);
    return APR_SUCCESS;
}

/* Overwrites a secret in `pool` when the pool is destroyed. */
static void cleanse_with(apr_pool_t *pool, la_slice_t secret)
{
    apr_pool_cleanup_register(pool, apr_pmemdup(pool, &secret, sizeof(secret)), cleanse,
                              apr_pool_cleanup_null);
}

/* The algorithms that a secret is long enough for (RFC 7518 section 3.2). */
static la_jwa_set_t hmac_for(apr_size_t bytes)
{
    return (bytes >= 32 ? LA_JWA_HS256 : 0) | (bytes >= 48 ? LA_JWA_HS384 : 0) |
           (bytes >= 64 ? LA_JWA_HS512 : 0);
}

static const char *read_oct(draft_t *draft)
{
    la_slice_t secret;
    const char *reason = narrow(draft, LA_JWA_HMAC);

    reason = reason ? reason : required_bytes(draft, "k", &secret);
    if (reason) {
        return reason;
    }
    cleanse_with(draft->scratch, secret);
    draft->key.algorithms &= hmac_for(secret.len);
    if (!draft->key.algorithms) {
        return apr_psprintf(draft->pool,
                            "oct key of %" APR_SIZE_T_FMT
                            " bits, expected as many as the digest of its algorithm",
                            secret.len * 8);
    }
    draft->key.secret.data = apr_pmemdup(draft->pool, secret.data, secret.len);
    draft->key.secret.len = secret.len;
    cleanse_with(draft->pool, draft->key.secret);
    return NULL;
}

/* ---- the set ---- */

static const char *read_by_type(draft_t *draft)
{
    la_slice_t kty;
    const char *reason = required_text(draft, "kty", &kty);

    if (reason) {
        return reason;
    }
    if (la_slice_is(kty, "RSA")) {
        return read_rsa(draft);
    }
    if (la_slice_is(kty, "EC")) {
        return read_ec(draft);
    }
    if (la_slice_is(kty, "OKP")) {
        return read_okp(draft);
    }
    return la_slice_is(kty, "oct") ? read_oct(draft)
                                   : unexpected(draft, "kty", kty, "RSA EC OKP oct");
}

/* Returns NULL, or why the key is skipped. */
static const char *read_key(draft_t *draft)
{
    la_slice_t kid;
    const char *reason;

    if (la_json_type(draft->json) != LA_JSON_OBJECT) {
        return "not an object";
    }
    reason = optional_text(draft, "kid", &kid);
    if (!reason && kid.data) {
        draft->key.kid.data = apr_pstrmemdup(draft->pool, kid.data, kid.len);
        draft->key.kid.len = kid.len;
    }
    reason = reason ? reason : check_purpose(draft);
    reason = reason ? reason : take_algorithm(draft);
    return reason ? reason : read_by_type(draft);
}

static const char *make_verifiers(apr_pool_t *pool, la_jwk_t *key)
{
    for (int bit = 0; key->key && bit < LA_JWA_ASYMMETRIC; bit++) {
        la_jwa_set_t algorithm = (la_jwa_set_t)1 << bit;

        if (key->algorithms & algorithm) {
            key->verifiers[bit] = la_verifier_make(pool, key->key, algorithm);
            if (!key->verifiers[bit]) {
                return "libcrypto cannot verify with it";
            }
        }
    }
    return NULL;
}

const la_verifier_t *la_jwk_verifier(const la_jwk_t *key, la_jwa_set_t algorithm)
{
    for (int bit = 0; bit < LA_JWA_ASYMMETRIC; bit++) {
        if (algorithm == (la_jwa_set_t)1 << bit) {
            return key->verifiers[bit];
        }
    }
    return NULL;
}

const char *la_jwk_parse(apr_pool_t *pool, const la_json_t *json, la_jwa_set_t allowed,
                         unsigned int effort, la_jwk_t *key)
{
    draft_t draft = {
        .pool = pool, .scratch = pool, .json = json, .allowed = allowed, .effort = &effort};
    const char *reason = read_key(&draft);

    reason = reason ? reason : make_verifiers(pool, &draft.key);
    ERR_clear_error();
    *key = draft.key;
    return reason;
}

const char *la_jwk_check(const la_jwk_t *key)
{
    const char *reason =
        key->key && EVP_PKEY_is_a(key->key, "RSA") == 1 ? la_pubkey_rsa_check(key->key) : NULL;

    ERR_clear_error();
    return reason;
}

/* Keeps or skips one key of the list. Returns NULL, or why the text cannot be read any further. */
static const char *take_key(draft_t *draft, la_json_list_t *list, apr_size_t index, la_jwk_t *keys,
                            la_jwks_t *set)
{
    const char *error = la_json_list_next(list, draft->scratch, &draft->json);
    const char *reason;

    if (error) {
        return apr_psprintf(draft->pool, "keys[%" APR_SIZE_T_FMT "]: not JSON: %s", index, error);
    }
    if (!draft->json) {
        return NULL; /* null */
    }
    reason = read_key(draft);
    reason = reason ? reason : la_jwk_check(&draft->key);
    reason = reason ? reason : make_verifiers(draft->pool, &draft->key);
    if (!reason) {
        keys[set->count++] = draft->key;
    } else {
        if (draft->key.kid.data) {
            APR_ARRAY_PUSH(set->skipped_kids, la_slice_t) = draft->key.kid;
        }
        APR_ARRAY_PUSH(set->skipped_other_use, int) = draft->other_use;
        APR_ARRAY_PUSH(set->skipped, const char *) =
            apr_psprintf(draft->pool, "keys[%" APR_SIZE_T_FMT "]%s: %s", index,
                         draft->key.kid.data
                             ? apr_pstrcat(draft->pool, " (kid ",
                                           la_json_quoted(draft->pool, draft->key.kid), ")", NULL)
                             : "",
                         reason);
    }
    return NULL;
}

static const char *read_keys(apr_pool_t *pool, apr_pool_t *scratch, la_json_list_t *list,
                             la_jwa_set_t allowed, la_jwks_t *set)
{
    la_jwk_t *keys = apr_pcalloc(pool, list->count * sizeof(*keys));
    unsigned int effort = LA_PUBKEY_EFFORT;
    const char *error = NULL;
    apr_pool_t *key_pool;

    apr_pool_create(&key_pool, scratch);
    set->keys = keys;
    set->skipped = apr_array_make(pool, 0, sizeof(const char *));
    set->skipped_other_use = apr_array_make(pool, 0, sizeof(int));
    set->skipped_kids = apr_array_make(pool, 0, sizeof(la_slice_t));
    for (apr_size_t i = 0; i < list->count && !error; i++) {
        draft_t draft = {.pool = pool, .scratch = key_pool, .allowed = allowed, .effort = &effort};

        error = take_key(&draft, list, i, keys, set);
        apr_pool_clear(key_pool);
    }
    return error;
}

/* The first reason stands for all. */
static const char *why_unusable(apr_pool_t *pool, const la_jwks_t *set)
{
    return set->skipped->nelts == 0
               ? "no keys in the set"
               : apr_pstrcat(pool, "no usable key in the set: ",
                             APR_ARRAY_IDX(set->skipped, 0, const char *), NULL);
}

/* Returns NULL, or what is wrong, in `pool`. */
static const char *parse(apr_pool_t *pool, apr_pool_t *scratch, la_slice_t text,
                         la_jwa_set_t allowed, la_jwks_t *set)
{
    const la_json_t *document;
    const la_json_t *member;
    la_json_list_t list;
    const char *error = la_json_parse_list(scratch, text, "keys", &document, &list);

    if (error) {
        return apr_pstrcat(pool, "not JSON: ", error, NULL);
    }
    if (la_json_type(document) != LA_JSON_OBJECT) {
        return "not a JSON object";
    }
    if (!la_json_member(document, "keys", &member) || la_json_type(member) != LA_JSON_ARRAY) {
        return "no list named keys";
    }
    if (list.count > LA_JWK_MAX_KEYS) {
        return apr_psprintf(pool, "more than %d keys", LA_JWK_MAX_KEYS);
    }
    error = read_keys(pool, scratch, &list, allowed, set);
    if (error) {
        return error;
    }
    return set->count > 0 ? NULL : why_unusable(pool, set);
}

const char *la_jwks_parse(apr_pool_t *pool, la_slice_t text, la_jwa_set_t allowed,
                          const la_jwks_t **set)
{
    la_jwks_t *made = apr_pcalloc(pool, sizeof(*made));
    apr_pool_t *scratch;
    const char *reason;

    apr_pool_create(&scratch, pool);
    reason = parse(pool, scratch, text, allowed, made);
    apr_pool_destroy(scratch);
    ERR_clear_error();
    *set = reason ? NULL : made;
    return reason;
}

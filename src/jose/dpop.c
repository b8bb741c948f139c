#include "jose/dpop.h"

#include "base/base64url.h"

#include <apr_strings.h>

#include <openssl/err.h>

/* What checking one key may cost: RSA of 4096 bits (pubkey.h). */
#define KEY_EFFORT 8

/* Times beyond it are refused before they are computed with: the year 9999. */
#define IAT_MAX_S 253402300799.0

#define DIGEST_CHARS LA_BASE64URL_CHARS(LA_DIGEST_BYTES)

/* ---- reading ---- */

/* Members of private and symmetric keys (RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1, RFC 8037 section
 * 2). */
static const char *const private_members[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};

static const char *check_private_members(apr_pool_t *pool, const la_json_t *jwk)
{
    for (apr_size_t i = 0; i < sizeof(private_members) / sizeof(private_members[0]); i++) {
        const la_json_t *member;

        if (la_json_member(jwk, private_members[i], &member)) {
            return apr_psprintf(pool, "jwk has the private member %s, expected a public key",
                                private_members[i]);
        }
    }
    return NULL;
}

static const char *read_jwk(apr_pool_t *pool, la_dpop_t *proof)
{
    const la_json_t *kty;
    la_slice_t type;

    if (!la_json_member(proof->jwt.header, "jwk", &proof->jwk)) {
        return "jwk is missing";
    }
    if (la_json_type(proof->jwk) != LA_JSON_OBJECT) {
        return "jwk is not an object";
    }
    if (la_json_member(proof->jwk, "kty", &kty) && la_json_string(kty, &type) &&
        la_slice_is(type, "oct")) {
        return "jwk is a symmetric key, expected a public key";
    }
    return check_private_members(pool, proof->jwk);
}

static const char *read_header(apr_pool_t *pool, la_dpop_t *proof)
{
    const la_jwt_t *jwt = &proof->jwt;

    if (!la_jwt_type_is(jwt, "dpop+jwt")) {
        return apr_psprintf(pool, "typ is %s, expected dpop+jwt",
                            jwt->type.data ? la_json_quoted(pool, jwt->type) : "missing");
    }
    if (!(jwt->algorithms & LA_JWA_DEFAULT)) {
        return apr_psprintf(pool, "alg is %s, expected one of: %s",
                            la_json_quoted(pool, jwt->algorithm),
                            la_jwa_names(pool, LA_JWA_DEFAULT));
    }
    return read_jwk(pool, proof);
}

/* A claim that is a string. demanded: whether it must be there; else `text` has no data. */
static const char *read_text(apr_pool_t *pool, const la_dpop_t *proof, const char *name,
                             int demanded, la_slice_t *text)
{
    const la_json_t *value;

    *text = (la_slice_t){NULL, 0};
    if (!la_json_member(proof->jwt.claims, name, &value)) {
        return demanded ? apr_pstrcat(pool, name, " is missing", NULL) : NULL;
    }
    return la_json_string(value, text) ? NULL : apr_pstrcat(pool, name, " is not a string", NULL);
}

static const char *read_htu(apr_pool_t *pool, la_dpop_t *proof)
{
    la_slice_t text;
    const char *fault = read_text(pool, proof, "htu", 1, &text);

    if (fault) {
        return fault;
    }
    fault = la_uri_parse(pool, text, &proof->htu);
    return fault ? apr_psprintf(pool, "htu is not a URI that can be compared: %s", fault) : NULL;
}

static const char *read_iat(la_dpop_t *proof)
{
    const la_json_t *value;
    double seconds;

    if (!la_json_member(proof->jwt.claims, "iat", &value)) {
        return "iat is missing";
    }
    if (la_json_type(value) != LA_JSON_NUMBER) {
        return "iat is not a number";
    }
    if (!la_json_number(value, &seconds) || !(seconds >= 0 && seconds <= IAT_MAX_S)) {
        return "iat is out of range, expected seconds since 1970";
    }
    proof->iat = (apr_time_t)(seconds * (double)APR_USEC_PER_SEC);
    return NULL;
}

static const char *read_jti(apr_pool_t *pool, la_dpop_t *proof)
{
    const char *fault = read_text(pool, proof, "jti", 1, &proof->jti);

    if (fault) {
        return fault;
    }
    if (proof->jti.len == 0) {
        return "jti is empty";
    }
    return proof->jti.len <= LA_DPOP_JTI_MAX
               ? NULL
               : apr_psprintf(pool, "jti has %" APR_SIZE_T_FMT " bytes, expected at most %d",
                              proof->jti.len, LA_DPOP_JTI_MAX);
}

static const char *read_claims(apr_pool_t *pool, la_dpop_t *proof)
{
    const char *fault = read_jti(pool, proof);

    fault = fault ? fault : read_text(pool, proof, "htm", 1, &proof->htm);
    fault = fault ? fault : read_htu(pool, proof);
    fault = fault ? fault : read_iat(proof);
    fault = fault ? fault : read_text(pool, proof, "ath", 1, &proof->ath);
    return fault ? fault : read_text(pool, proof, "nonce", 0, &proof->nonce);
}

/* Parses a proof whose header is that of an earlier one. */
static la_jwt_e parse_known(apr_pool_t *pool, la_slice_t text, la_dpop_t *proof, const char **fault)
{
    la_jwt_e parsed = la_jwt_parse_rest(pool, text, &proof->jwt, fault);

    proof->jwt.algorithms = proof->known->algorithm;
    proof->jwt.algorithm = la_slice_of(proof->known->alg);
    return parsed;
}

const char *la_dpop_parse(apr_pool_t *pool, la_proof_keys_t *keys, la_slice_t text,
                          la_dpop_t *proof)
{
    const char *fault = NULL;

    *proof = (la_dpop_t){0};
    if (text.len > LA_DPOP_MAX_BYTES) {
        return apr_psprintf(pool, "it has %" APR_SIZE_T_FMT " characters, expected at most %d",
                            text.len, LA_DPOP_MAX_BYTES);
    }
    proof->header = la_jwt_first_part(text);
    proof->known = la_proof_keys_find(keys, proof->header, pool);
    switch (proof->known ? parse_known(pool, text, proof, &fault)
                         : la_jwt_parse(pool, text, &proof->jwt, &fault)) {
    case LA_JWT_FOREIGN:
        return "it is not a compact JWS";
    case LA_JWT_REFUSED:
        return fault;
    case LA_JWT_GOOD:
        break;
    }
    fault = proof->known ? NULL : read_header(pool, proof);
    return fault ? fault : read_claims(pool, proof);
}

/* ---- comparing ---- */

static const char *check_iat(apr_pool_t *pool, apr_time_t iat, apr_time_t now)
{
    apr_time_t age = now - iat;

    if (age >= -LA_DPOP_WINDOW_US && age <= LA_DPOP_WINDOW_US) {
        return NULL;
    }
    return apr_psprintf(pool, "iat is %" APR_TIME_T_FMT " s %s, expected at most %d s either way",
                        (age < 0 ? -age : age) / APR_USEC_PER_SEC,
                        age < 0 ? "in the future" : "ago",
                        (int)(LA_DPOP_WINDOW_US / APR_USEC_PER_SEC));
}

static const char *check_ath(const la_dpop_t *proof, const unsigned char *token)
{
    char expected[DIGEST_CHARS + 1];

    la_base64url_encode((la_slice_t){(const char *)token, LA_DIGEST_BYTES}, expected);
    return la_slice_is(proof->ath, expected) ? NULL
                                             : "ath is not the digest of the token that came";
}

const char *la_dpop_check(apr_pool_t *pool, const la_dpop_t *proof, const la_dpop_terms_t *terms)
{
    const char *fault;

    if (!(proof->jwt.algorithms & terms->algorithms)) {
        return apr_psprintf(pool, "alg is %s, expected one of: %s",
                            la_json_quoted(pool, proof->jwt.algorithm),
                            la_jwa_names(pool, terms->algorithms));
    }
    if (!la_slice_is(proof->htm, terms->method)) {
        return apr_psprintf(pool, "htm is %s, expected %s", la_json_quoted(pool, proof->htm),
                            la_json_quoted(pool, la_slice_of(terms->method)));
    }
    if (!terms->is_own(terms->context, &proof->htu)) {
        return apr_psprintf(pool, "htu is %s, expected %s",
                            la_json_quoted(pool, la_slice_of(la_uri_text(pool, &proof->htu))),
                            la_json_quoted(pool, la_slice_of(terms->uri)));
    }
    fault = check_iat(pool, proof->iat, terms->now);
    return fault ? fault : check_ath(proof, terms->token);
}

/* ---- verifying ---- */

static const char *check_thumbprint(apr_pool_t *pool, const char *own, const char *jkt)
{
    return strcmp(own, jkt) == 0
               ? NULL
               : apr_psprintf(pool,
                              "its key is %s, expected the one that the token is bound to, %s", own,
                              la_json_quoted(pool, la_slice_of(jkt)));
}

static const char *verify_known(apr_pool_t *pool, const la_dpop_t *proof, const char *jkt)
{
    const char *fault = check_thumbprint(pool, proof->known->jkt, jkt);
    int good = !fault && la_verifier_check(proof->known->verifier, proof->jwt.signing_input,
                                           proof->jwt.signature);

    ERR_clear_error();
    return good || fault ? fault : "the signature is wrong";
}

static const char *verify_with(apr_pool_t *pool, la_proof_keys_t *keys, const la_jwk_t *key,
                               const la_dpop_t *proof, const char *jkt)
{
    char own[LA_THUMBPRINT_LEN + 1];
    const char *fault;

    if (!la_thumbprint_of(key->key, own)) {
        return "jwk has no thumbprint";
    }
    fault = check_thumbprint(pool, own, jkt);
    if (fault) {
        return fault;
    }
    if (!la_jwt_verify_with(&proof->jwt, key, key->algorithms)) {
        return "the signature is wrong";
    }
    return la_proof_keys_check(keys, key, jkt); /* last, since it takes so long */
}

const char *la_dpop_verify(apr_pool_t *pool, la_proof_keys_t *keys, const la_dpop_t *proof,
                           la_jwa_set_t allowed, const char *jkt)
{
    la_jwa_set_t wanted = proof->jwt.algorithms & allowed & LA_JWA_DEFAULT;
    const char *fault;
    la_jwk_t key;

    if (proof->known) {
        return wanted ? verify_known(pool, proof, jkt) : "alg is not allowed";
    }
    fault = la_jwk_parse(pool, proof->jwk, wanted, KEY_EFFORT, &key);
    if (fault) {
        return apr_psprintf(pool, "jwk cannot be used with alg %s: %s",
                            la_json_quoted(pool, proof->jwt.algorithm), fault);
    }
    fault = verify_with(pool, keys, &key, proof, jkt);
    if (!fault) {
        la_proof_keys_add(keys, proof->header, key.key, key.algorithms, proof->jwt.algorithm, jkt);
    }
    return fault;
}

/* ---- remembering ---- */

apr_status_t la_dpop_digest(const la_dpop_t *proof, const char *jkt,
                            unsigned char digest[LA_DIGEST_BYTES])
{
    unsigned char text[1 + LA_THUMBPRINT_LEN + 2 + LA_DPOP_JTI_MAX];
    apr_size_t len = 0;

    text[len++] = LA_THUMBPRINT_LEN;
    memcpy(text + len, jkt, LA_THUMBPRINT_LEN);
    len += LA_THUMBPRINT_LEN;
    text[len++] = (unsigned char)(proof->jti.len >> 8);
    text[len++] = (unsigned char)(proof->jti.len & 0xff);
    memcpy(text + len, proof->jti.data, proof->jti.len);
    return la_digest_sha256((la_slice_t){(const char *)text, len + proof->jti.len}, digest);
}

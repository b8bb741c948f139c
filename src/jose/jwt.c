/* Signed JSON Web Tokens. Owns how they are parsed and which key verifies them; jwk.c reads keys,
 * verifier.c verifies, validity.c checks the claims. Any request thread; keys are shared and
 * constant. */
#include "jose/jwt.h"

#include "base/base64url.h"

#include <string.h>
#include <strings.h>

#include <apr_strings.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

/* Most keys that are tried for a token that names none. */
#define TRIED_MAX 4

/* Most names of keys that the log shows. */
#define SHOWN_MAX 3

/* ---- parsing ---- */

/* Splits at the dots. Returns 0 unless there are just two. */
static int split(la_slice_t token, la_slice_t parts[3])
{
    const char *first = token.len ? memchr(token.data, '.', token.len) : NULL;
    const char *end = token.data + token.len;
    const char *second;

    if (!first) {
        return 0;
    }
    second = memchr(first + 1, '.', (apr_size_t)(end - first - 1));
    if (!second || memchr(second + 1, '.', (apr_size_t)(end - second - 1))) {
        return 0;
    }
    parts[0] = (la_slice_t){token.data, (apr_size_t)(first - token.data)};
    parts[1] = (la_slice_t){first + 1, (apr_size_t)(second - first - 1)};
    parts[2] = (la_slice_t){second + 1, (apr_size_t)(end - second - 1)};
    return 1;
}

/* A header parameter: absent, or a string. */
static int take_string(const la_json_t *header, const char *name, la_slice_t *text)
{
    const la_json_t *value;

    *text = (la_slice_t){NULL, 0};
    return !la_json_member(header, name, &value) || la_json_string(value, text);
}

static const char *take_algorithm(apr_pool_t *pool, const la_json_t *header, la_jwt_t *jwt)
{
    const la_json_t *value;

    if (!la_json_member(header, "alg", &value)) {
        return "alg is missing";
    }
    if (!la_json_string(value, &jwt->algorithm)) {
        return "alg is not a string";
    }
    jwt->algorithms = la_jwa_named(jwt->algorithm);
    return jwt->algorithms
               ? NULL
               : apr_psprintf(pool, "alg is %s, expected one of: %s",
                              la_json_quoted(pool, jwt->algorithm), la_jwa_names(pool, LA_JWA_ALL));
}

/* Ignores keys that come with the token (`jwk`, `jku`, `x5u`, `x5c`). */
static const char *read_header(apr_pool_t *pool, const la_json_t *header, la_jwt_t *jwt)
{
    const la_json_t *value;

    if (la_json_type(header) != LA_JSON_OBJECT) {
        return "the header is not an object";
    }
    if (la_json_member(header, "crit", &value)) {
        return "crit is present: no extension is supported";
    }
    if (la_json_member(header, "b64", &value)) {
        return "b64 is present: it is not supported";
    }
    if (!take_string(header, "kid", &jwt->kid)) {
        return "kid is not a string";
    }
    if (!take_string(header, "typ", &jwt->type)) {
        return "typ is not a string";
    }
    return take_algorithm(pool, header, jwt);
}

static const char *parse_object(apr_pool_t *pool, la_slice_t text, const char *what,
                                const la_json_t **value)
{
    const char *error = la_json_parse(pool, text, value);

    if (error) {
        return apr_psprintf(pool, "the %s is not JSON: %s", what, error);
    }
    return la_json_type(*value) == LA_JSON_OBJECT
               ? NULL
               : apr_psprintf(pool, "the %s is not an object", what);
}

static const char *read_rest(apr_pool_t *pool, la_slice_t token, const la_slice_t parts[3],
                             la_jwt_t *jwt)
{
    la_slice_t text;

    jwt->signing_input =
        (la_slice_t){token.data, (apr_size_t)(parts[1].data + parts[1].len - token.data)};
    if (!la_base64url_decode(pool, parts[2], &jwt->signature)) {
        return "the signature is not base64url";
    }
    if (jwt->signature.len == 0) {
        return "it is not signed";
    }
    if (!la_base64url_decode(pool, parts[1], &text)) {
        return "the claims are not base64url";
    }
    return parse_object(pool, text, "claims part", &jwt->claims);
}

la_slice_t la_jwt_first_part(la_slice_t token)
{
    const char *dot = token.len ? memchr(token.data, '.', token.len) : NULL;

    return (la_slice_t){token.data, dot ? (apr_size_t)(dot - token.data) : 0};
}

la_jwt_e la_jwt_parse_rest(apr_pool_t *pool, la_slice_t token, la_jwt_t *jwt, const char **reason)
{
    la_slice_t parts[3];

    *jwt = (la_jwt_t){0};
    if (!split(token, parts)) {
        *reason = "not a JWT";
        return LA_JWT_FOREIGN;
    }
    *reason = read_rest(pool, token, parts, jwt);
    return *reason ? LA_JWT_REFUSED : LA_JWT_GOOD;
}

la_jwt_e la_jwt_parse(apr_pool_t *pool, la_slice_t token, la_jwt_t *jwt, const char **reason)
{
    const la_json_t *header;
    la_slice_t parts[3];
    la_slice_t text;

    *jwt = (la_jwt_t){0};
    if (!split(token, parts) || !la_base64url_decode(pool, parts[0], &text) || text.len == 0 ||
        text.data[0] != '{') {
        *reason = "not a JWT";
        return LA_JWT_FOREIGN;
    }
    *reason = parse_object(pool, text, "header", &header);
    jwt->header = *reason ? NULL : header;
    *reason = *reason ? *reason : read_header(pool, header, jwt);
    *reason = *reason ? *reason : read_rest(pool, token, parts, jwt);
    return *reason ? LA_JWT_REFUSED : LA_JWT_GOOD;
}

/* ---- one signature, one key ---- */

static int verify_hmac(const la_jwk_t *key, la_jwa_set_t algorithm, const la_jwt_t *jwt)
{
    la_slice_t input = jwt->signing_input;
    unsigned char mac[EVP_MAX_MD_SIZE];
    size_t len = 0;
    int made = EVP_Q_mac(NULL, "HMAC", NULL, la_jwa_digest(algorithm), NULL, key->secret.data,
                         key->secret.len, (const unsigned char *)input.data, input.len, mac,
                         sizeof(mac), &len) != NULL;
    int good =
        made && len == jwt->signature.len && CRYPTO_memcmp(mac, jwt->signature.data, len) == 0;

    OPENSSL_cleanse(mac, sizeof(mac));
    return good;
}

int la_jwt_verify_with(const la_jwt_t *jwt, const la_jwk_t *key, la_jwa_set_t allowed)
{
    la_jwa_set_t algorithm = key->algorithms & jwt->algorithms & allowed;
    const la_verifier_t *verifier = la_jwk_verifier(key, algorithm);
    int good = verifier ? la_verifier_check(verifier, jwt->signing_input, jwt->signature)
                        : (algorithm & LA_JWA_HMAC) && verify_hmac(key, algorithm, jwt);

    ERR_clear_error();
    return good;
}

/* ---- choosing a key ---- */

/* A token's algorithm, a known one, for the log. */
static const char *algorithm_of(apr_pool_t *pool, const la_jwt_t *jwt)
{
    return apr_pstrmemdup(pool, jwt->algorithm.data, jwt->algorithm.len);
}

/* Whether the set names a key that is not usable: a newer set will not have another one. */
static int is_skipped(const la_jwks_t *keys, la_slice_t kid)
{
    for (int i = 0; i < keys->skipped_kids->nelts; i++) {
        if (la_slice_equals(APR_ARRAY_IDX(keys->skipped_kids, i, la_slice_t), kid)) {
            return 1;
        }
    }
    return 0;
}

/* The names of a set's first keys, for the log. */
static const char *names_of(apr_pool_t *pool, const la_jwks_t *keys)
{
    const char *names = "";

    for (apr_size_t i = 0; i < keys->count && i < SHOWN_MAX; i++) {
        la_slice_t kid = keys->keys[i].kid;

        names = apr_pstrcat(pool, names, i > 0 ? ", " : "",
                            kid.data ? la_json_quoted(pool, kid) : "one without a name", NULL);
    }
    return keys->count > SHOWN_MAX ? apr_pstrcat(pool, names, ", ...", NULL) : names;
}

/* No usable key has that name. */
static la_jwt_verified_e miss(apr_pool_t *pool, const la_jwt_t *jwt, const la_jwks_t *keys,
                              const char **reason)
{
    const char *kid = la_json_quoted(pool, jwt->kid);

    if (is_skipped(keys, jwt->kid)) {
        *reason = apr_psprintf(pool, "its key is in the key set but was skipped: kid %s", kid);
        return LA_JWT_BAD;
    }
    *reason = apr_psprintf(pool, "its key is unknown: kid %s, expected one of: %s", kid,
                           names_of(pool, keys));
    return LA_JWT_UNKNOWN_KEY;
}

static la_jwt_verified_e verify_named(apr_pool_t *pool, const la_jwt_t *jwt, const la_jwks_t *keys,
                                      la_jwa_set_t wanted, const char **reason)
{
    la_jwa_set_t named = 0; /* the algorithms of the keys of that name */

    for (apr_size_t i = 0; i < keys->count; i++) {
        const la_jwk_t *key = &keys->keys[i];

        if (key->kid.data && la_slice_equals(key->kid, jwt->kid)) {
            named |= key->algorithms;
            if ((key->algorithms & wanted) && la_jwt_verify_with(jwt, key, wanted)) {
                return LA_JWT_VERIFIED;
            }
        }
    }
    if (!named) {
        return miss(pool, jwt, keys, reason);
    }
    *reason = named & wanted ? apr_psprintf(pool, "the signature is wrong: kid %s, alg %s",
                                            la_json_quoted(pool, jwt->kid), algorithm_of(pool, jwt))
                             : apr_psprintf(pool,
                                            "its key is for another algorithm: kid %s, alg %s, "
                                            "expected one of: %s",
                                            la_json_quoted(pool, jwt->kid), algorithm_of(pool, jwt),
                                            la_jwa_names(pool, named));
    return LA_JWT_BAD;
}

/* Tries the first keys that fit by type. If there are keys without a name, the right one may come
 * with a newer set. */
static la_jwt_verified_e verify_unnamed(apr_pool_t *pool, const la_jwt_t *jwt,
                                        const la_jwks_t *keys, la_jwa_set_t wanted,
                                        const char **reason)
{
    int nameless = 0;
    int tried = 0;

    for (apr_size_t i = 0; i < keys->count; i++) {
        const la_jwk_t *key = &keys->keys[i];

        nameless |= !key->kid.data;
        if ((key->algorithms & wanted) && tried < TRIED_MAX) {
            tried++;
            if (la_jwt_verify_with(jwt, key, wanted)) {
                return LA_JWT_VERIFIED;
            }
        }
    }
    *reason = apr_psprintf(pool,
                           tried ? "it names no key (kid), and none that was tried has signed it: "
                                   "alg %s"
                                 : "it names no key (kid), and none fits: alg %s",
                           algorithm_of(pool, jwt));
    return nameless ? LA_JWT_UNKNOWN_KEY : LA_JWT_BAD;
}

la_jwt_verified_e la_jwt_verify(apr_pool_t *pool, const la_jwt_t *jwt, const la_jwks_t *keys,
                                la_jwa_set_t allowed, const char **reason)
{
    la_jwa_set_t wanted = jwt->algorithms & allowed;

    *reason = NULL;
    if (!wanted) {
        *reason = apr_psprintf(pool, "alg is %s, expected one of: %s", algorithm_of(pool, jwt),
                               la_jwa_names(pool, allowed));
        return LA_JWT_BAD;
    }
    return jwt->kid.data ? verify_named(pool, jwt, keys, wanted, reason)
                         : verify_unnamed(pool, jwt, keys, wanted, reason);
}

/* A media type without its optional prefix. */
static la_slice_t short_type(la_slice_t type)
{
    static const char prefix[] = "application/";
    apr_size_t len = sizeof(prefix) - 1;

    if (type.len > len && strncasecmp(type.data, prefix, len) == 0) {
        return (la_slice_t){type.data + len, type.len - len};
    }
    return type;
}

int la_jwt_type_is(const la_jwt_t *jwt, const char *type)
{
    la_slice_t own;
    la_slice_t wanted = short_type(la_slice_of(type));

    if (!jwt->type.data) {
        return 0;
    }
    own = short_type(jwt->type);
    return own.len == wanted.len && strncasecmp(own.data, wanted.data, own.len) == 0;
}

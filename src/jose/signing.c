/* Reads private keys, and signs with OpenSSL. Keys are read while the configuration is, and by the
 * thread that takes a new version of a key file; request threads sign. */
#include "jose/signing.h"

#include "base/base64url.h"
#include "jose/curve.h"
#include "jose/jwk_public.h"
#include "jose/verifier.h"

#include <apr_strings.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <string.h>

#define RSA_MIN_BITS 2048
#define RSA_MAX_BITS 8192

#define RSA_MAX_EXPONENT_BITS 64

/* The longest signature: RSA of 8192 bits. */
#define SIGNATURE_BYTES_MAX 1024

#define EXPECTED "expected EC P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits"

/* ---- PEM ---- */

/* For OpenSSL, which would ask at the terminal: notes that there is a passphrase. */
static int refuse_passphrase(char *buffer, int size, int writing, void *is_asked)
{
    (void)buffer;
    (void)size;
    (void)writing;
    *(int *)is_asked = 1;
    return -1;
}

static const char *read_pem(la_slice_t pem, EVP_PKEY **key)
{
    BIO *text = pem.len <= INT_MAX ? BIO_new_mem_buf(pem.data, (int)pem.len) : NULL;
    EVP_PKEY *second = NULL;
    int is_encrypted = 0;

    *key = text ? PEM_read_bio_PrivateKey(text, NULL, refuse_passphrase, &is_encrypted) : NULL;
    if (*key) {
        second = PEM_read_bio_PrivateKey(text, NULL, refuse_passphrase, &is_encrypted);
    }
    BIO_free(text);
    if (is_encrypted) {
        EVP_PKEY_free(second);
        return "the private key is encrypted, and a signer has no passphrase";
    }
    if (second) {
        EVP_PKEY_free(second);
        return "there is more than one private key; each Key is a file of its own";
    }
    return *key ? NULL : "no private key in PEM, as \"openssl genpkey\" writes it";
}

/* ---- what it is ---- */

/* Returns the algorithm, or 0 and the reason. */
static la_jwa_set_t find_ec(apr_pool_t *pool, const EVP_PKEY *key, const char **reason)
{
    const la_curve_t *curve = la_curve_of(key);
    char group[64] = "an unknown curve";

    if (curve && curve->algorithm & (LA_JWA_ES256 | LA_JWA_ES384)) {
        return curve->algorithm;
    }
    (void)EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
    *reason = apr_psprintf(pool, "an EC key of %s, " EXPECTED, group);
    return 0;
}

/* Whether verifiers, ours among them, take the exponent; by 1 everybody signs. */
static int has_good_exponent(const EVP_PKEY *key)
{
    BIGNUM *e = NULL;
    int good = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && !BN_is_one(e) &&
               BN_num_bits(e) <= RSA_MAX_EXPONENT_BITS;

    BN_free(e);
    return good;
}

static la_jwa_set_t find_rsa(apr_pool_t *pool, const EVP_PKEY *key, const char **reason)
{
    int bits = EVP_PKEY_get_bits(key);

    if (bits < RSA_MIN_BITS || bits > RSA_MAX_BITS) {
        *reason = apr_psprintf(pool, "an RSA key of %d bits, " EXPECTED, bits);
        return 0;
    }
    if (!has_good_exponent(key)) {
        *reason = "an RSA key whose public exponent is 1 or longer than 64 bits";
        return 0;
    }
    return LA_JWA_RS256;
}

static la_jwa_set_t find_algorithm(apr_pool_t *pool, const EVP_PKEY *key, const char **reason)
{
    const char *name = EVP_PKEY_get0_type_name(key);

    if (EVP_PKEY_is_a(key, "EC") == 1) {
        return find_ec(pool, key, reason);
    }
    if (EVP_PKEY_is_a(key, "RSA") == 1) {
        return find_rsa(pool, key, reason);
    }
    if (EVP_PKEY_is_a(key, "ED25519") == 1) {
        return LA_JWA_ED25519;
    }
    *reason = apr_psprintf(pool, "a key of type %s, " EXPECTED, name ? name : "unknown");
    return 0;
}

/* ---- ready to sign ---- */

static apr_status_t free_context(void *context)
{
    EVP_MD_CTX_free(context);
    return APR_SUCCESS;
}

static int make_ready(apr_pool_t *pool, EVP_PKEY *key, la_jwa_set_t algorithm,
                      la_signing_key_t *made)
{
    const char *name = la_jwa_digest(algorithm);
    const EVP_MD *digest = name ? EVP_get_digestbyname(name) : NULL; /* EdDSA has its own */
    int size = EVP_PKEY_get_size(key);

    made->half = algorithm & LA_JWA_EC ? la_curve_for(algorithm)->bytes : 0;
    made->signature_bytes = size > 0 ? (apr_size_t)size : 0;
    made->ready = EVP_MD_CTX_new();
    if (!made->ready || made->signature_bytes == 0 || made->signature_bytes > SIGNATURE_BYTES_MAX ||
        (name && !digest) || EVP_DigestSignInit(made->ready, NULL, digest, NULL, key) != 1) {
        EVP_MD_CTX_free(made->ready);
        return 0;
    }
    apr_pool_cleanup_register(pool, made->ready, free_context, apr_pool_cleanup_null);
    return 1;
}

/* The members that RFC 7638 counts, and before the closing brace those that say what it is for. */
static int write_jwk(apr_pool_t *pool, const EVP_PKEY *key, la_signing_key_t *made)
{
    char json[LA_JWK_PUBLIC_BYTES];
    apr_size_t len = la_jwk_public(key, json);

    if (len == 0 || !la_thumbprint_of(key, made->kid)) {
        return 0;
    }
    json[len - 1] = '\0';
    made->jwk = apr_pstrcat(pool, json, ",\"use\":\"sig\",\"alg\":\"", made->algorithm,
                            "\",\"kid\":\"", made->kid, "\"}", NULL);
    return 1;
}

static void write_header(apr_pool_t *pool, la_signing_key_t *made)
{
    const char *json = apr_pstrcat(pool, "{\"alg\":\"", made->algorithm,
                                   "\",\"typ\":\"JWT\",\"kid\":\"", made->kid, "\"}", NULL);
    la_slice_t bytes = la_slice_of(json);
    char *text = apr_palloc(pool, LA_BASE64URL_CHARS(bytes.len) + 2);
    apr_size_t len = la_base64url_encode(bytes, text);

    text[len] = '.';
    text[len + 1] = '\0';
    made->header = (la_slice_t){text, len + 1};
}

/* ---- signing ---- */

/* Turns OpenSSL's form of an ECDSA signature into two numbers of `half` bytes (RFC 7518 section
 * 3.4). Returns the length, or 0. */
static apr_size_t from_der(unsigned char *signature, apr_size_t len, apr_size_t half)
{
    const unsigned char *der = signature;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);
    int size = (int)half;
    int good = pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), signature, size) == size &&
               BN_bn2binpad(ECDSA_SIG_get0_s(pair), signature + half, size) == size;

    ECDSA_SIG_free(pair);
    return good ? 2 * half : 0;
}

/* Signs `input`. Returns the signature's length in JOSE's form, or 0. */
static apr_size_t sign(const la_signing_key_t *key, la_slice_t input,
                       unsigned char signature[SIGNATURE_BYTES_MAX])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t len = SIGNATURE_BYTES_MAX;
    int good =
        context && EVP_MD_CTX_copy_ex(context, key->ready) == 1 &&
        EVP_DigestSign(context, signature, &len, (const unsigned char *)input.data, input.len) == 1;

    EVP_MD_CTX_free(context);
    if (!good) {
        return 0;
    }
    return key->half ? from_der(signature, len, key->half) : len;
}

/* Whether the key verifies what it signs: its two parts may not belong together. */
static int verifies_itself(apr_pool_t *pool, EVP_PKEY *key, la_jwa_set_t algorithm,
                           const la_signing_key_t *made)
{
    unsigned char signature[SIGNATURE_BYTES_MAX];
    la_slice_t input = LA_SLICE("a signature to see whether the key can");
    apr_size_t len = sign(made, input, signature);
    const la_verifier_t *verifier = la_verifier_make(pool, key, algorithm);

    return len > 0 && verifier &&
           la_verifier_check(verifier, input, (la_slice_t){(const char *)signature, len});
}

static const char *take_key(apr_pool_t *pool, EVP_PKEY *key, la_signing_key_t *made)
{
    const char *reason = NULL;
    la_jwa_set_t algorithm = find_algorithm(pool, key, &reason);

    if (!algorithm) {
        return reason;
    }
    made->algorithm = algorithm == LA_JWA_ED25519 ? "EdDSA" : la_jwa_names(pool, algorithm);
    if (!make_ready(pool, key, algorithm, made) || !write_jwk(pool, key, made)) {
        return "libcrypto cannot sign with it";
    }
    write_header(pool, made);
    return verifies_itself(pool, key, algorithm, made)
               ? NULL
               : "its private and its public part do not belong together";
}

const char *la_signing_key_read(apr_pool_t *pool, la_slice_t pem, const la_signing_key_t **key)
{
    la_signing_key_t *made = apr_pcalloc(pool, sizeof(*made));
    EVP_PKEY *parsed;
    const char *reason = read_pem(pem, &parsed);

    reason = reason ? reason : take_key(pool, parsed, made);
    EVP_PKEY_free(parsed);
    ERR_clear_error();
    *key = reason ? NULL : made;
    return reason;
}

const char *la_signing_jwt(const la_signing_key_t *key, la_slice_t claims, la_slice_t prefix,
                           apr_pool_t *pool)
{
    unsigned char signature[SIGNATURE_BYTES_MAX];
    apr_size_t len = key->header.len;
    char *text = apr_palloc(pool, prefix.len + len + LA_BASE64URL_CHARS(claims.len) + 1 +
                                      LA_BASE64URL_CHARS(key->signature_bytes) + 1);
    char *token = text + prefix.len;
    apr_size_t signed_bytes;

    memcpy(text, prefix.data, prefix.len);
    memcpy(token, key->header.data, len);
    len += la_base64url_encode(claims, token + len);
    signed_bytes = sign(key, (la_slice_t){token, len}, signature);
    if (signed_bytes == 0) {
        ERR_clear_error();
        return NULL;
    }
    token[len++] = '.';
    la_base64url_encode((la_slice_t){(const char *)signature, signed_bytes}, token + len);
    return text;
}

/* Writes the public part of a key that OpenSSL holds. Called by thumbprint.c and for the set of
 * public keys that is published. */
#include "jose/jwk_public.h"

#include "base/base64url.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>

#include <stdio.h>
#include <string.h>

/* The longest number: an RSA modulus of 8192 bits. */
#define NUMBER_BYTES 1024
#define NUMBER_CHARS LA_BASE64URL_CHARS(NUMBER_BYTES)

typedef char number_t[NUMBER_CHARS + 1];

typedef struct curve_t {
    const char *name;    /* JOSE's */
    const char *openssl; /* the group's or the type's name */
    int bytes;           /* of a coordinate, or of the encoded point */
} curve_t;

static const curve_t ec_curves[] = {
    {"P-256", "prime256v1", 32}, {"P-384", "secp384r1", 48}, {"P-521", "secp521r1", 66}};
static const curve_t okp_curves[] = {{"Ed25519", "ED25519", 32}, {"Ed448", "ED448", 57}};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* Writes a number that the key has by that name. bytes: its length with leading zeros; 0: as many
 * as it takes. */
static int write_number(const EVP_PKEY *key, const char *name, int bytes, number_t text)
{
    unsigned char number[NUMBER_BYTES];
    BIGNUM *value = NULL;
    int len = 0;

    if (EVP_PKEY_get_bn_param(key, name, &value) == 1) {
        len = bytes > 0 ? bytes : BN_num_bytes(value);
        len = len <= NUMBER_BYTES ? BN_bn2binpad(value, number, len) : 0;
    }
    BN_free(value);
    if (len <= 0) {
        return 0;
    }
    la_base64url_encode((la_slice_t){(const char *)number, (apr_size_t)len}, text);
    return 1;
}

static apr_size_t write_rsa(const EVP_PKEY *key, char json[LA_JWK_PUBLIC_BYTES])
{
    number_t e;
    number_t n;
    int len;

    if (!write_number(key, OSSL_PKEY_PARAM_RSA_E, 0, e) ||
        !write_number(key, OSSL_PKEY_PARAM_RSA_N, 0, n)) {
        return 0;
    }
    len = snprintf(json, LA_JWK_PUBLIC_BYTES, "{\"e\":\"%s\",\"kty\":\"RSA\",\"n\":\"%s\"}", e, n);
    return len < LA_JWK_PUBLIC_BYTES ? (apr_size_t)len : 0; /* `e` may be as long as `n` */
}

static const curve_t *curve_of(const EVP_PKEY *key)
{
    char group[32];
    size_t len;

    if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group),
                                       &len) != 1) {
        return NULL;
    }
    for (size_t i = 0; i < COUNT(ec_curves); i++) {
        if (strcmp(group, ec_curves[i].openssl) == 0 || strcmp(group, ec_curves[i].name) == 0) {
            return &ec_curves[i];
        }
    }
    return NULL;
}

static apr_size_t write_ec(const EVP_PKEY *key, char json[LA_JWK_PUBLIC_BYTES])
{
    const curve_t *curve = curve_of(key);
    number_t x;
    number_t y;

    if (!curve || !write_number(key, OSSL_PKEY_PARAM_EC_PUB_X, curve->bytes, x) ||
        !write_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, curve->bytes, y)) {
        return 0;
    }
    return (apr_size_t)snprintf(json, LA_JWK_PUBLIC_BYTES,
                                "{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}",
                                curve->name, x, y);
}

static apr_size_t write_okp(const EVP_PKEY *key, const curve_t *curve,
                            char json[LA_JWK_PUBLIC_BYTES])
{
    unsigned char point[57];
    size_t len = 0;
    number_t x;

    if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &len) !=
            1 ||
        len != (size_t)curve->bytes) {
        return 0;
    }
    la_base64url_encode((la_slice_t){(const char *)point, len}, x);
    return (apr_size_t)snprintf(json, LA_JWK_PUBLIC_BYTES,
                                "{\"crv\":\"%s\",\"kty\":\"OKP\",\"x\":\"%s\"}", curve->name, x);
}

static apr_size_t write_public(const EVP_PKEY *key, char json[LA_JWK_PUBLIC_BYTES])
{
    if (EVP_PKEY_is_a(key, "RSA") == 1) {
        return write_rsa(key, json);
    }
    if (EVP_PKEY_is_a(key, "EC") == 1) {
        return write_ec(key, json);
    }
    for (size_t i = 0; i < COUNT(okp_curves); i++) {
        if (EVP_PKEY_is_a(key, okp_curves[i].openssl) == 1) {
            return write_okp(key, &okp_curves[i], json);
        }
    }
    return 0;
}

apr_size_t la_jwk_public(const EVP_PKEY *key, char json[LA_JWK_PUBLIC_BYTES])
{
    apr_size_t len;

    len = write_public(key, json);
    if (len == 0) {
        json[0] = '\0';
    }
    ERR_clear_error();
    return len;
}

/* Writes the public part of a key that OpenSSL holds. Called by thumbprint.c and for the set of
 * public keys that is published. */
#include "jose/jwk_public.h"

#include "base/base64url.h"
#include "jose/curve.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>

#include <stdio.h>
#include <string.h>

/* The longest number: an RSA modulus of 8192 bits. */
#define NUMBER_BYTES 1024
#define NUMBER_CHARS LA_BASE64URL_CHARS(NUMBER_BYTES)

typedef char number_t[NUMBER_CHARS + 1];

/* Writes a number that the key has by that name. bytes: its length with leading zeros; 0: as many
 * as it takes. */
static int write_number(const EVP_PKEY *key, const char *name, apr_size_t bytes, number_t text)
{
    unsigned char number[NUMBER_BYTES];
    BIGNUM *value = NULL;
    int len = 0;

    if (EVP_PKEY_get_bn_param(key, name, &value) == 1) {
        len = bytes > 0 ? (int)bytes : BN_num_bytes(value);
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

static apr_size_t write_ec(const EVP_PKEY *key, const la_curve_t *curve,
                           char json[LA_JWK_PUBLIC_BYTES])
{
    number_t x;
    number_t y;

    if (!write_number(key, OSSL_PKEY_PARAM_EC_PUB_X, curve->bytes, x) ||
        !write_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, curve->bytes, y)) {
        return 0;
    }
    return (apr_size_t)snprintf(json, LA_JWK_PUBLIC_BYTES,
                                "{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}",
                                curve->name, x, y);
}

static apr_size_t write_okp(const EVP_PKEY *key, const la_curve_t *curve,
                            char json[LA_JWK_PUBLIC_BYTES])
{
    unsigned char point[57];
    size_t len = 0;
    number_t x;

    if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &len) !=
            1 ||
        len != curve->bytes) {
        return 0;
    }
    la_base64url_encode((la_slice_t){(const char *)point, len}, x);
    return (apr_size_t)snprintf(json, LA_JWK_PUBLIC_BYTES,
                                "{\"crv\":\"%s\",\"kty\":\"OKP\",\"x\":\"%s\"}", curve->name, x);
}

static apr_size_t write_public(const EVP_PKEY *key, char json[LA_JWK_PUBLIC_BYTES])
{
    const la_curve_t *curve;

    if (EVP_PKEY_is_a(key, "RSA") == 1) {
        return write_rsa(key, json);
    }
    curve = la_curve_of(key);
    if (!curve) {
        return 0;
    }
    return curve->algorithm & LA_JWA_EC ? write_ec(key, curve, json) : write_okp(key, curve, json);
}

apr_size_t la_jwk_public(const EVP_PKEY *key, char json[LA_JWK_PUBLIC_BYTES])
{
    apr_size_t len = write_public(key, json);

    if (len == 0) {
        json[0] = '\0';
    }
    ERR_clear_error();
    return len;
}

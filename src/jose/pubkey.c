/* Checks the numbers of public keys and imports them into OpenSSL. Called by jwk.c. */
#include "jose/pubkey.h"

#include <apr_strings.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>

#include <string.h>

#define RSA_MIN_BITS           2048
#define RSA_MAX_BITS           8192
#define RSA_MAX_EXPONENT_BYTES 8

#define EC_MAX_COORDINATE_BYTES 66 /* P-521 */

#define UNSOUND "RSA modulus is unsound"

/* ---- OpenSSL ---- */

static apr_status_t free_key(void *key)
{
    EVP_PKEY_free(key);
    return APR_SUCCESS;
}

static int passes_check(EVP_PKEY *key)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    int passes = context && EVP_PKEY_public_check(context) == 1;

    EVP_PKEY_CTX_free(context);
    return passes;
}

/* Takes over `made`, which may be NULL. Returns NULL, or `reason` if it is. */
static const char *keep_unchecked(apr_pool_t *pool, EVP_PKEY *made, const char *reason,
                                  EVP_PKEY **key)
{
    if (!made) {
        return reason;
    }
    apr_pool_cleanup_register(pool, made, free_key, apr_pool_cleanup_null);
    *key = made;
    return NULL;
}

/* The same, if OpenSSL's check does not fail. */
static const char *keep(apr_pool_t *pool, EVP_PKEY *made, const char *reason, EVP_PKEY **key)
{
    if (made && !passes_check(made)) {
        EVP_PKEY_free(made);
        made = NULL;
    }
    return keep_unchecked(pool, made, reason, key);
}

static EVP_PKEY *import(const char *type, OSSL_PARAM *parameters)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;

    if (!context || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    EVP_PKEY_CTX_free(context);
    return key;
}

/* ---- RSA ---- */

static la_slice_t without_zeros(la_slice_t number)
{
    while (number.len > 0 && *number.data == '\0') {
        number.data++;
        number.len--;
    }
    return number;
}

/* OpenSSL imports an exponent of 1, which makes every message its own signature. */
static const char *check_exponent(la_slice_t exponent)
{
    if (exponent.len > RSA_MAX_EXPONENT_BYTES) {
        return "RSA exponent of more than 64 bits";
    }
    if (exponent.len == 0 || (exponent.data[exponent.len - 1] & 1) == 0) {
        return "RSA exponent is even";
    }
    return exponent.len == 1 && *exponent.data == 1 ? "RSA exponent is 1" : NULL;
}

static const char *check_modulus(apr_pool_t *pool, const BIGNUM *modulus, unsigned int *effort)
{
    unsigned int bits = (unsigned int)BN_num_bits(modulus);
    unsigned int units = (bits + RSA_MIN_BITS - 1) / RSA_MIN_BITS;
    unsigned int cost = units * units * units;

    if (bits < RSA_MIN_BITS) {
        return apr_psprintf(pool, "RSA key of %u bits, expected 2048 to 8192", bits);
    }
    if (!BN_is_odd(modulus)) {
        return "RSA modulus is even";
    }
    if (cost > *effort) {
        return "the set's RSA keys are too many and too large to be checked";
    }
    *effort -= cost;
    return NULL;
}

static EVP_PKEY *import_rsa(const BIGNUM *modulus, const BIGNUM *exponent)
{
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *parameters = NULL;
    EVP_PKEY *key = NULL;

    if (builder && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent) == 1) {
        parameters = OSSL_PARAM_BLD_to_param(builder);
        key = parameters ? import("RSA", parameters) : NULL;
    }
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(builder);
    return key;
}

static BIGNUM *number_of(la_slice_t bytes)
{
    return BN_bin2bn((const unsigned char *)bytes.data, (int)bytes.len, NULL);
}

const char *la_pubkey_rsa(apr_pool_t *pool, la_slice_t modulus, la_slice_t exponent,
                          unsigned int *effort, EVP_PKEY **key)
{
    la_slice_t n_bytes = without_zeros(modulus);
    la_slice_t e_bytes = without_zeros(exponent);
    const char *reason = check_exponent(e_bytes);
    BIGNUM *n;
    BIGNUM *e;

    *key = NULL;
    if (reason) {
        return reason;
    }
    if (n_bytes.len > RSA_MAX_BITS / 8) {
        return "RSA key of more than 8192 bits, expected 2048 to 8192";
    }
    n = number_of(n_bytes);
    e = number_of(e_bytes);
    reason = n && e ? check_modulus(pool, n, effort) : "out of memory";
    if (!reason) {
        reason = keep_unchecked(pool, import_rsa(n, e), UNSOUND, key);
    }
    BN_free(e);
    BN_free(n);
    return reason;
}

const char *la_pubkey_rsa_check(EVP_PKEY *key)
{
    return passes_check(key) ? NULL : UNSOUND;
}

/* ---- EC ---- */

static const char *check_length(apr_pool_t *pool, const char *name, la_slice_t bytes,
                                apr_size_t expected)
{
    return bytes.len == expected
               ? NULL
               : apr_psprintf(pool, "%s of %" APR_SIZE_T_FMT " bytes, expected %" APR_SIZE_T_FMT,
                              name, bytes.len, expected);
}

static EVP_PKEY *import_ec(const la_curve_t *curve, la_slice_t x, la_slice_t y)
{
    char group[] = "P-...";
    unsigned char point[1 + 2 * EC_MAX_COORDINATE_BYTES] = {4}; /* uncompressed */
    OSSL_PARAM parameters[3];

    apr_cpystrn(group, curve->name, sizeof(group));
    memcpy(point + 1, x.data, x.len);
    memcpy(point + 1 + x.len, y.data, y.len);
    parameters[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
    parameters[1] =
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + x.len + y.len);
    parameters[2] = OSSL_PARAM_construct_end();
    return import("EC", parameters);
}

const char *la_pubkey_ec(apr_pool_t *pool, const la_curve_t *curve, la_slice_t x, la_slice_t y,
                         EVP_PKEY **key)
{
    const char *reason = check_length(pool, "x", x, curve->bytes);

    *key = NULL;
    reason = reason ? reason : check_length(pool, "y", y, curve->bytes);
    return reason ? reason
                  : keep(pool, import_ec(curve, x, y), "the point is not on the curve", key);
}

/* ---- EdDSA ---- */

/* Neither this nor OpenSSL checks the point: who can put a key of small order into a set can put
 * their own there. */
const char *la_pubkey_okp(apr_pool_t *pool, const la_curve_t *curve, la_slice_t point,
                          EVP_PKEY **key)
{
    const char *reason = check_length(pool, "x", point, curve->bytes);

    *key = NULL;
    return reason
               ? reason
               : keep(pool,
                      EVP_PKEY_new_raw_public_key_ex(NULL, curve->openssl, NULL,
                                                     (const unsigned char *)point.data, point.len),
                      "OpenSSL refuses it", key);
}

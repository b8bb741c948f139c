/* Public keys, checked. Owns all that is asked of a key's numbers, and their way into OpenSSL; what a key is for
 * is jwk.c's. Called by jwk.c alone, on its caller's thread.
 */
#include "core/pubkey.h"

#include <apr_strings.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>

#include <string.h>

#define RSA_MIN_BITS           2048
#define RSA_MAX_BITS           8192
#define RSA_MAX_EXPONENT_BYTES 8

#define EC_MAX_COORDINATE_BYTES 66

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

/* Takes over `made`, which may be NULL. */
static const char *keep(apr_pool_t *pool, EVP_PKEY *made, const char *otherwise, EVP_PKEY **key)
{
    if (!made || !passes_check(made)) {
        EVP_PKEY_free(made);
        return otherwise;
    }
    apr_pool_cleanup_register(pool, made, free_key, apr_pool_cleanup_null);
    *key = made;
    return NULL;
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

/* OpenSSL imports an exponent of 1, with which every message is its own signature. */
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

/* Whether 2^(n-1) is 1 modulo an odd n, as for every prime. EVP_PKEY_public_check() finds a composite number in a
 * round or two, but gives a prime all of its 64 or 128: some seconds. */
static int looks_prime(const BIGNUM *n)
{
    BN_CTX *context = BN_CTX_new();
    BIGNUM *base = BN_new();
    BIGNUM *power = BN_dup(n);
    int prime = 1;

    if (context && base && power && BN_set_word(base, 2) == 1 && BN_sub_word(power, 1) == 1 &&
        BN_mod_exp(power, base, power, n, context) == 1) {
        prime = BN_is_one(power);
    }
    BN_free(power);
    BN_free(base);
    BN_CTX_free(context);
    return prime;
}

static const char *check_modulus(apr_pool_t *pool, const BIGNUM *modulus, unsigned int *effort)
{
    unsigned int bits = (unsigned int)BN_num_bits(modulus);
    unsigned int units = (bits + RSA_MIN_BITS - 1) / RSA_MIN_BITS;
    unsigned int cost = units * units * units;

    if (bits < RSA_MIN_BITS) {
        return apr_psprintf(pool, "RSA key of %u bits", bits);
    }
    if (!BN_is_odd(modulus)) {
        return "RSA modulus is even";
    }
    if (cost > *effort) {
        return "the set's RSA keys are too many and too large to be checked";
    }
    *effort -= cost;
    return looks_prime(modulus) ? "RSA modulus is prime" : NULL;
}

static EVP_PKEY *import_rsa(const BIGNUM *modulus, const BIGNUM *exponent)
{
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *parameters = NULL;
    EVP_PKEY *key = NULL;

    if (builder && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent) == 1) {
        parameters = OSSL_PARAM_BLD_to_param(builder);
    }
    if (parameters) {
        key = import("RSA", parameters);
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
        return "RSA key of more than 8192 bits";
    }
    n = number_of(n_bytes);
    e = number_of(e_bytes);
    reason = n && e ? check_modulus(pool, n, effort) : "out of memory";
    if (!reason) {
        reason = keep(pool, import_rsa(n, e), "RSA modulus is unsound", key);
    }
    BN_free(e);
    BN_free(n);
    return reason;
}

/* ---- EC ---- */

static const char *check_length(apr_pool_t *pool, const char *name, la_slice_t bytes,
                                apr_size_t expected)
{
    return bytes.len == expected
               ? NULL
               : apr_psprintf(pool, "%s of %" APR_SIZE_T_FMT " bytes", name, bytes.len);
}

static apr_size_t coordinate_bytes(const char *curve)
{
    return strcmp(curve, "P-256") == 0   ? 32
           : strcmp(curve, "P-384") == 0 ? 48
                                         : EC_MAX_COORDINATE_BYTES;
}

static EVP_PKEY *import_ec(const char *curve, la_slice_t x, la_slice_t y)
{
    char group[] = "P-...";
    unsigned char point[1 + 2 * EC_MAX_COORDINATE_BYTES] = {4}; /* uncompressed */
    OSSL_PARAM parameters[3];

    apr_cpystrn(group, curve, sizeof(group));
    memcpy(point + 1, x.data, x.len);
    memcpy(point + 1 + x.len, y.data, y.len);
    parameters[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
    parameters[1] =
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + x.len + y.len);
    parameters[2] = OSSL_PARAM_construct_end();
    return import("EC", parameters);
}

const char *la_pubkey_ec(apr_pool_t *pool, const char *curve, la_slice_t x, la_slice_t y,
                         EVP_PKEY **key)
{
    const char *reason = check_length(pool, "x", x, coordinate_bytes(curve));

    *key = NULL;
    if (!reason) {
        reason = check_length(pool, "y", y, coordinate_bytes(curve));
    }
    return reason ? reason
                  : keep(pool, import_ec(curve, x, y), "the point is not on the curve", key);
}

/* ---- EdDSA ---- */

#define ED25519_BYTES 32
#define ED448_BYTES   57

/* A twisted Edwards curve, a x^2 + y^2 = 1 + d x^2 y^2 with d = -above/below, modulo 2^bits - 2^middle - rest. */
typedef struct edwards_t {
    const char *name; /* OpenSSL's too */
    apr_size_t bytes; /* of an encoded point: y little-endian, the highest bit is x's sign */
    int bits;
    int middle; /* 0: none */
    BN_ULONG rest;
    int a; /* 1 or -1 */
    BN_ULONG above;
    BN_ULONG below;
} edwards_t;

/* RFC 8032 sections 5.1 and 5.2. */
static const edwards_t ed25519 = {"ED25519", ED25519_BYTES, 255, 0, 19, -1, 121665, 121666};
static const edwards_t ed448 = {"ED448", ED448_BYTES, 448, 224, 1, 1, 39081, 1};

/* What is worked with, modulo p: y^2, and x^2 = u/v. */
typedef struct point_t {
    BIGNUM *p;
    BIGNUM *y2;
    BIGNUM *u;
    BIGNUM *v;
    BIGNUM *t;
} point_t;

static int set_prime(const edwards_t *curve, point_t *point)
{
    BN_zero(point->p);
    BN_zero(point->t);
    return BN_set_bit(point->p, curve->bits) == 1 && BN_sub_word(point->p, curve->rest) == 1 &&
           (curve->middle == 0 || (BN_set_bit(point->t, curve->middle) == 1 &&
                                   BN_sub(point->p, point->p, point->t) == 1));
}

/* y^2, if y is below p: a point has one spelling. */
static int set_y2(const edwards_t *curve, la_slice_t encoded, point_t *point, BN_CTX *context)
{
    unsigned char bytes[ED448_BYTES];

    memcpy(bytes, encoded.data, curve->bytes);
    bytes[curve->bytes - 1] &= 0x7F;
    return BN_lebin2bn(bytes, (int)curve->bytes, point->t) && BN_cmp(point->t, point->p) < 0 &&
           BN_mod_sqr(point->y2, point->t, point->p, context) == 1;
}

/* u = below (1 - y^2), v = a below + above y^2. */
static int set_x2(const edwards_t *curve, point_t *point, BN_CTX *context)
{
    return BN_one(point->u) == 1 && BN_sub(point->u, point->u, point->y2) == 1 &&
           BN_mul_word(point->u, curve->below) == 1 &&
           BN_nnmod(point->u, point->u, point->p, context) == 1 && BN_copy(point->v, point->y2) &&
           BN_mul_word(point->v, curve->above) == 1 &&
           (curve->a > 0 ? BN_add_word(point->v, curve->below)
                         : BN_sub_word(point->v, curve->below)) == 1 &&
           BN_nnmod(point->v, point->v, point->p, context) == 1;
}

/* u/v is the square of an x, and of none that is 0, as in the points of order 1 and 2. */
static int is_on_curve(point_t *point, BN_CTX *context)
{
    return BN_mod_mul(point->t, point->u, point->v, point->p, context) == 1 &&
           BN_kronecker(point->t, point->p, context) == 1;
}

/* Order 4 has y = 0, and order 8 comes there when doubled: y^2 = a x^2. No other small orders are left. */
static int is_of_large_order(const edwards_t *curve, point_t *point, BN_CTX *context)
{
    return !BN_is_zero(point->y2) &&
           BN_mod_mul(point->t, point->y2, point->v, point->p, context) == 1 &&
           (curve->a > 0 ? BN_mod_sub(point->t, point->t, point->u, point->p, context)
                         : BN_mod_add(point->t, point->t, point->u, point->p, context)) == 1 &&
           !BN_is_zero(point->t);
}

/* OpenSSL's own check of these keys looks at nothing. */
static const char *check_point(const edwards_t *curve, la_slice_t encoded, BN_CTX *context)
{
    point_t point = {BN_CTX_get(context), BN_CTX_get(context), BN_CTX_get(context),
                     BN_CTX_get(context), BN_CTX_get(context)};

    if (!point.p || !point.y2 || !point.u || !point.v || !point.t || !set_prime(curve, &point) ||
        !set_y2(curve, encoded, &point, context) || !set_x2(curve, &point, context)) {
        return "the point is not on the curve";
    }
    if (!is_of_large_order(curve, &point, context) || BN_is_zero(point.u)) {
        return "the point is of small order";
    }
    return is_on_curve(&point, context) ? NULL : "the point is not on the curve";
}

static const char *check_okp(apr_pool_t *pool, const edwards_t *curve, la_slice_t encoded)
{
    const char *reason = check_length(pool, "x", encoded, curve->bytes);
    BN_CTX *context;

    if (reason) {
        return reason;
    }
    context = BN_CTX_new();
    if (!context) {
        return "out of memory";
    }
    BN_CTX_start(context);
    reason = check_point(curve, encoded, context);
    BN_CTX_end(context);
    BN_CTX_free(context);
    return reason;
}

const char *la_pubkey_okp(apr_pool_t *pool, const char *curve, la_slice_t point, EVP_PKEY **key)
{
    const edwards_t *edwards = strcmp(curve, "Ed25519") == 0 ? &ed25519 : &ed448;
    const char *reason = check_okp(pool, edwards, point);

    *key = NULL;
    return reason
               ? reason
               : keep(pool,
                      EVP_PKEY_new_raw_public_key_ex(NULL, edwards->name, NULL,
                                                     (const unsigned char *)point.data, point.len),
                      "the point is not on the curve", key);
}

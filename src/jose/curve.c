#include "jose/curve.h"

static const la_curve_t curves[] = {
    {"P-256", "prime256v1", LA_JWA_ES256, 32}, {"P-384", "secp384r1", LA_JWA_ES384, 48},
    {"P-521", "secp521r1", LA_JWA_ES512, 66},  {"Ed25519", "ED25519", LA_JWA_ED25519, 32},
    {"Ed448", "ED448", LA_JWA_ED448, 57},
};

#define END (curves + sizeof(curves) / sizeof(curves[0]))

const la_curve_t *la_curve_named(la_slice_t name)
{
    const la_curve_t *curve = curves;

    while (curve < END && !la_slice_is(name, curve->name)) {
        curve++;
    }
    return curve < END ? curve : NULL;
}

const la_curve_t *la_curve_for(la_jwa_set_t algorithm)
{
    const la_curve_t *curve = curves;

    while (curve < END && curve->algorithm != algorithm) {
        curve++;
    }
    return curve < END ? curve : NULL;
}

const la_curve_t *la_curve_of(const EVP_PKEY *key)
{
    const la_curve_t *curve = curves;
    char group[32] = "";

    if (EVP_PKEY_is_a(key, "EC") == 1) {
        (void)EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
    }
    while (curve < END && strcmp(group, curve->openssl) != 0 && strcmp(group, curve->name) != 0 &&
           !(curve->algorithm & LA_JWA_OKP && EVP_PKEY_is_a(key, curve->openssl) == 1)) {
        curve++;
    }
    return curve < END ? curve : NULL;
}

#include "jose/jwa.h"

#include <string.h>

#include <apr_strings.h>

typedef struct algorithm_t {
    const char *name;
    la_jwa_set_t set;
    const char *digest;
} algorithm_t;

static const algorithm_t algorithms[] = {
    {"RS256", LA_JWA_RS256, "SHA256"}, {"RS384", LA_JWA_RS384, "SHA384"},
    {"RS512", LA_JWA_RS512, "SHA512"}, {"PS256", LA_JWA_PS256, "SHA256"},
    {"PS384", LA_JWA_PS384, "SHA384"}, {"PS512", LA_JWA_PS512, "SHA512"},
    {"ES256", LA_JWA_ES256, "SHA256"}, {"ES384", LA_JWA_ES384, "SHA384"},
    {"ES512", LA_JWA_ES512, "SHA512"}, {"EdDSA", LA_JWA_OKP, NULL},
    {"Ed25519", LA_JWA_ED25519, NULL}, {"Ed448", LA_JWA_ED448, NULL},
    {"HS256", LA_JWA_HS256, "SHA256"}, {"HS384", LA_JWA_HS384, "SHA384"},
    {"HS512", LA_JWA_HS512, "SHA512"},
};

#define COUNT (sizeof(algorithms) / sizeof(algorithms[0]))

la_jwa_set_t la_jwa_named(la_slice_t name)
{
    for (apr_size_t i = 0; i < COUNT; i++) {
        if (la_slice_is(name, algorithms[i].name)) {
            return algorithms[i].set;
        }
    }
    return 0;
}

const char *la_jwa_names(apr_pool_t *pool, la_jwa_set_t set)
{
    const char *names = "";

    for (apr_size_t i = 0; i < COUNT; i++) {
        if ((set & algorithms[i].set) == algorithms[i].set) {
            names = apr_pstrcat(pool, names, *names ? " " : "", algorithms[i].name, NULL);
            set &= ~algorithms[i].set;
        }
    }
    return names;
}

const char *la_jwa_digest(la_jwa_set_t one)
{
    for (apr_size_t i = 0; i < COUNT; i++) {
        if (algorithms[i].set == one) {
            return algorithms[i].digest;
        }
    }
    return NULL;
}

/* A JWT with verification: the first line chooses nothing, the whole input is the token. What
 * verifies is one of the corpus' own: its signing input is what the fixed keys signed, so a fuzzer
 * that finds another has found a forgery. */
#include "jose/jwt.h"
#include "access/validity.h"

#include "fuzz.h"
#include "jwt_keys.h"

static const la_jwks_t *keys(void)
{
    static const la_jwks_t *set;

    if (!set) {
        HOLDS(la_jwks_parse(fuzz_pool(), LA_SLICE(JWT_KEYS), ~(la_jwa_set_t)0, &set) == NULL);
    }
    return set;
}

/* Whether the keys' owner signed it: there are just these. */
static int is_known(la_slice_t signing_input)
{
    size_t i;

    for (i = 0; i < sizeof(jwt_signed) / sizeof(jwt_signed[0]); i++) {
        if (strlen(jwt_signed[i]) == signing_input.len &&
            memcmp(jwt_signed[i], signing_input.data, signing_input.len) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Whether a reason can stand in a line of the log. */
static int is_line(const char *reason)
{
    apr_size_t len = reason ? strlen(reason) : 0;

    for (apr_size_t i = 0; i < len; i++) {
        if (reason[i] < ' ' || reason[i] > '~') {
            return 0;
        }
    }
    return len < 3000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char *text = exact(data, size);
    la_validity_terms_t terms = {.now = APR_TIME_C(1700000000000000),
                                 .issuer = "https://idp.example"};
    apr_array_header_t *audiences = apr_array_make(pool, 1, sizeof(const char *));
    const char *reason = NULL;
    apr_time_t expires;
    la_jwt_t jwt;

    if (la_jwt_parse(pool, (la_slice_t){text, size}, &jwt, &reason) == LA_JWT_GOOD) {
        HOLDS(jwt.algorithms != 0 && jwt.claims != NULL);
        if (la_jwt_verify(pool, &jwt, keys(), ~(la_jwa_set_t)0, &reason) == LA_JWT_VERIFIED) {
            HOLDS(is_known(jwt.signing_input));
        }
        HOLDS(is_line(reason));
        HOLDS(is_line(la_validity_foreign(pool, jwt.claims, terms.issuer)));
        APR_ARRAY_PUSH(audiences, const char *) = "api";
        terms.audiences = audiences;
        reason = la_validity_check(pool, jwt.claims, &terms, &expires);
        HOLDS(reason || expires == 0 || expires > terms.now);
        la_jwt_type_is(&jwt, "at+jwt");
    }
    HOLDS(is_line(reason));
    free(text);
    apr_pool_destroy(pool);
    return 0;
}

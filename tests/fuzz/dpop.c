/* A DPoP proof, or a URI: the whole input is either. What verifies with RFC 9449's example key is
 * one of its examples, since nobody here has its private part: a fuzzer that finds another proof
 * has found a forgery. */
#include "jose/dpop.h"

#include "fuzz.h"

#define JKT "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"

#define RFC_PROOF                                                                                  \
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0Vj"   \
    "NoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5"   \
    "VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUI"   \
    "iwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI"   \
    "2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqz"   \
    "hrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"

/* The claims that the RFC's two proofs sign, in front of their last dot. */
static const char *const known[] = {
    ".eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxl"
    "Lm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0Ji"
    "MHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9",
    ".eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUu"
    "Y29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ"};

static int ends_with(la_slice_t text, const char *end)
{
    size_t len = strlen(end);

    return text.len >= len && memcmp(text.data + text.len - len, end, len) == 0;
}

static int is_line(const char *reason)
{
    size_t len = strlen(reason);

    return is_field_value(reason, len) && len < 3000;
}

static int is_own(const void *context, const la_uri_t *htu)
{
    (void)context;
    return htu->path.len > 0 && htu->path.data[0] == '/';
}

static void check_uri(apr_pool_t *pool, la_slice_t text)
{
    la_uri_t uri;
    const char *once;

    if (la_uri_parse(pool, text, &uri)) {
        return;
    }
    HOLDS(uri.port > 0 && uri.port < 65536 && uri.host.len > 0 && uri.path.data[0] == '/');
    once = la_uri_text(pool, &uri);
    HOLDS(la_uri_parse(pool, la_slice_of(once), &uri) == NULL);
    HOLDS(strcmp(la_uri_text(pool, &uri), once) == 0);
}

static void check_proof(apr_pool_t *pool, la_slice_t text)
{
    static const unsigned char token[LA_DIGEST_BYTES] = {0};
    la_dpop_terms_t terms = {.algorithms = LA_JWA_DEFAULT,
                             .method = "GET",
                             .uri = "https://resource.example.org/protectedresource",
                             .is_own = is_own,
                             .token = token,
                             .now = APR_TIME_C(1562262618000000)};
    unsigned char digest[LA_DIGEST_BYTES];
    la_dpop_t proof;
    la_proof_keys_t *keys = la_proof_keys_make(pool);
    const char *reason;

    /* A proof with this header verified before: what follows meets a key that is known. */
    HOLDS(la_dpop_parse(pool, keys, LA_SLICE(RFC_PROOF), &proof) == NULL);
    HOLDS(la_dpop_verify(pool, keys, &proof, LA_JWA_DEFAULT, JKT) == NULL);
    reason = la_dpop_parse(pool, keys, text, &proof);

    if (reason) {
        HOLDS(is_line(reason));
        return;
    }
    HOLDS(proof.jti.len > 0 && proof.jti.len <= LA_DPOP_JTI_MAX && proof.iat >= 0);
    reason = la_dpop_check(pool, &proof, &terms);
    HOLDS(reason && is_line(reason)); /* no token has the digest of zeros */
    HOLDS(la_dpop_digest(&proof, JKT, digest) == APR_SUCCESS);
    reason = la_dpop_verify(pool, keys, &proof, LA_JWA_DEFAULT, JKT);
    HOLDS(reason ? is_line(reason)
                 : ends_with(proof.jwt.signing_input, known[0]) ||
                       ends_with(proof.jwt.signing_input, known[1]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char *text = exact(data, size);

    check_proof(pool, (la_slice_t){text, size});
    check_uri(pool, (la_slice_t){text, size});
    free(text);
    apr_pool_destroy(pool);
    return 0;
}

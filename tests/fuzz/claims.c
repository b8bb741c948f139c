/* Mapping claims: the first line names the mapping, the rest is the document; whatever comes out is
 * a sound identity. */
#include "access/claims.h"

#include "provider/option.h"

#include "identities.h"

static const la_option_t option = {"Claim", la_option_claim, 0, 2, 3, 1, ""};

static apr_array_header_t *read_maps(apr_pool_t *pool, la_slice_t line)
{
    apr_array_header_t *maps = apr_array_make(pool, 4, sizeof(la_claim_map_t));
    const char *words[8];
    int count = split_words(pool, line, words, 8);
    int i;

    for (i = 0; i + 1 < count; i += 2) {
        apr_array_header_t *taken = NULL;
        int formed = i + 2 < count &&
                     (strcmp(words[i + 2], "split") == 0 || strcmp(words[i + 2], "keys") == 0);

        i += formed;
        /* As the configuration takes it, or not. */
        if (!la_option_claim(
                &(la_option_line_t){pool, &option, &taken, 2 + formed, words + i - formed})) {
            apr_array_cat(maps, taken);
        }
    }
    return maps;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char *text = exact(data, size);
    la_slice_t rest = {text, size};
    apr_array_header_t *maps = read_maps(pool, take_line(&rest));
    la_identity_builder_t *builder = la_identity_builder_make(pool);
    apr_array_header_t *names = apr_array_make(pool, 2, sizeof(const char *));
    const la_identity_t *identity;
    const la_json_t *document;
    int found;

    APR_ARRAY_PUSH(names, const char *) = "sub";
    APR_ARRAY_PUSH(names, const char *) = "a.b";
    if (!la_json_parse(pool, rest, &document)) {
        la_claims_t claims = {.first = document, .second = document};

        if (!la_claims_principal(&claims, names, builder, pool, &found)) {
            la_claims_map(&claims, maps, builder, pool);
            la_claims_attributes(document, 1, builder, pool);
            if (la_identity_build(builder, pool, &identity) == NULL) {
                check_identity(identity, pool);
            }
        }
    }
    free(text);
    apr_pool_destroy(pool);
    return 0;
}

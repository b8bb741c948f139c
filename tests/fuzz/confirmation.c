/* A token's claims: whatever stands in their `cnf`, what is read of it is sound, and a `cnf` that
 * is there is never taken for none. */
#include "access/confirmation.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char *bytes = exact(data, size);
    la_confirmation_t confirmation;
    const la_json_t *claims;
    const la_json_t *cnf;

    if (!la_json_parse(pool, (la_slice_t){bytes, size}, &claims)) {
        int found = la_confirmation_read(claims, 0, &confirmation);

        HOLDS(found == la_json_member(claims, "cnf", &cnf));
        HOLDS(found == la_confirmation_check(&confirmation));
        HOLDS(found == (confirmation.members != 0));
    }
    free(bytes);
    apr_pool_destroy(pool);
    return 0;
}

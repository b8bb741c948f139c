/* What every identity promises, whatever it was made of. */
#ifndef LA_FUZZ_IDENTITIES_H
#define LA_FUZZ_IDENTITIES_H

#include "access/identity.h"
#include "base/json.h"

#include "fuzz.h"

static inline void check_identity(const la_identity_t *identity, apr_pool_t *pool)
{
    la_slice_t principal = la_identity_principal(identity);
    la_slice_t json = la_identity_attributes_json(identity);
    const la_json_t *parsed;
    apr_size_t i;
    apr_size_t value;

    HOLDS(la_identity_check(identity, la_identity_size(identity)));
    HOLDS(is_field_value(principal.data, principal.len) && principal.data[principal.len] == '\0');
    HOLDS(is_field_value(json.data, json.len) && strlen(json.data) == json.len);
    HOLDS(la_json_parse(pool, json, &parsed) == NULL);
    HOLDS(la_json_count(parsed) == la_identity_count(identity));
    for (i = 0; i < la_identity_count(identity); i++) {
        const char *name;
        const char *text;

        la_identity_note(identity, i, &name, &text);
        HOLDS(is_field_value(name, strlen(name)) && is_field_value(text, strlen(text)));
        for (value = 0; value < la_identity_value_count(identity, i); value++) {
            la_slice_t item = la_identity_value(identity, i, value);

            HOLDS(item.data[item.len] == '\0');
        }
    }
}

#endif

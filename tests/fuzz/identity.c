/* Bytes of unknown origin in an identity's place: what passes the check is read without leaving
 * them. */
#include "access/identity.h"

#include "fuzz.h"

/* Reads every byte of a slice and the NUL behind it. */
static void touch(la_slice_t text)
{
    static volatile unsigned sum;
    apr_size_t i;

    for (i = 0; i <= text.len; i++) {
        sum += (unsigned char)text.data[i];
    }
}

static void read_confirmation(const la_confirmation_t *confirmation)
{
    if (confirmation) {
        HOLDS(confirmation->members != 0 && confirmation->members < 8);
        HOLDS(strlen(confirmation->jkt) ==
              (confirmation->members & LA_CONFIRM_JKT ? LA_CONFIRM_LEN : 0));
        HOLDS(strlen(confirmation->x5t_s256) ==
              (confirmation->members & LA_CONFIRM_X5T ? LA_CONFIRM_LEN : 0));
    }
}

static void read_all(const la_identity_t *identity)
{
    apr_size_t i;
    apr_size_t value;

    touch(la_identity_principal(identity));
    touch(la_identity_message(identity));
    touch(la_identity_attributes_json(identity));
    read_confirmation(la_identity_confirmation(identity));
    la_identity_has(identity, LA_SLICE("scopes"), LA_SLICE("a"));
    for (i = 0; i < la_identity_count(identity); i++) {
        const char *name;
        const char *text;

        la_identity_note(identity, i, &name, &text);
        touch(la_slice_of(name));
        touch(la_slice_of(text));
        for (value = 0; value < la_identity_value_count(identity, i); value++) {
            touch(la_identity_value(identity, i, value));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = exact(data, size);

    if (la_identity_check(bytes, size)) {
        const la_identity_t *identity = (const void *)bytes;

        HOLDS(la_identity_size(identity) <= size);
        read_all(identity);
    }
    free(bytes);
    return 0;
}

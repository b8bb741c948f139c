/* Reads a token's `cnf`. Whether a request proves the key is httpd/binding.c's to decide. */
#include "access/confirmation.h"

#include <string.h>

_Static_assert(sizeof(la_confirmation_t) == 4 + 2 * (LA_CONFIRM_LEN + 1),
               "a confirmation has no padding");

#define KNOWN (LA_CONFIRM_JKT | LA_CONFIRM_X5T | LA_CONFIRM_UNKNOWN)

static int is_base64url(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static int is_thumbprint(la_slice_t text)
{
    for (apr_size_t i = 0; i < text.len; i++) {
        if (!is_base64url(text.data[i])) {
            return 0;
        }
    }
    return text.len == LA_CONFIRM_LEN;
}

/* Copies a thumbprint. Returns the bit of its member, or LA_CONFIRM_UNKNOWN if it is none. */
static uint32_t take_thumbprint(const la_json_t *value, uint32_t member,
                                char into[LA_CONFIRM_LEN + 1])
{
    la_slice_t text;

    if (!la_json_string(value, &text) || !is_thumbprint(text)) {
        return LA_CONFIRM_UNKNOWN;
    }
    memcpy(into, text.data, LA_CONFIRM_LEN);
    return member;
}

/* Keycloak says beside a `jkt` what kind of key it is of. "DPoP" is what a `jkt` means anyway;
 * "Client-Attestation" is another proof, which we do not know. */
static uint32_t take_kind(const la_json_t *value)
{
    la_slice_t text;

    return la_json_string(value, &text) && la_slice_is(text, "DPoP") ? 0 : LA_CONFIRM_UNKNOWN;
}

/* Returns the bit of the member; 0 if it says nothing more than the others do. */
static uint32_t take_member(la_slice_t name, const la_json_t *value,
                            la_confirmation_t *confirmation)
{
    if (la_slice_is(name, "jkt")) {
        return take_thumbprint(value, LA_CONFIRM_JKT, confirmation->jkt);
    }
    if (la_slice_is(name, "x5t#S256")) {
        return take_thumbprint(value, LA_CONFIRM_X5T, confirmation->x5t_s256);
    }
    return la_slice_is(name, "kc-jkt-type") ? take_kind(value) : LA_CONFIRM_UNKNOWN;
}

int la_confirmation_read(const la_json_t *claims, int null_is_absent,
                         la_confirmation_t *confirmation)
{
    la_json_iterator_t it = {0};
    const la_json_t *cnf;
    const la_json_t *value;
    la_slice_t name;

    *confirmation = (la_confirmation_t){0};
    if (!la_json_member(claims, "cnf", &cnf) || (!cnf && null_is_absent)) {
        return 0;
    }
    while (la_json_next(cnf, &it, &name, &value)) {
        confirmation->members |= take_member(name, value, confirmation);
    }
    if (confirmation->members == 0) {
        confirmation->members = LA_CONFIRM_UNKNOWN;
    }
    return 1;
}

/* Whether a text is a thumbprint if the member is there, and zero bytes if not. */
static int text_is_sound(const char text[LA_CONFIRM_LEN + 1], uint32_t is_there)
{
    static const char zero[LA_CONFIRM_LEN + 1];

    return is_there
               ? is_thumbprint((la_slice_t){text, LA_CONFIRM_LEN}) && text[LA_CONFIRM_LEN] == '\0'
               : memcmp(text, zero, sizeof(zero)) == 0;
}

int la_confirmation_check(const la_confirmation_t *confirmation)
{
    uint32_t members = confirmation->members;

    return members != 0 && (members & ~KNOWN) == 0 &&
           text_is_sound(confirmation->jkt, members & LA_CONFIRM_JKT) &&
           text_is_sound(confirmation->x5t_s256, members & LA_CONFIRM_X5T);
}

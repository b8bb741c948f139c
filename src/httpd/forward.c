/* Tells the rest of the server who the caller is. Called once the caller is known, and again
 * for each internal redirect and subrequest that inherits the caller.
 */
#include "httpd/forward.h"

#include <apr_strings.h>

typedef void set_note_fn(apr_table_t *notes, const char *name, const char *value);

void la_forward_user(request_rec *r, const char *principal)
{
    r->user = apr_pstrdup(r->pool, principal);
    r->ap_auth_type = (char *)"Bearer";
}

/* Takes away what another caller, of another section's providers, left in the notes. */
static void forget_caller(apr_table_t *notes)
{
    const apr_array_header_t *set = apr_table_elts(notes);
    int i;

    for (i = set->nelts - 1; i >= 0; i--) {
        const char *name = APR_ARRAY_IDX(set, i, apr_table_entry_t).key;

        if (strncmp(name, LA_NOTE_ATTRIBUTE_PREFIX, sizeof(LA_NOTE_ATTRIBUTE_PREFIX) - 1) == 0) {
            apr_table_unset(notes, name);
            i = i < set->nelts ? i : set->nelts;
        }
    }
    apr_table_unset(notes, LA_NOTE_MESSAGE);
}

void la_forward_caller(request_rec *r, const la_request_t *state)
{
    const la_identity_t *identity = state->identity;
    la_slice_t message = la_identity_message(identity);
    apr_size_t count = la_identity_count(identity);
    set_note_fn *set =
        apr_table_addn; /* the first time there is nothing to replace or to search for */
    apr_size_t i;

    if (apr_table_get(r->notes, LA_NOTE_PRINCIPAL)) {
        forget_caller(r->notes);
        set = apr_table_setn;
    }
    la_forward_user(r, state->principal);
    set(r->notes, LA_NOTE_PRINCIPAL, state->principal);
    apr_table_setn(r->notes, LA_NOTE_CLIENT_ID, state->client_id);
    set(r->notes, LA_NOTE_PROVIDER, state->provider->name);
    set(r->notes, LA_NOTE_ATTRIBUTES, la_identity_attributes_json(identity).data);
    if (message.len) {
        set(r->notes, LA_NOTE_MESSAGE, message.data);
    }
    for (i = 0; i < count; i++) {
        const char *name;
        const char *value;

        la_identity_note(identity, i, &name, &value);
        set(r->notes, name, value);
    }
}

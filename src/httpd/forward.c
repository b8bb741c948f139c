/* Tells the rest of the server who the caller is. Called once the caller is known, and again
 * for each internal redirect and subrequest that inherits the caller.
 */
#include "httpd/forward.h"

#include <apr_strings.h>

void la_forward_caller(request_rec *r, const la_request_t *state)
{
    const la_identity_t *identity = state->identity;
    la_slice_t message = la_identity_message(identity);
    apr_size_t count = la_identity_count(identity);
    apr_size_t i;

    r->user = apr_pstrdup(r->pool, state->principal);
    r->ap_auth_type = (char *)"Bearer";
    apr_table_setn(r->notes, LA_NOTE_PRINCIPAL, state->principal);
    apr_table_setn(r->notes, LA_NOTE_CLIENT_ID, state->client_id);
    apr_table_setn(r->notes, LA_NOTE_PROVIDER, state->provider->name);
    apr_table_setn(r->notes, LA_NOTE_ATTRIBUTES, la_identity_attributes_json(identity).data);
    if (message.len) {
        apr_table_setn(r->notes, LA_NOTE_MESSAGE, message.data);
    }
    for (i = 0; i < count; i++) {
        const char *name;
        const char *value;

        la_identity_note(identity, i, &name, &value);
        apr_table_setn(r->notes, name, value);
    }
}

/* Keeps la_request_t in httpd's request_config. One thread works on a request at a time. */
#include "httpd/request.h"

extern module AP_MODULE_DECLARE_DATA llama_auth_module;

la_request_t *la_request_get(const request_rec *r)
{
    return ap_get_module_config(r->request_config, &llama_auth_module);
}

la_request_t *la_request_make(request_rec *r)
{
    la_request_t *state = la_request_get(r);

    if (!state) {
        state = apr_pcalloc(r->pool, sizeof(*state));
        ap_set_module_config(r->request_config, &llama_auth_module, state);
    }
    return state;
}

void la_request_take_caller(la_request_t *state, const la_request_t *from)
{
    state->use = from->use;
    state->uri = from->uri;
    state->args = from->args;
    state->resource = from->resource;
    state->provider = from->provider;
    state->identity = from->identity;
    state->principal = from->principal;
    memcpy(state->client_id, from->client_id, sizeof(state->client_id));
}

/* Finds, makes and keeps the memory of proofs (shm/replay.h), and beside it, in the parent's own
 * memory, what must not be in shared bytes: the points of its hashes and the key of nonces.
 *
 * Once it is made it stays, so that a configuration that needs none for a while forgets nothing.
 * The parent never looks into it.
 */
#include "httpd/proof_memory.h"

#include "base/hash.h"
#include "httpd/config/registry.h"
#include "shm/memory.h"

#include <apr_general.h>

#include <string.h>

/* Under this name httpd keeps the memory over restarts, also into another version of the module. */
#define RETAINED_KEY "mod_llama_auth proofs " APR_STRINGIFY(LA_REPLAY_LAYOUT)

/* What outlives a restart. */
typedef struct retained_t {
    la_memory_t memory;
    uint64_t points[2];
    unsigned char nonce_key[LA_NONCE_KEY_BYTES];
} retained_t;

static retained_t *retained;

_Static_assert(LA_REPLAY_ALIGN <= LA_MEMORY_ALIGN, "the memory is aligned");

/* Whether some provider's tokens may be bound to a key. */
static int is_wanted(void)
{
    const apr_array_header_t *providers = la_registry_providers();

    for (int i = 0; i < providers->nelts; i++) {
        const la_provider_t *provider = APR_ARRAY_IDX(providers, i, la_provider_entry_t).provider;

        if (provider->common.binding != LA_BINDING_IGNORE) {
            return 1;
        }
    }
    return 0;
}

static apr_status_t draw_secrets(retained_t *made)
{
    unsigned char random[16];
    apr_status_t rv = apr_generate_random_bytes(random, sizeof(random));

    if (rv == APR_SUCCESS) {
        rv = apr_generate_random_bytes(made->nonce_key, sizeof(made->nonce_key));
    }
    made->points[0] = la_hash_point(random);
    made->points[1] = la_hash_point(random + 8);
    return rv;
}

apr_status_t la_proof_memory_create(server_rec *s)
{
    retained_t made;
    apr_status_t rv;

    retained = ap_retained_data_get(RETAINED_KEY);
    if (!retained) {
        retained = ap_retained_data_create(RETAINED_KEY, sizeof(*retained));
    }
    if (!is_wanted() || retained->memory.pool) {
        return APR_SUCCESS;
    }
    rv = la_memory_make(&made.memory, LA_REPLAY_BYTES, s->process->pool);
    if (rv == APR_SUCCESS) {
        rv = draw_secrets(&made);
    }
    if (rv == APR_SUCCESS) {
        rv = la_replay_format(made.memory.bytes, made.memory.size, apr_time_now());
    }
    if (rv == APR_SUCCESS) {
        *retained = made;
    } else {
        la_memory_free(&made.memory);
    }
    return rv;
}

apr_status_t la_proof_memory_attach(la_holder_t *life, apr_pool_t *pool, la_shared_t *shared)
{
    if (!is_wanted()) {
        return APR_SUCCESS;
    }
    shared->nonce_key = retained->nonce_key;
    return la_replay_attach(retained->memory.bytes, retained->memory.size, retained->points, life,
                            pool, &shared->proofs);
}

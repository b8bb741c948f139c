/* Wraps apr_shm, whose memory may begin anywhere. */
#include "shm/memory.h"

#include <apr_shm.h>

apr_status_t la_memory_make(la_memory_t *memory, apr_size_t size, apr_pool_t *parent)
{
    apr_shm_t *shm;
    apr_uintptr_t base;
    apr_pool_t *pool;
    apr_status_t rv = apr_pool_create(&pool, parent);

    *memory = (la_memory_t){0};
    if (rv != APR_SUCCESS) {
        return rv;
    }
    apr_pool_tag(pool, "llama_auth memory");
    rv = apr_shm_create(&shm, size + LA_MEMORY_ALIGN, NULL, pool);
    if (rv != APR_SUCCESS) {
        apr_pool_destroy(pool);
        return rv;
    }
    base = (apr_uintptr_t)apr_shm_baseaddr_get(shm);
    *memory = (la_memory_t){
        pool, (char *)((base + LA_MEMORY_ALIGN - 1) / LA_MEMORY_ALIGN * LA_MEMORY_ALIGN), size};
    return APR_SUCCESS;
}

void la_memory_free(la_memory_t *memory)
{
    if (memory->pool) {
        apr_pool_destroy(memory->pool);
    }
    *memory = (la_memory_t){0};
}

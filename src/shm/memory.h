/* Anonymous shared memory, which forked processes inherit. The parent makes and frees it. */
#pragma once

#include <apr_pools.h>

/* Cache lines: what all structures here need. */
#define LA_MEMORY_ALIGN 64

/* Zeroed, it is none. */
typedef struct la_memory_t {
    apr_pool_t *pool; /* of the memory and of what describes it; NULL: there is none */
    char *bytes;      /* aligned to LA_MEMORY_ALIGN, zeroed at first */
    apr_size_t size;
} la_memory_t;

/* Makes memory of `size` bytes. memory: zeroed on failure. Returns APR_SUCCESS or what failed. */
apr_status_t la_memory_make(la_memory_t *memory, apr_size_t size, apr_pool_t *parent);

/* Frees it, with its pool, in this process; children keep what they have mapped. */
void la_memory_free(la_memory_t *memory);

/* Bytes are copied: what comes from a network holds 8 KB for a byte, if bytes come one by one. One
 * thread at a time. */
#include "io/spool.h"

#include <apr_file_io.h>
#include <apr_strings.h>

#include <string.h>

#define BLOCK_BYTES ((apr_size_t)8192)
#define BLOCKS      (LA_SPOOL_MEMORY_BYTES / BLOCK_BYTES)

struct la_spool_t {
    apr_pool_t *pool;
    apr_size_t memory_bytes;
    apr_file_t *file; /* NULL while memory suffices */
    apr_off_t file_bytes;
    char *blocks[BLOCKS]; /* each in full, except the last */
};

la_spool_t *la_spool_make(apr_pool_t *pool)
{
    la_spool_t *spool = apr_pcalloc(pool, sizeof(*spool));

    spool->pool = pool;
    return spool;
}

/* Makes a file, 0600, that has no name by the time anything is written to it. */
static apr_status_t make_file(la_spool_t *spool)
{
    const char *folder;
    char *name;
    apr_status_t rv = apr_temp_dir_get(&folder, spool->pool);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    name = apr_pstrcat(spool->pool, folder, "/llama_auth.XXXXXX", NULL);
    rv = apr_file_mktemp(&spool->file, name,
                         APR_FOPEN_CREATE | APR_FOPEN_READ | APR_FOPEN_WRITE | APR_FOPEN_EXCL |
                             APR_FOPEN_BINARY,
                         spool->pool);
    return rv == APR_SUCCESS ? apr_file_remove(name, spool->pool) : rv;
}

static apr_status_t add_to_file(la_spool_t *spool, la_slice_t bytes)
{
    apr_status_t rv = spool->file ? APR_SUCCESS : make_file(spool);

    if (rv == APR_SUCCESS) {
        rv = apr_file_write_full(spool->file, bytes.data, bytes.len, NULL);
    }
    if (rv == APR_SUCCESS) {
        spool->file_bytes += (apr_off_t)bytes.len;
    }
    return rv;
}

/* Copies what the last block has room for. Returns how much that was; 0 when memory is used up. */
static apr_size_t add_to_block(la_spool_t *spool, la_slice_t bytes)
{
    apr_size_t block = spool->memory_bytes / BLOCK_BYTES;
    apr_size_t used = spool->memory_bytes % BLOCK_BYTES;
    apr_size_t len = bytes.len < BLOCK_BYTES - used ? bytes.len : BLOCK_BYTES - used;

    if (block == BLOCKS) {
        return 0;
    }
    if (used == 0) {
        spool->blocks[block] = apr_palloc(spool->pool, BLOCK_BYTES);
    }
    memcpy(spool->blocks[block] + used, bytes.data, len);
    spool->memory_bytes += len;
    return len;
}

apr_status_t la_spool_add(la_spool_t *spool, la_slice_t bytes)
{
    while (bytes.len > 0) {
        apr_size_t len = add_to_block(spool, bytes);

        if (len == 0) {
            return add_to_file(spool, bytes);
        }
        bytes.data += len;
        bytes.len -= len;
    }
    return APR_SUCCESS;
}

apr_off_t la_spool_size(const la_spool_t *spool)
{
    return (apr_off_t)spool->memory_bytes + spool->file_bytes;
}

void la_spool_copy(const la_spool_t *spool, apr_bucket_brigade *bb)
{
    for (apr_size_t at = 0; at < spool->memory_bytes; at += BLOCK_BYTES) {
        apr_size_t left = spool->memory_bytes - at;

        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_pool_create(spool->blocks[at / BLOCK_BYTES],
                                                           left < BLOCK_BYTES ? left : BLOCK_BYTES,
                                                           spool->pool, bb->bucket_alloc));
    }
    if (spool->file) {
        apr_brigade_insert_file(bb, spool->file, 0, spool->file_bytes, spool->pool);
    }
}

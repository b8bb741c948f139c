/* spool.c: bytes in memory and in a file, given from the beginning each time. */
#include "support.h"

#include "io/spool.h"

static void fill(la_spool_t *spool, apr_size_t total, apr_size_t part)
{
    char *bytes = malloc(part);

    for (apr_size_t at = 0; at < total; at += part) {
        apr_size_t len = total - at < part ? total - at : part;

        for (apr_size_t i = 0; i < len; i++) {
            bytes[i] = (char)((at + i) * 7 + (at + i) / 251);
        }
        assert_int_equal(la_spool_add(spool, (la_slice_t){bytes, len}), APR_SUCCESS);
    }
    free(bytes);
}

static void check(const la_spool_t *spool, apr_bucket_brigade *bb, apr_size_t total)
{
    char *bytes = malloc(total + 1);
    apr_size_t len = total + 1;

    assert_int_equal(la_spool_size(spool), total);
    la_spool_copy(spool, bb);
    assert_int_equal(apr_brigade_flatten(bb, bytes, &len), APR_SUCCESS);
    assert_int_equal(len, total);
    for (apr_size_t i = 0; i < total; i++) {
        assert_int_equal(bytes[i], (char)(i * 7 + i / 251));
    }
    apr_brigade_cleanup(bb);
    free(bytes);
}

static void test_sizes(void **state)
{
    static const apr_size_t sizes[] = {
        0, 1, LA_SPOOL_MEMORY_BYTES, 100000, LA_SPOOL_MEMORY_BYTES + 1, 1000000};

    (void)state;
    for (size_t i = 0; i < ROWS(sizes); i++) {
        apr_pool_t *pool = new_pool();
        apr_bucket_alloc_t *allocator = apr_bucket_alloc_create(pool);
        apr_bucket_brigade *bb = apr_brigade_create(pool, allocator);
        la_spool_t *spool = la_spool_make(pool);

        fill(spool, sizes[i], 7001);
        check(spool, bb, sizes[i]);
        check(spool, bb, sizes[i]);
        apr_pool_destroy(pool);
    }
}

static void test_memory(void **state)
{
    apr_pool_t *pool = new_pool();
    apr_bucket_alloc_t *allocator = apr_bucket_alloc_create(pool);
    apr_bucket_brigade *bb = apr_brigade_create(pool, allocator);
    la_spool_t *spool = la_spool_make(pool);
    int buckets = 0;

    (void)state;
    fill(spool, 100000, 1);
    la_spool_copy(spool, bb);
    for (apr_bucket *b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb);
         b = APR_BUCKET_NEXT(b)) {
        buckets++;
    }
    assert_true(buckets <= 20); /* bytes that come one by one do not take a bucket each */
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    add("sizes", test_sizes, NULL);
    add("bytes one by one", test_memory, NULL);
    return finish("spool");
}

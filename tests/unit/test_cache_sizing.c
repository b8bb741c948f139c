/* README.md's formula for LlamaAuthCacheSize: with a size of 2 x identities x chunks x 384 bytes,
 * all but one in a thousand are still there once every one was stored; of large ones all but one in
 * a hundred. */
#include "caches.h"

#define CHUNK_BYTES 384
#define ROOM_BYTES  16384

typedef struct sizing_case_t {
    const char *name;
    apr_size_t identities;
    apr_size_t bytes; /* of an identity */
    apr_size_t chunks;
    apr_size_t lost_in; /* at most one in so many is lost */
} sizing_case_t;

static const sizing_case_t sizing_cases[] = {
    {"10,000 of 200 bytes", 10000, 200, 1, 1000},   {"50,000 of 264 bytes", 50000, 264, 1, 1000},
    {"50,000 of 265 bytes", 50000, 272, 2, 1000},   {"20,000 of 600 bytes", 20000, 600, 2, 1000},
    {"10,000 of 2,000 bytes", 10000, 2000, 6, 100},
};

/* README: one chunk for up to 264 bytes, one more for each further 368. */
static apr_size_t chunks_of(apr_size_t size_bytes)
{
    return size_bytes <= 264 ? 1 : 1 + (size_bytes - 264 + 367) / 368;
}

/* An identity of exactly that size: a principal alone, long enough. */
static const la_identity_t *identity_of(apr_size_t size_bytes)
{
    apr_size_t len;

    for (len = 1; len < size_bytes; len++) {
        la_identity_builder_t *builder = la_identity_builder_make(pool);
        const la_identity_t *identity;
        char *principal = apr_palloc(pool, len);

        memset(principal, 'x', len);
        la_identity_set_principal(builder, (la_slice_t){principal, len});
        assert_null(la_identity_build(builder, pool, &identity));
        if (la_identity_size(identity) >= size_bytes) {
            assert_int_equal(la_identity_size(identity), size_bytes);
            return identity;
        }
    }
    fail();
    return NULL;
}

static void *room_in(void *buffer, apr_size_t len)
{
    return len <= ROOM_BYTES ? buffer : NULL;
}

static void test_formula(void **state)
{
    const sizing_case_t *row = *state;
    apr_size_t kept = 0;
    la_cache_times_t times = {.ttl_us = HOUR};
    const la_identity_t *identity;

    assert_int_equal(chunks_of(row->bytes), row->chunks);
    assert_int_equal(make_cache_of(row->identities * row->chunks * CHUNK_BYTES * 2 / 4096 * 4096),
                     0);
    identity = identity_of(row->bytes);
    for (apr_size_t i = 0; i < row->identities; i++) {
        la_cache_key_t key = key_of(i);

        la_cache_accept(cache, &key, asked(cache), identity, &times, NOW_US);
    }
    for (apr_size_t i = 0; i < row->identities; i++) {
        la_cache_key_t key = key_of(i);
        la_table_entry_t entry;
        _Alignas(8) char value[ROOM_BYTES];

        kept += la_table_get(la_cache_accepted(cache), key.bytes, NOW_US, room_in, value, &entry) ==
                LA_TABLE_FRESH;
    }
    assert_true((row->identities - kept) * row->lost_in <= row->identities);
    drop_cache(NULL);
}

int main(void)
{
    apr_initialize();
    for (size_t i = 0; i < ROWS(sizing_cases); i++) {
        add(sizing_cases[i].name, test_formula, (void *)(uintptr_t)&sizing_cases[i]);
    }
    return run_added("cache_sizing");
}

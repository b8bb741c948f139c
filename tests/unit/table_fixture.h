/* What the test programs of the shared-memory table have in common: a table over bytes of its own,
 * and values that describe themselves, so that any mixture of two is recognised.
 */
#ifndef LA_TABLE_FIXTURE_H
#define LA_TABLE_FIXTURE_H

#include "shm/table.h"

#include "lives.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SECONDS(n) ((apr_time_t)(n)*APR_USEC_PER_SEC)
#define NOW_US     SECONDS(1700000000)
#define VALUE_MAX  LA_TABLE_VALUE_MAX_BYTES
#define WAYS       128
#define YEARS(n)   ((apr_int64_t)(n)*365 * 86400)

typedef struct table_fixture_t {
    apr_pool_t *pool;
    void *bytes;
    apr_size_t size;
    la_table_t *table;
} table_fixture_t;

/* Formats bytes whatever they hold. */
static inline apr_status_t format(void *bytes, apr_size_t size)
{
    memset(bytes, 0, size);
    return la_table_format(bytes, size);
}

/* Makes a table of so many groups, 45 at most. Shared: a mapping that children see; else a heap
 * block whose ends AddressSanitizer watches. */
static inline table_fixture_t table_fixture_make(unsigned groups, int shared)
{
    table_fixture_t f = {NULL, NULL, groups * la_table_bytes_min(), NULL};

    apr_pool_create(&f.pool, NULL);
    f.bytes = shared ? mmap(NULL, f.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)
                     : aligned_alloc(LA_TABLE_ALIGN, f.size);
    if (format(f.bytes, f.size) != APR_SUCCESS ||
        la_table_attach(f.bytes, f.size, test_holder(), f.pool, &f.table) != APR_SUCCESS) {
        abort();
    }
    return f;
}

static inline void table_fixture_drop(table_fixture_t *f, int shared)
{
    apr_pool_destroy(f->pool);
    if (shared) {
        munmap(f->bytes, f->size);
    } else {
        free(f->bytes);
    }
}

static inline uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline void key_of(uint64_t number, unsigned char *key)
{
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t word = mix(number * 4 + i);

        memcpy(key + 8 * i, &word, 8);
    }
}

/* ---- values that describe themselves ------------------------------------------- */

/* The lengths that versions of a value go through: all shapes of a chain. */
static inline apr_size_t len_of(uint64_t version)
{
    static const unsigned short lens[] = {24,  200,  264, 265,  632,   40,    633,  1000,
                                          250, 4000, 32,  2000, 16384, 17408, 3000, 100};

    return lens[version % (sizeof(lens) / sizeof(lens[0]))];
}

static inline unsigned char byte_of(uint64_t number, uint64_t version, apr_size_t i)
{
    return (unsigned char)(mix(number * 1000003 + version * 31 + i / 8) >> (8 * (i % 8)));
}

/* Which entry and which version a piece of metadata belongs to: its client tag says so. */
static inline uint32_t number_in(const la_table_meta_t *meta)
{
    uint32_t number;

    memcpy(&number, meta->client_tag, sizeof(number));
    return number;
}

static inline uint32_t version_in(const la_table_meta_t *meta)
{
    uint32_t version;

    memcpy(&version, meta->client_tag + sizeof(version), sizeof(version));
    return version;
}

static inline void set_numbers(la_table_meta_t *meta, uint64_t number, uint64_t version)
{
    uint32_t numbers[2] = {(uint32_t)number, (uint32_t)version};

    memcpy(meta->client_tag, numbers, sizeof(numbers));
}

/* Fills a value of len_of(version) bytes and its metadata. */
static inline apr_size_t describe(uint64_t number, uint64_t version, unsigned char *value,
                                  la_table_meta_t *meta)
{
    apr_size_t len = len_of(version);

    for (apr_size_t i = 0; i < len; i += 8) {
        uint64_t word = mix(number * 1000003 + version * 31 + i / 8);

        memcpy(value + i, &word, len - i < 8 ? len - i : 8);
    }
    memset(meta, (int)byte_of(number, version, VALUE_MAX), sizeof(*meta));
    set_numbers(meta, number, version);
    return len;
}

/* Whether an entry is exactly what describe() gave for this key and some version. */
static inline int is_whole(uint64_t number, const la_table_entry_t *entry)
{
    static __thread unsigned char value[VALUE_MAX];
    la_table_meta_t meta;
    apr_size_t len = describe(number, version_in(&entry->meta), value, &meta);

    return entry->len == len &&
           memcmp(entry->meta.client_tag, meta.client_tag, sizeof(meta.client_tag)) == 0 &&
           memcmp(entry->meta.principal_tag, meta.principal_tag, sizeof(meta.principal_tag)) == 0 &&
           memcmp(entry->value, value, len) == 0;
}

static inline void *room_of(void *context, apr_size_t len)
{
    if (len > VALUE_MAX) {
        abort(); /* the table promises not to ask for more */
    }
    return context;
}

/* Stores version `version` of entry `number` for an hour. */
static inline apr_status_t put_version(const la_table_t *table, uint64_t number, uint64_t version,
                                       apr_time_t now_us)
{
    static __thread unsigned char value[VALUE_MAX];
    unsigned char key[LA_TABLE_KEY_BYTES];
    la_table_meta_t meta;
    apr_size_t len = describe(number, version, value, &meta);

    key_of(number, key);
    meta.expires_us = now_us + SECONDS(3600);
    meta.stale_until_us = 0;
    meta.stored_us = now_us;
    return la_table_put(table, key, &meta, (la_slice_t){(const char *)value, len}, NULL);
}

/* Returns 1 for a hit, 0 for a miss, -1 for an entry that nobody stored. */
static inline int get_whole(const la_table_t *table, uint64_t number, apr_time_t now_us)
{
    static __thread unsigned char value[VALUE_MAX];
    unsigned char key[LA_TABLE_KEY_BYTES];
    la_table_entry_t entry;

    key_of(number, key);
    if (la_table_get(table, key, now_us, room_of, value, &entry) == LA_TABLE_MISS) {
        return 0;
    }
    return is_whole(number, &entry) ? 1 : -1;
}

/* ---- a table of one group for each test --------------------------------------------- */

static table_fixture_t f;

static inline int set_up(void **state)
{
    (void)state;
    f = table_fixture_make(1, 0);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    table_fixture_drop(&f, 0);
    return 0;
}

static inline int hit(uint64_t number, apr_time_t now_us)
{
    return get_whole(f.table, number, now_us);
}

static inline void put(uint64_t number, uint64_t version, apr_time_t now_us)
{
    assert_int_equal(put_version(f.table, number, version, now_us), APR_SUCCESS);
}

static inline int remove_number(uint64_t number)
{
    unsigned char key[LA_TABLE_KEY_BYTES];

    key_of(number, key);
    return la_table_remove(f.table, key);
}

static inline la_table_stats_t stats(void)
{
    la_table_stats_t result;

    la_table_stats(f.table, &result);
    return result;
}

/* Version 0 has 24 bytes: one chunk. */
static inline void fill(apr_time_t first_us)
{
    for (unsigned i = 0; i < WAYS; i++) {
        put(i, 0, first_us + SECONDS(i));
    }
}

static inline int is_number(void *context, const la_table_meta_t *meta)
{
    return number_in(meta) == *(const apr_uint32_t *)context;
}

#define PLAIN(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif

/* A table in shared memory that somebody wrote into: the input is a list of (offset, length, bytes)
 * written over a table that has entries; every operation ends and stays inside, and what is found
 * has the length that its room was asked for. */
#include "shm/table.h"

#include "../unit/lives.h"
#include "../unit/table_validate.h"
#include "fuzz.h"

#define NOW APR_TIME_C(1700000000000000)

typedef struct room_t {
    char *bytes;
    apr_size_t len;
} room_t;

/* Exact rooms, so that ASan sees a copy that is too long. */
static void *make_room(void *context, apr_size_t len)
{
    room_t *room = context;

    free(room->bytes);
    room->bytes = malloc(len ? len : 1);
    room->len = len;
    return room->bytes;
}

static void key_of(unsigned char key[LA_TABLE_KEY_BYTES], unsigned number)
{
    memset(key, (int)number, LA_TABLE_KEY_BYTES);
    memcpy(key + 5, &number, sizeof(number));
}

static int drop_odd(void *context, const la_table_meta_t *meta)
{
    (void)context;
    return meta->client_tag[0] % 2;
}

static void use(const la_table_t *table)
{
    unsigned number;
    room_t room = {NULL, 0};
    la_table_stats_t stats;

    for (number = 0; number < 40; number++) {
        unsigned char key[LA_TABLE_KEY_BYTES];
        la_table_meta_t meta = {
            .stored_us = NOW, .expires_us = NOW + 1000000, .client_tag = {(unsigned char)number}};
        la_table_entry_t entry;

        key_of(key, number);
        if (la_table_get(table, key, NOW, make_room, &room, &entry) != LA_TABLE_MISS) {
            HOLDS(entry.len <= LA_TABLE_VALUE_MAX_BYTES && entry.len == room.len);
        }
        if (number % 3 == 0) {
            la_table_remove(table, key);
        } else if (number % 3 == 1) {
            la_table_put(table, key, &meta, (la_slice_t){"value", number % 2 ? 5 : 0}, NULL);
        }
    }
    la_table_sweep(table, drop_odd, NULL);
    la_table_stats(table, &stats);
    la_table_validate(table);
    free(room.bytes);
}

static void fill(const la_table_t *table)
{
    static const char value[3000] = "value";
    unsigned number;

    for (number = 0; number < 30; number++) {
        unsigned char key[LA_TABLE_KEY_BYTES];
        la_table_meta_t meta = {
            .stored_us = NOW, .expires_us = NOW + 1000000, .client_tag = {(unsigned char)number}};

        key_of(key, number);
        la_table_put(table, key, &meta, (la_slice_t){value, number * 100 % sizeof(value)}, NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    apr_size_t bytes = la_table_bytes_min();
    char *memory = aligned_alloc(LA_TABLE_ALIGN,
                                 (bytes + LA_TABLE_ALIGN - 1) / LA_TABLE_ALIGN * LA_TABLE_ALIGN);
    la_table_t *table;

    memset(memory, 0, bytes);
    HOLDS(la_table_format(memory, bytes) == APR_SUCCESS);
    HOLDS(la_table_attach(memory, bytes, test_holder(), pool, &table) == APR_SUCCESS);
    fill(table);
    HOLDS(la_table_validate(table) == NULL);
    while (size >= 5) {
        apr_size_t offset =
            ((apr_size_t)data[0] << 16 | (apr_size_t)data[1] << 8 | data[2]) % bytes;
        apr_size_t len = data[3] % 16 + 1;

        len = len > size - 4 ? size - 4 : len;
        len = len > bytes - offset ? bytes - offset : len;
        memcpy(memory + offset, data + 4, len);
        data += 4 + len;
        size -= 4 + len;
    }
    use(table);
    free(memory);
    apr_pool_destroy(pool);
    return 0;
}

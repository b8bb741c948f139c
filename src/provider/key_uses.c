/* Layout: BUCKETS buckets of a cache line each, of SLOTS words:
 *
 *     | tag: 32 bits of the mark, not 0 | seconds since 1970: 32 bits |
 *
 * A word is replaced by one compare-and-swap, so a reader never sees half of it and a process may
 * die anywhere. Two processes may note one key in two words; the later counts. */
#include "provider/key_uses.h"

#define BUCKETS 2048
#define SLOTS   8

typedef struct bucket_t {
    uint64_t words[SLOTS];
} bucket_t;

static bucket_t *bucket_of(void *table, uint64_t mark)
{
    return (bucket_t *)table + mark % BUCKETS;
}

static uint64_t tag_of(uint64_t mark)
{
    uint64_t tag = mark >> 32 << 32;

    return tag ? tag : (uint64_t)1 << 32;
}

static int has_tag(uint64_t word, uint64_t tag)
{
    return (word & ~(uint64_t)UINT32_MAX) == tag;
}

apr_size_t la_key_uses_bytes(void)
{
    return BUCKETS * sizeof(bucket_t);
}

void la_key_uses_note(void *table, uint64_t mark, apr_time_t now)
{
    uint32_t second = (uint32_t)apr_time_sec(now);
    bucket_t *bucket = bucket_of(table, mark);
    uint64_t tag = tag_of(mark);
    uint64_t *chosen = NULL;
    uint64_t old = 0;

    for (int i = 0; i < SLOTS; i++) {
        uint64_t word = __atomic_load_n(&bucket->words[i], __ATOMIC_RELAXED);

        if (has_tag(word, tag)) {
            if ((uint32_t)word >= second) {
                return;
            }
            chosen = &bucket->words[i];
            old = word;
            break;
        }
        if (!chosen || (uint32_t)word < (uint32_t)old) {
            chosen = &bucket->words[i];
            old = word;
        }
    }
    /* If it fails, somebody else noted a use in this moment. */
    (void)__atomic_compare_exchange_n(chosen, &old, tag | second, 0, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED);
}

apr_time_t la_key_uses_last(void *table, uint64_t mark)
{
    const bucket_t *bucket = bucket_of(table, mark);
    uint32_t last = 0;

    for (int i = 0; i < SLOTS; i++) {
        uint64_t word = __atomic_load_n(&bucket->words[i], __ATOMIC_RELAXED);

        if (has_tag(word, tag_of(mark)) && (uint32_t)word > last) {
            last = (uint32_t)word;
        }
    }
    return apr_time_from_sec(last);
}

/* NH of UMAC (RFC 4418, section 5.2) with words of 64 bits: a sum of products, each of one block's
 * two words after two words of the key were added. A second sum takes the key two words later. For
 * lists of the same number of blocks each sum collides with a probability of at most 2^-64. */
#include "base/checksum.h"

#include <apr_general.h>

#include <pthread.h>
#include <string.h>

#define BLOCKS_MAX 1088
#define BLOCK      16

__extension__ typedef unsigned __int128 uint128_t;

typedef struct sums_t {
    uint128_t first;
    uint128_t second;
    apr_size_t blocks;
} sums_t;

static uint64_t key[2 * BLOCKS_MAX + 2];
static int has_key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void draw_key(void)
{
    has_key = apr_generate_random_bytes((unsigned char *)key, sizeof(key)) == APR_SUCCESS;
}

static inline void add_block(sums_t *sums, uint64_t a, uint64_t b)
{
    const uint64_t *k = key + 2 * sums->blocks++;

    sums->first += (uint128_t)(a + k[0]) * (b + k[1]);
    sums->second += (uint128_t)(a + k[2]) * (b + k[3]);
}

static inline uint64_t load(const char *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof(word));
    return word;
}

/* The bytes that are no whole block: at most 15. */
static inline void add_rest(sums_t *sums, const char *data, apr_size_t len)
{
    uint64_t word = 0;
    apr_size_t i;

    if (len >= sizeof(word)) {
        add_block(sums, load(data), load(data + len - sizeof(word)));
        return;
    }
    for (i = 0; i < len; i++) {
        word = word << 8 | (unsigned char)data[i];
    }
    add_block(sums, word, 0);
}

static inline void add_part(sums_t *sums, la_slice_t part)
{
    apr_size_t len = part.data ? part.len : 0;
    apr_size_t i;

    add_block(sums, len, part.data != NULL);
    for (i = 0; len - i >= BLOCK; i += BLOCK) {
        add_block(sums, load(part.data + i), load(part.data + i + BLOCK / 2));
    }
    if (i < len) {
        add_rest(sums, part.data + i, len - i);
    }
}

int la_checksum_make(const la_slice_t *parts, apr_size_t count, la_checksum_t *checksum)
{
    sums_t sums = {0};
    apr_size_t i;

    memset(checksum, 0, sizeof(*checksum));
    pthread_once(&key_once, draw_key);
    for (i = 0; has_key && i < count; i++) {
        if (parts[i].len / BLOCK + 2 > BLOCKS_MAX - sums.blocks) {
            return 0;
        }
        add_part(&sums, parts[i]);
    }
    *checksum = (la_checksum_t){{(uint64_t)sums.first, (uint64_t)(sums.first >> 64),
                                 (uint64_t)sums.second, (uint64_t)(sums.second >> 64)},
                                sums.blocks};
    return has_key;
}

int la_checksum_equals(const la_checksum_t *a, const la_checksum_t *b)
{
    uint64_t difference = a->blocks ^ b->blocks;
    int i;

    for (i = 0; i < 4; i++) {
        difference |= a->sums[i] ^ b->sums[i];
    }
    return difference == 0;
}

/* The keyed hash: a polynomial over the prime 2^61 - 1 whose coefficients are the key's bytes,
 * seven at a time, at a random point. Two keys of n bytes that were chosen without knowing the
 * point fall into the same of 2^b buckets with a probability of at most about n/3 in 2^b. APR's
 * hash function takes no context, so the point is a static, drawn once. Any thread. */
#include "base/hash.h"

#include <apr_general.h>
#include <apr_time.h>

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#define PRIME_BITS  61
#define PRIME       (((uint64_t)1 << PRIME_BITS) - 1)
#define CHUNK_BYTES 7 /* the most that is always below the prime */

static uint64_t point;
static pthread_once_t point_once = PTHREAD_ONCE_INIT;

static void draw_point(void)
{
    unsigned char random[8];

    /* Without random bytes the hash works too, but can be guessed. */
    if (apr_generate_random_bytes(random, sizeof(random)) != APR_SUCCESS) {
        apr_time_t now = apr_time_now();

        memcpy(random, &now, sizeof(random));
    }
    point = la_hash_point(random);
}

/* Multiplies after adding the chunk, so that the last chunk too reaches the low bits. `sum` stays
 * below 2^62, and the product below 2^124. */
static uint64_t step(uint64_t at, uint64_t sum, uint64_t chunk)
{
    unsigned __int128 product = (unsigned __int128)(sum + chunk) * at;
    uint64_t folded = ((uint64_t)product & PRIME) + (uint64_t)(product >> PRIME_BITS);

    return (folded & PRIME) + (folded >> PRIME_BITS);
}

uint64_t la_hash_point(const unsigned char random[8])
{
    uint64_t number;

    memcpy(&number, random, sizeof(number));
    return (number & PRIME) | ((uint64_t)1 << 32); /* never 0 */
}

uint64_t la_hash_under(uint64_t at, uint64_t seed, la_slice_t bytes)
{
    uint64_t sum = step(at, seed, bytes.len & PRIME); /* the length counts: "a" is not "a\0" */

    while (bytes.len > 0) {
        uint64_t chunk = 0;
        apr_size_t n = bytes.len < CHUNK_BYTES ? bytes.len : CHUNK_BYTES;

        memcpy(&chunk, bytes.data, n);
        sum = step(at, sum, chunk);
        bytes.data += n;
        bytes.len -= n;
    }
    return sum;
}

unsigned int la_hash_keyed(const char *key, apr_ssize_t *klen)
{
    pthread_once(&point_once, draw_point);
    if (*klen == APR_HASH_KEY_STRING) {
        *klen = (apr_ssize_t)strlen(key);
    }
    return (unsigned int)la_hash_under(point, 0, (la_slice_t){key, (apr_size_t)*klen});
}

/* A record of a few words in shared memory that any number of threads and processes write and read
 * whole, without waiting for each other.
 *
 *   turn | copy 0 | copy 1 | ...   LA_SEQLOCK_COPIES copies, each: number | sum | words
 *
 * A write takes the next number and the oldest copy. The sum covers the number and the words, so a
 * half written copy fits no sum, whether its writer is busy, dead, or was stopped and goes on after
 * others. Readers skip it and take the whole copy with the highest number. A death costs one copy
 * until its turn comes again, never the record before. Zeroes are a record without a value; any
 * other bytes are sound too.
 *
 * The newest write wins, and a copy that a late writer spoils gives way to an older one. Where that
 * is wrong other words are published: a purge's position only goes up (purge_log.c), and a document
 * must not come back (remote_doc.c).
 *
 * All loads and stores are relaxed: a sum that fits proves that all words are of one write, in
 * whatever order they arrived. Whoever learns of a write by other means (an event, a lock) finds
 * it. */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef _Atomic uint64_t la_seqlock_word_t;

_Static_assert(sizeof(la_seqlock_word_t) == 8 && ATOMIC_LLONG_LOCK_FREE == 2,
               "a word is read and written without a lock");

#define LA_SEQLOCK_COPIES 4u

/* Words that a record of `count` words takes: declare it as la_seqlock_word_t
 * record[LA_SEQLOCK_WORDS(count)]. */
#define LA_SEQLOCK_WORDS(count) (1 + LA_SEQLOCK_COPIES * (2 + (count)))

/* A sum over words that continues another one, or a number. It detects changed words with all but
 * one chance in 2^64, but not those of somebody who chooses them. */
static inline uint64_t la_seqlock_sum(uint64_t sum, const uint64_t *words, size_t count)
{
    sum = (sum ^ 0x6a09e667f3bcc909u) * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < count; i++) {
        sum = (sum ^ (sum >> 32) ^ words[i]) * 0x9e3779b97f4a7c15u;
    }
    return sum ^ (sum >> 32);
}

static inline void la_seqlock_write(la_seqlock_word_t *record, const uint64_t *words, size_t count)
{
    uint64_t number = atomic_fetch_add_explicit(record, 1, memory_order_relaxed) + 1;
    la_seqlock_word_t *copy = record + 1 + number % LA_SEQLOCK_COPIES * (2 + count);

    atomic_store_explicit(&copy[0], number, memory_order_relaxed);
    atomic_store_explicit(&copy[1], la_seqlock_sum(number, words, count), memory_order_relaxed);
    for (size_t i = 0; i < count; i++) {
        atomic_store_explicit(&copy[2 + i], words[i], memory_order_relaxed);
    }
}

/* Reads one copy. Returns its number, or 0 when it is not whole. */
static inline uint64_t la_seqlock_read_copy(const la_seqlock_word_t *copy, uint64_t *words,
                                            size_t count)
{
    uint64_t number = atomic_load_explicit(&copy[0], memory_order_relaxed);
    uint64_t sum = atomic_load_explicit(&copy[1], memory_order_relaxed);

    for (size_t i = 0; i < count; i++) {
        words[i] = atomic_load_explicit(&copy[2 + i], memory_order_relaxed);
    }
    return sum == la_seqlock_sum(number, words, count) ? number : 0;
}

/* Returns 1 with the newest whole record, or 0 when there is none or writers kept overwriting it;
 * then the words have no meaning. */
static inline int la_seqlock_read(const la_seqlock_word_t *record, uint64_t *words, size_t count)
{
    for (unsigned attempts = 0; attempts < 2 * LA_SEQLOCK_COPIES; attempts++) {
        const la_seqlock_word_t *found = record + 1;
        uint64_t newest = 0;

        for (size_t i = 0; i < LA_SEQLOCK_COPIES; i++) {
            const la_seqlock_word_t *copy = record + 1 + i * (2 + count);
            uint64_t number = la_seqlock_read_copy(copy, words, count);

            if (number > newest) {
                newest = number;
                found = copy;
            }
        }
        if (newest == 0 || la_seqlock_read_copy(found, words, count) >= newest) {
            return newest != 0;
        }
    }
    return 0;
}

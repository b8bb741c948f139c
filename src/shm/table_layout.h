/* The types of the layout that table.c draws, and the small steps of its protocol; for table.c
 * (reading) and table_write.c (writing) alone. */
#pragma once

#include "shm/table.h"

#include <stdatomic.h>
#include <string.h>

typedef _Atomic uint64_t la_table_word_t;

/* Chunks of a group; a key can be stored in any of them. */
#define LA_TABLE_WAYS 128u

#define LA_TABLE_KEY_WORDS        4u
#define LA_TABLE_META_WORDS       7u
#define LA_TABLE_HEAD_VALUE_BYTES 264u
#define LA_TABLE_TAIL_VALUE_BYTES 368u
#define LA_TABLE_TAGS_PER_WORD    4u
#define LA_TABLE_TAG_WORDS        (LA_TABLE_WAYS / LA_TABLE_TAGS_PER_WORD)

/* The two low bits of a chunk's state; the others count its changes. */
typedef enum la_table_kind_e {
    LA_TABLE_EMPTY = 0,   /* free, or the tail of a chain */
    LA_TABLE_WRITING = 1, /* being written, or its writer died */
    LA_TABLE_HEAD = 2     /* a whole entry starts here */
} la_table_kind_e;

typedef struct la_table_chunk_t {
    /* These two words keep their meaning in tails too: readers with an outdated tag look at the
     * first and may write the second. */
    la_table_word_t state;
    la_table_word_t touched_us;
    union {
        struct {
            la_table_word_t key[LA_TABLE_KEY_WORDS];
            la_table_word_t size; /* of the value, in bytes */
            la_table_word_t sum;
            la_table_word_t meta[LA_TABLE_META_WORDS];
            la_table_word_t value[LA_TABLE_HEAD_VALUE_BYTES / 8];
        } head;
        la_table_word_t tail[LA_TABLE_TAIL_VALUE_BYTES / 8];
    } u;
} la_table_chunk_t;

typedef struct la_table_lock_t {
    la_lock_t lock;
    _Atomic uint32_t used; /* chunks in use after the last store */
} __attribute__((aligned(64))) la_table_lock_t;

typedef struct la_table_links_t {
    _Atomic unsigned char next[LA_TABLE_WAYS]; /* the chunk that follows in a chain */
} la_table_links_t;

typedef struct la_table_tags_t {
    la_table_word_t word[LA_TABLE_TAG_WORDS];
} la_table_tags_t;

typedef struct la_table_header_t {
    la_table_word_t magic;
    la_table_word_t size;
    la_table_word_t stores;
    la_table_word_t evictions;
    la_table_word_t failures;
    la_table_word_t too_large;
    la_table_word_t unused[2];
} la_table_header_t;

/* A process's own record of where everything is; nothing in it comes from the shared bytes. */
struct la_table_t {
    la_table_header_t *header;
    la_table_lock_t *locks;
    la_table_links_t *links;
    la_table_tags_t *tags;
    la_table_chunk_t *chunks;
    apr_size_t size;
    uint32_t group_count;
    la_holder_t *life;
};

/* A key and where it belongs. */
typedef struct la_table_place_t {
    uint64_t key[LA_TABLE_KEY_WORDS];
    uint32_t group;
    uint32_t home; /* the way that is tried first */
    uint64_t tag;  /* 1 to 65535 */
} la_table_place_t;

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "words are read and written without a lock");
_Static_assert(ATOMIC_CHAR_LOCK_FREE == 2, "so are links");
_Static_assert(sizeof(la_table_word_t) == 8, "a word has 64 bits");
_Static_assert(sizeof(la_table_meta_t) == (size_t)8 * LA_TABLE_META_WORDS,
               "metadata is whole words");
_Static_assert(sizeof(la_table_chunk_t) == 384, "six lines, no padding");
_Static_assert(sizeof(la_table_lock_t) == 64, "a lock has a line of its own");
_Static_assert(sizeof(la_table_links_t) % 64 == 0, "rows of links begin on a line");
_Static_assert(sizeof(la_table_tags_t) % 64 == 0, "rows of tags begin on a line");
_Static_assert(sizeof(la_table_header_t) % 64 == 0, "what follows begins on a line");
_Static_assert(LA_TABLE_WAYS <= 256, "a link has 8 bits");
_Static_assert(LA_TABLE_KEY_BYTES == 8u * LA_TABLE_KEY_WORDS, "a key is whole words");
_Static_assert(LA_TABLE_VALUE_MAX_BYTES <=
                   LA_TABLE_HEAD_VALUE_BYTES + (LA_TABLE_WAYS / 2 - 1) * LA_TABLE_TAIL_VALUE_BYTES,
               "a group holds two of the longest values");

/* ---- states ------------------------------------------------------------------ */

static inline uint64_t la_table_kind(uint64_t state)
{
    return state & 3;
}

/* The next state; no state ever comes back. */
static inline uint64_t la_table_next(uint64_t state, la_table_kind_e kind)
{
    return (((state >> 2) + 1) << 2) | (uint64_t)kind;
}

static inline uint64_t la_table_load(const la_table_word_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static inline void la_table_store(la_table_word_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

/* ---- geometry ---------------------------------------------------------------- */

static inline la_table_chunk_t *la_table_chunk(const la_table_t *table, uint32_t group,
                                               uint32_t way)
{
    return table->chunks + (apr_size_t)group * LA_TABLE_WAYS + way;
}

/* Chunks of an entry whose value has `len` bytes. */
static inline uint32_t la_table_chunks_of(apr_size_t len)
{
    return len <= LA_TABLE_HEAD_VALUE_BYTES
               ? 1
               : 1 + (uint32_t)((len - LA_TABLE_HEAD_VALUE_BYTES + LA_TABLE_TAIL_VALUE_BYTES - 1) /
                                LA_TABLE_TAIL_VALUE_BYTES);
}

/* Uses each bit of the digest once: 32 for the group, 16 for the tag, 7 for the way. */
static inline la_table_place_t la_table_place(const la_table_t *table, const unsigned char *key)
{
    la_table_place_t place;

    memcpy(place.key, key, sizeof(place.key));
    place.group = (uint32_t)(((place.key[0] & 0xffffffffu) * table->group_count) >> 32);
    place.home = (uint32_t)(place.key[1] % LA_TABLE_WAYS);
    place.tag = place.key[1] >> 48;
    place.tag += place.tag == 0;
    return place;
}

static inline uint64_t la_table_tag(const la_table_t *table, uint32_t group, uint32_t way)
{
    uint64_t word = la_table_load(&table->tags[group].word[way / LA_TABLE_TAGS_PER_WORD]);

    return (word >> (16 * (way % LA_TABLE_TAGS_PER_WORD))) & 0xffff;
}

static inline void la_table_set_tag(const la_table_t *table, uint32_t group, uint32_t way,
                                    uint64_t tag)
{
    la_table_word_t *word = &table->tags[group].word[way / LA_TABLE_TAGS_PER_WORD];
    unsigned shift = 16 * (way % LA_TABLE_TAGS_PER_WORD);

    la_table_store(word, (la_table_load(word) & ~((uint64_t)0xffff << shift)) | tag << shift);
}

static inline int la_table_is_live(const la_table_t *table, uint32_t group, uint32_t way)
{
    return la_table_tag(table, group, way) != 0 &&
           la_table_kind(la_table_load(&la_table_chunk(table, group, way)->state)) == LA_TABLE_HEAD;
}

/* Makes a chunk EMPTY. For the lock's holder. */
static inline void la_table_retire(la_table_chunk_t *chunk)
{
    uint64_t state = la_table_load(&chunk->state);

    if (la_table_kind(state) != LA_TABLE_EMPTY) {
        la_table_store(&chunk->state, la_table_next(state, LA_TABLE_EMPTY));
    }
}

/* A reader can believe it if the state is the same before and after. */
static inline int la_table_key_is(const la_table_chunk_t *chunk, const uint64_t *key)
{
    uint64_t differ = 0;

    for (uint32_t i = 0; i < LA_TABLE_KEY_WORDS; i++) {
        differ |= la_table_load(&chunk->u.head.key[i]) ^ key[i];
    }
    return differ == 0;
}

/* ---- checksum ---------------------------------------------------------------- */

/* Detects bytes that changed by other means than the protocol: stray writes and garbage. It is no
 * defence against somebody who can write the segment. */
typedef struct la_table_sum_t {
    uint64_t total;
    uint64_t salt;
} la_table_sum_t;

/* Adds two words. */
static inline la_table_sum_t la_table_sum_add(la_table_sum_t sum, uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)(a ^ sum.salt) * (b + sum.salt);

    sum.total += (uint64_t)product ^ (uint64_t)(product >> 64);
    sum.salt += 0x9e3779b97f4a7c15u;
    return sum;
}

static inline la_table_sum_t la_table_sum_start(const uint64_t *key, uint64_t size)
{
    la_table_sum_t sum = {size, 0x6a09e667f3bcc909u};

    sum = la_table_sum_add(sum, key[0], key[1]);
    return la_table_sum_add(sum, key[2], key[3]);
}

/* ---- between the files --------------------------------------------------------- */

/* What la_table_read() found in a chunk. */
typedef enum la_table_read_e {
    LA_TABLE_READ_OTHER, /* no entry of this key */
    LA_TABLE_READ_TORN,  /* being written: look again */
    LA_TABLE_READ_WHOLE
} la_table_read_e;

/* Memory that a room function gave. */
typedef struct la_table_room_t {
    la_table_room_fn *give;
    void *context;
    unsigned char *bytes;
    apr_size_t len;
} la_table_room_t;

la_table_read_e la_table_read(const la_table_t *table, const la_table_place_t *place, uint32_t way,
                              la_table_room_t *room, la_table_entry_t *entry);

/* Whether an entry is fresh, stale, or past use (a miss). */
la_table_e la_table_judge(const la_table_meta_t *meta, apr_time_t now_us);

/* Attempts to read an entry that is being written: about as long as a long copy takes. */
#define LA_TABLE_READ_ATTEMPTS 48

/* Adds to a counter of the header. */
#define la_table_count(table, counter)                                                             \
    ((void)atomic_fetch_add_explicit(&(table)->header->counter, 1, memory_order_relaxed))

/* Takes a group's lock, for writers, and clears away what a dead holder left.
 * Returns APR_SUCCESS or APR_TIMEUP. */
apr_status_t la_table_lock(const la_table_t *table, uint32_t group, apr_interval_time_t wait_us);
void la_table_unlock(const la_table_t *table, uint32_t group);

/* Between attempts to read an entry that is being written. */
static inline void la_table_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* Whether all that was read since `state` was loaded belongs to that state. */
static inline int la_table_unchanged(const la_table_chunk_t *chunk, uint64_t state)
{
    atomic_thread_fence(memory_order_acquire);
    return la_table_load(&chunk->state) == state;
}

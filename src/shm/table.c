/* The table's layout, look-ups and counters. table_layout.h has the types, table_write.c stores and
 * removes; the cache decides what values mean and how long they live. Any thread of any process.
 *
 *   offset 0
 *   header        magic | size | counters
 *   locks         [group_count]              64 bytes: lock (holder.h) | chunks in use
 *   links         [group_count]             128 bytes: per chunk, the next in its chain
 *   tags          [group_count]             256 bytes: per chunk, 16 bits of the key of what
 *                                                      starts there, 0 where none does
 *   chunks        [group_count][128]        384 bytes each:
 *
 *         +0  state | touched_us            state: count of changes << 2 | EMPTY, WRITING or HEAD
 *        +16  key (32) | size | sum         HEAD: an entry starts here
 *        +64  metadata (56)
 *       +120  value (264)
 *
 *        +16  value (368)                   EMPTY: the tail of a chain, or free
 *
 * The key chooses a group and a way in it, its home. An entry is a chain of chunks in the group,
 * the first one at the home or as near after it as there was room. So one layout fits identities of
 * 200 bytes and of 16 KB in any mixture, and a key has one place at a time. With 128 ways the
 * groups fill evenly: of a million entries of one chunk in 512 MB all except about ten find room. A
 * hit reads a line of tags and the lines of the entry, and writes nothing. Tags lie apart from
 * entries, so that the tags of a large table fit a processor's cache.
 *
 * What makes it safe
 *
 * 1. An entry exists while the state of its first chunk is HEAD. Tags and links are hints: a wrong
 *    one leads to a miss. A writer derives from the heads which chunks are free. So a writer that
 *    dies leaves nothing to repair except its WRITING chunk.
 * 2. A reader reads the state, copies, and reads the state again: a seqlock (H.-J. Boehm, "Can
 *    seqlocks get along with programming language memory models?", 2012). All words are C11
 *    atomics. A writer takes a tail from an entry only after that entry's state has changed, so a
 *    reader that copied foreign bytes finds a changed state.
 * 3. Only the holder of the group's lock makes a HEAD. Anybody may make a HEAD or WRITING chunk
 *    EMPTY, by compare-and-swap with the state under which it was read: removal needs no lock. A
 *    HEAD is made by compare-and-swap too, from the writer's own WRITING. States never repeat.
 * 4. State and touched_us keep their place in tails, so that nobody reads a byte of a value as a
 *    state, and no late reader writes into a value.
 * 5. A checksum over key, size, metadata and value detects all other changes.
 * 6. Sizes and links from the shared bytes are bounded before they are used.
 *
 * Which accesses pair
 *
 * - The store of HEAD (release) with the first load of a state (acquire) by readers, removals and
 *   sweeps: who sees HEAD sees the entry, except for later changes.
 * - The fence after WRITING and EMPTY (release) with the fence before the second load of a
 *   state and before a removal's compare-and-swap (acquire): who read any word of the new
 *   entry finds another state than the old one's.
 * - The fence in a put with the fence that begins a sweep (both sequentially consistent): see
 *   la_table_sweep().
 * - Taking a group's lock with its last release (holder.c): a writer sees what writers before it
 *   wrote.
 * - The store of magic (release) with its load in la_table_attach() (acquire).
 *
 * All else is relaxed: the state proves the words of an entry, the entry proves tags and links, and
 * counters and times of use may be late.
 *
 * tests/model/table.pml is the model of 1 to 3, sweep.pml that of the put and the sweep. */
#include "shm/table.h"

#include "shm/table_layout.h"

#include <apr_strings.h>

#include <stdint.h>

#define TABLE_MAGIC 0x3330454c4241544cu /* "LTABLE03": a new layout has a new one */

#define GROUP_BYTES                                                                                \
    (sizeof(la_table_lock_t) + sizeof(la_table_links_t) + sizeof(la_table_tags_t) +                \
     LA_TABLE_WAYS * sizeof(la_table_chunk_t))

#define EVERY_TAG 0x0001000100010001u

/* ---- geometry ---------------------------------------------------------------- */

apr_size_t la_table_bytes_min(void)
{
    return sizeof(la_table_header_t) + GROUP_BYTES;
}

static apr_status_t geometry(void *bytes, apr_size_t size, la_table_t *table)
{
    apr_size_t groups;

    if (!bytes || (uintptr_t)bytes % LA_TABLE_ALIGN != 0) {
        return APR_EINVAL;
    }
    if (size < la_table_bytes_min()) {
        return APR_ENOSPC;
    }
    groups = (size - sizeof(la_table_header_t)) / GROUP_BYTES;
    /* Sizes below are parts of `size`, so none of them overflows. */
    table->group_count = groups < UINT32_MAX ? (uint32_t)groups : UINT32_MAX;
    table->size = size;
    table->header = bytes;
    table->locks = (la_table_lock_t *)(void *)(table->header + 1);
    table->links = (la_table_links_t *)(void *)(table->locks + table->group_count);
    table->tags = (la_table_tags_t *)(void *)(table->links + table->group_count);
    table->chunks = (la_table_chunk_t *)(void *)(table->tags + table->group_count);
    return APR_SUCCESS;
}

apr_status_t la_table_format(void *bytes, apr_size_t size)
{
    la_table_t table;
    apr_status_t rv = geometry(bytes, size, &table);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    la_table_store(&table.header->size, size);
    atomic_store_explicit(&table.header->magic, TABLE_MAGIC, memory_order_release);
    return APR_SUCCESS;
}

apr_status_t la_table_attach(void *bytes, apr_size_t size, la_holder_t *life, apr_pool_t *pool,
                             la_table_t **table)
{
    la_table_t sketch = {0};
    apr_status_t rv = geometry(bytes, size, &sketch);

    *table = NULL;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (atomic_load_explicit(&sketch.header->magic, memory_order_acquire) != TABLE_MAGIC ||
        la_table_load(&sketch.header->size) != size) {
        return APR_EGENERAL;
    }
    sketch.life = life;
    *table = apr_pmemdup(pool, &sketch, sizeof(sketch));
    return APR_SUCCESS;
}

/* ---- finding ----------------------------------------------------------------- */

/* Which of a word's four tags are this one: bit 16 n + 15 for the n-th. */
static uint64_t matches(uint64_t word, uint64_t tag)
{
    const uint64_t low = 0x7fff * EVERY_TAG;
    uint64_t differ = word ^ (tag * EVERY_TAG);

    return ~(((differ & low) + low) | differ | low);
}

/* ---- copying ------------------------------------------------------------------- */

static void put_word(unsigned char *to, uint64_t word, apr_size_t len)
{
    if (len >= 8) {
        memcpy(to, &word, 8);
    } else {
        memcpy(to, &word, len);
    }
}

/* Most of a hit's time is spent here, so words are copied in pairs. */
static la_table_sum_t copy_words(const la_table_word_t *from, unsigned char *to, apr_size_t len,
                                 la_table_sum_t sum)
{
    uint64_t a;
    uint64_t b;

    for (; len >= 16; from += 2, to += 16, len -= 16) {
        a = la_table_load(&from[0]);
        b = la_table_load(&from[1]);
        memcpy(to, &a, 8);
        memcpy(to + 8, &b, 8);
        sum = la_table_sum_add(sum, a, b);
    }
    if (len > 0) {
        a = la_table_load(&from[0]);
        b = len > 8 ? la_table_load(&from[1]) : 0;
        put_word(to, a, len);
        if (len > 8) {
            put_word(to + 8, b, len - 8);
        }
        sum = la_table_sum_add(sum, a, b);
    }
    return sum;
}

/* Follows the chain from `way`. A wrong link leads to a chunk of the group; `len` ends the walk. */
static la_table_sum_t copy_tails(const la_table_t *table, uint32_t group, uint32_t way,
                                 unsigned char *to, apr_size_t len, la_table_sum_t sum)
{
    while (len > 0) {
        apr_size_t part = len < LA_TABLE_TAIL_VALUE_BYTES ? len : LA_TABLE_TAIL_VALUE_BYTES;

        way = atomic_load_explicit(&table->links[group].next[way], memory_order_relaxed) %
              LA_TABLE_WAYS;
        sum = copy_words(la_table_chunk(table, group, way)->u.tail, to, part, sum);
        to += part;
        len -= part;
    }
    return sum;
}

/* Returns memory for `len` bytes, if possible that of an earlier attempt. */
static unsigned char *room_for(la_table_room_t *room, apr_size_t len)
{
    if (!room->bytes || room->len < len) {
        room->bytes = room->give(room->context, len);
        room->len = len;
    }
    return room->bytes;
}

static uint64_t copy_entry(const la_table_t *table, const la_table_place_t *place, uint32_t way,
                           la_table_entry_t *entry)
{
    const la_table_chunk_t *chunk = la_table_chunk(table, place->group, way);
    apr_size_t in_head =
        entry->len < LA_TABLE_HEAD_VALUE_BYTES ? entry->len : LA_TABLE_HEAD_VALUE_BYTES;
    la_table_sum_t sum = la_table_sum_start(place->key, entry->len);

    sum = copy_words(chunk->u.head.meta, (unsigned char *)&entry->meta, sizeof(entry->meta), sum);
    sum = copy_words(chunk->u.head.value, entry->value, in_head, sum);
    return copy_tails(table, place->group, way, (unsigned char *)entry->value + in_head,
                      entry->len - in_head, sum)
        .total;
}

la_table_read_e la_table_read(const la_table_t *table, const la_table_place_t *place, uint32_t way,
                              la_table_room_t *room, la_table_entry_t *entry)
{
    const la_table_chunk_t *chunk = la_table_chunk(table, place->group, way);
    uint64_t state = atomic_load_explicit(&chunk->state, memory_order_acquire);
    uint64_t size = la_table_load(&chunk->u.head.size);
    uint64_t expected = la_table_load(&chunk->u.head.sum);
    uint64_t sum;

    if (la_table_kind(state) != LA_TABLE_HEAD) {
        return la_table_kind(state) == LA_TABLE_WRITING ? LA_TABLE_READ_TORN : LA_TABLE_READ_OTHER;
    }
    if (!la_table_key_is(chunk, place->key)) {
        return LA_TABLE_READ_OTHER;
    }
    entry->value = size <= LA_TABLE_VALUE_MAX_BYTES ? room_for(room, size) : NULL;
    entry->len = size;
    if (!entry->value) {
        return la_table_unchanged(chunk, state) ? LA_TABLE_READ_OTHER : LA_TABLE_READ_TORN;
    }
    sum = copy_entry(table, place, way, entry);
    if (!la_table_unchanged(chunk, state)) {
        return LA_TABLE_READ_TORN;
    }
    return sum == expected ? LA_TABLE_READ_WHOLE : LA_TABLE_READ_OTHER;
}

/* ---- looking up ------------------------------------------------------------------ */

la_table_e la_table_judge(const la_table_meta_t *meta, apr_time_t now_us)
{
    if (meta->stored_us > now_us &&
        (uint64_t)meta->stored_us - (uint64_t)now_us > LA_TABLE_CLOCK_SLACK_US) {
        return LA_TABLE_MISS;
    }
    if (now_us < meta->expires_us) {
        return LA_TABLE_FRESH;
    }
    return now_us < meta->stale_until_us ? LA_TABLE_STALE : LA_TABLE_MISS;
}

/* Asks for the home chunk, which has most keys, and for the tags: in a large table neither is in a
 * processor's cache, and so their delays do not add up. */
static void prefetch(const la_table_t *table, const la_table_place_t *place)
{
    const la_table_chunk_t *chunk = la_table_chunk(table, place->group, place->home);

    for (apr_size_t i = 0; i < sizeof(*chunk); i += 64) {
        __builtin_prefetch((const char *)chunk + i);
    }
    __builtin_prefetch(&table->tags[place->group].word[place->home / LA_TABLE_TAGS_PER_WORD]);
}

/* Looks at the home, then at all ways with the key's tag. way: where the entry is. */
static la_table_read_e search_once(const la_table_t *table, const la_table_place_t *place,
                                   la_table_room_t *room, la_table_entry_t *entry, uint32_t *way)
{
    const la_table_word_t *tags = table->tags[place->group].word;
    la_table_read_e result = LA_TABLE_READ_OTHER;

    *way = place->home;
    if (la_table_tag(table, place->group, *way) == place->tag &&
        la_table_read(table, place, *way, room, entry) == LA_TABLE_READ_WHOLE) {
        return LA_TABLE_READ_WHOLE;
    }
    for (uint32_t i = 0; i < LA_TABLE_TAG_WORDS; i++) {
        uint32_t at = (place->home / LA_TABLE_TAGS_PER_WORD + i) % LA_TABLE_TAG_WORDS;
        uint64_t found = matches(la_table_load(&tags[at]), place->tag);

        for (; found; found &= found - 1) {
            la_table_read_e read;

            *way = at * LA_TABLE_TAGS_PER_WORD + (uint32_t)__builtin_ctzll(found) / 16;
            read = la_table_read(table, place, *way, room, entry);
            if (read == LA_TABLE_READ_WHOLE) {
                return read;
            }
            result = read == LA_TABLE_READ_TORN ? read : result;
        }
    }
    return result;
}

/* Notes that an entry is in use. The chunk may have another entry by now: a wrong time of use does
 * no harm. */
static void touch(la_table_chunk_t *chunk, apr_time_t now_us)
{
    uint64_t now = (uint64_t)now_us;
    uint64_t away = now - la_table_load(&chunk->touched_us);

    if (away >= LA_TABLE_TOUCH_US && 0 - away >= LA_TABLE_TOUCH_US) {
        la_table_store(&chunk->touched_us, now);
    }
}

la_table_e la_table_get(const la_table_t *table, const unsigned char *key, apr_time_t now_us,
                        la_table_room_fn *room, void *context, la_table_entry_t *entry)
{
    la_table_place_t place = la_table_place(table, key);
    la_table_room_t memory = {room, context, NULL, 0};
    la_table_read_e read = LA_TABLE_READ_TORN;
    la_table_e verdict = LA_TABLE_MISS;
    uint32_t way = 0;

    prefetch(table, &place);
    for (int i = 0; i < LA_TABLE_READ_ATTEMPTS && read == LA_TABLE_READ_TORN; i++) {
        read = search_once(table, &place, &memory, entry, &way);
        if (read == LA_TABLE_READ_TORN) {
            la_table_pause();
        }
    }
    if (read == LA_TABLE_READ_WHOLE) {
        verdict = la_table_judge(&entry->meta, now_us);
    }
    if (verdict != LA_TABLE_MISS) {
        touch(la_table_chunk(table, place.group, way), now_us);
    }
    return verdict;
}

/* ---- counters ---------------------------------------------------------------- */

static uint64_t entries_in(const la_table_t *table, uint32_t group)
{
    uint64_t entries = 0;

    for (uint32_t i = 0; i < LA_TABLE_TAG_WORDS; i++) {
        for (uint64_t word = la_table_load(&table->tags[group].word[i]); word; word >>= 16) {
            entries += (word & 0xffff) != 0;
        }
    }
    return entries;
}

void la_table_stats(const la_table_t *table, la_table_stats_t *stats)
{
    memset(stats, 0, sizeof(*stats));
    stats->bytes = table->size;
    stats->chunks = (uint64_t)table->group_count * LA_TABLE_WAYS;
    for (uint32_t i = 0; i < table->group_count; i++) {
        stats->chunks_used +=
            atomic_load_explicit(&table->locks[i].used, memory_order_relaxed) % (LA_TABLE_WAYS + 1);
        stats->entries += entries_in(table, i);
    }
    stats->stores = la_table_load(&table->header->stores);
    stats->evictions = la_table_load(&table->header->evictions);
    stats->store_failures = la_table_load(&table->header->failures);
    stats->too_large = la_table_load(&table->header->too_large);
}

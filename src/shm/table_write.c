/* The writers of the table: storing and removing. table.c draws the layout and explains why this is
 * safe. Called from any thread of any child.
 *
 * A store holds its group's lock, which excludes other stores in the group; readers and removals go
 * on. A removal takes no lock. The order of a store matters:
 *
 *   1. derive from the heads which chunks are free;
 *   2. drop entries to make room; make the head WRITING (the old entry's, if the key has one); tag;
 *   3. fence; ask the guard;
 *   4. write links, tails, head;
 *   5. make the head HEAD, with release, if it is still the WRITING of 2.
 *
 * A writer that dies before 5 leaves a WRITING head, which nobody reads and which 1 does not count.
 * So each state that a death can leave is a good one; the repair only tidies.
 *
 * A removal and a sweep make a WRITING head EMPTY too, and then 5 fails. So no store that they met
 * becomes visible after them, even if its process was stopped meanwhile. */
#include "shm/table.h"

#include "shm/table_layout.h"

#define NOBODY 0xffu

_Static_assert(LA_TABLE_WAYS <= NOBODY, "a way is told from nobody");

/* Which entry each chunk of a group belongs to, derived from the heads. */
typedef struct plan_t {
    const la_table_t *table;
    uint32_t group;
    uint32_t free;
    unsigned char owner[LA_TABLE_WAYS]; /* way of the entry's head, or NOBODY */
} plan_t;

/* ---- locks ---- */

/* Clears the tags and states of all but live entries. For the lock's holder. */
static void clear_dead(const la_table_t *table, uint32_t group)
{
    for (uint32_t way = 0; way < LA_TABLE_WAYS; way++) {
        if (!la_table_is_live(table, group, way)) {
            la_table_retire(la_table_chunk(table, group, way));
            la_table_set_tag(table, group, way, 0);
        }
    }
}

apr_status_t la_table_lock(const la_table_t *table, uint32_t group, apr_interval_time_t wait_us)
{
    la_lock_e taken = la_lock_take(table->life, &table->locks[group].lock, wait_us);

    if (taken == LA_LOCK_INHERITED) {
        clear_dead(table, group);
    }
    return taken == LA_LOCK_BUSY ? APR_TIMEUP : APR_SUCCESS;
}

void la_table_unlock(const la_table_t *table, uint32_t group)
{
    la_lock_release(&table->locks[group].lock);
}

/* Clears the tags of removed entries in a group, unless its lock is taken. */
static void tidy(const la_table_t *table, uint32_t group)
{
    if (la_table_lock(table, group, 0) == APR_SUCCESS) {
        clear_dead(table, group);
        la_table_unlock(table, group);
    }
}

/* ---- the plan ------------------------------------------------------------------ */

static void release_chunks(plan_t *plan, uint32_t head)
{
    for (uint32_t i = 0; i < LA_TABLE_WAYS; i++) {
        if (plan->owner[i] == head) {
            plan->owner[i] = NOBODY;
            plan->free++;
        }
    }
}

static void drop_entry(plan_t *plan, uint32_t head)
{
    la_table_retire(la_table_chunk(plan->table, plan->group, head));
    la_table_set_tag(plan->table, plan->group, head, 0);
    release_chunks(plan, head);
}

/* Returns 0 when the chain of `head` is not sound. */
static int claim_tails(plan_t *plan, uint32_t head)
{
    const la_table_links_t *links = &plan->table->links[plan->group];
    uint64_t size = la_table_load(&la_table_chunk(plan->table, plan->group, head)->u.head.size);
    uint32_t way = head;

    if (size > LA_TABLE_VALUE_MAX_BYTES) {
        return 0;
    }
    for (uint32_t rest = la_table_chunks_of(size) - 1; rest > 0; rest--) {
        way = atomic_load_explicit(&links->next[way], memory_order_relaxed);
        if (way >= LA_TABLE_WAYS || plan->owner[way] != NOBODY) {
            return 0;
        }
        plan->owner[way] = (unsigned char)head;
        plan->free--;
    }
    return 1;
}

/* The heads are far apart in memory, so this asks for all of them at once. */
static void prefetch_heads(const la_table_t *table, uint32_t group)
{
    for (uint32_t way = 0; way < LA_TABLE_WAYS; way++) {
        if (la_table_tag(table, group, way) != 0) {
            __builtin_prefetch(la_table_chunk(table, group, way), 1);
        }
    }
}

static void plan_make(plan_t *plan, const la_table_t *table, uint32_t group)
{
    plan->table = table;
    plan->group = group;
    plan->free = LA_TABLE_WAYS;
    memset(plan->owner, NOBODY, sizeof(plan->owner));
    prefetch_heads(table, group);
    for (uint32_t way = 0; way < LA_TABLE_WAYS; way++) {
        if (la_table_is_live(table, group, way)) {
            plan->owner[way] = (unsigned char)way;
            plan->free--;
        } else if (la_table_tag(table, group, way) != 0) {
            la_table_set_tag(table, group, way, 0);
        }
    }
    for (uint32_t way = 0; way < LA_TABLE_WAYS; way++) {
        if (plan->owner[way] == way && !claim_tails(plan, way)) {
            drop_entry(plan, way);
        }
    }
}

static void read_meta(const la_table_chunk_t *chunk, la_table_meta_t *meta)
{
    uint64_t words[LA_TABLE_META_WORDS];

    for (uint32_t i = 0; i < LA_TABLE_META_WORDS; i++) {
        words[i] = la_table_load(&chunk->u.head.meta[i]);
    }
    memcpy(meta, words, sizeof(*meta));
}

/* How long an entry was not used; for ever if it was used in the future, because the clock was put
 * back. */
static uint64_t idle_us(const la_table_chunk_t *chunk, apr_time_t now_us)
{
    int64_t touched_us = (int64_t)la_table_load(&chunk->touched_us);

    if (touched_us > now_us) {
        uint64_t ahead = (uint64_t)touched_us - (uint64_t)now_us;

        return ahead <= LA_TABLE_CLOCK_SLACK_US ? 0 : UINT64_MAX;
    }
    return (uint64_t)now_us - (uint64_t)touched_us;
}

/* Drops one entry: the first that is past use, else the least recently used. */
static void drop_one(plan_t *plan, apr_time_t now_us)
{
    uint64_t longest = 0;
    uint32_t victim = LA_TABLE_WAYS;
    int past_use = 0;

    for (uint32_t way = 0; way < LA_TABLE_WAYS && !past_use; way++) {
        const la_table_chunk_t *chunk = la_table_chunk(plan->table, plan->group, way);
        la_table_meta_t meta;

        if (plan->owner[way] != way) {
            continue;
        }
        read_meta(chunk, &meta);
        past_use = la_table_judge(&meta, now_us) == LA_TABLE_MISS;
        if (past_use || victim == LA_TABLE_WAYS || idle_us(chunk, now_us) > longest) {
            victim = way;
            longest = idle_us(chunk, now_us);
        }
    }
    if (victim < LA_TABLE_WAYS) {
        drop_entry(plan, victim);
        if (!past_use) {
            la_table_count(plan->table, evictions);
        }
    }
}

/* ---- storing --------------------------------------------------------------------- */

/* The bytes that a store has yet to write, and the sum of those written. */
typedef struct source_t {
    const unsigned char *bytes;
    apr_size_t len;
    la_table_sum_t sum;
} source_t;

/* Stores up to `room` bytes, the last word filled up with zeros. The sum takes words in pairs, as
 * copy_words() does. */
static void store_words(la_table_word_t *to, source_t *source, apr_size_t room)
{
    apr_size_t len = source->len < room ? source->len : room;

    for (apr_size_t i = 0; i < len; i += 16) {
        uint64_t words[2] = {0, 0};

        memcpy(words, source->bytes + i, len - i < 16 ? len - i : 16);
        la_table_store(to++, words[0]);
        if (len - i > 8) {
            la_table_store(to++, words[1]);
        }
        source->sum = la_table_sum_add(source->sum, words[0], words[1]);
    }
    source->bytes += len;
    source->len -= len;
}

/* Takes the first free chunk from `way` on; there is one. */
static uint32_t take(plan_t *plan, uint32_t way, uint32_t head)
{
    while (plan->owner[way] != NOBODY) {
        way = (way + 1) % LA_TABLE_WAYS;
    }
    plan->owner[way] = (unsigned char)(head < LA_TABLE_WAYS ? head : way);
    plan->free--;
    return way;
}

/* The live entry of this key, or LA_TABLE_WAYS. Drops a second one, which only damage can make. */
static uint32_t find(plan_t *plan, const la_table_place_t *place)
{
    uint32_t found = LA_TABLE_WAYS;

    for (uint32_t way = 0; way < LA_TABLE_WAYS; way++) {
        if (plan->owner[way] != way || la_table_tag(plan->table, plan->group, way) != place->tag ||
            !la_table_key_is(la_table_chunk(plan->table, plan->group, way), place->key)) {
            continue;
        }
        if (found == LA_TABLE_WAYS) {
            found = way;
        } else {
            drop_entry(plan, way);
        }
    }
    return found;
}

/* Step 2. ways: the chunks to write to, in order. A head that is replaced is never EMPTY meanwhile,
 * because readers wait for WRITING only. Returns the head's state. */
static uint64_t reserve(plan_t *plan, const la_table_place_t *place, uint32_t count,
                        apr_time_t now_us, uint32_t *ways)
{
    uint32_t head = find(plan, place);
    la_table_chunk_t *chunk;
    uint64_t state;

    if (head < LA_TABLE_WAYS) {
        release_chunks(plan, head);
    } else {
        head = place->home;
    }
    while (plan->free < count) {
        drop_one(plan, now_us);
    }
    ways[0] = take(plan, head, LA_TABLE_WAYS);
    for (uint32_t i = 1; i < count; i++) {
        ways[i] = take(plan, ways[i - 1], ways[0]);
        la_table_retire(la_table_chunk(plan->table, plan->group, ways[i]));
    }
    chunk = la_table_chunk(plan->table, plan->group, ways[0]);
    state = la_table_next(la_table_load(&chunk->state), LA_TABLE_WRITING);
    la_table_store(&chunk->state, state);
    la_table_set_tag(plan->table, plan->group, ways[0], place->tag);
    return state;
}

static void write_tails(const plan_t *plan, const uint32_t *ways, uint32_t count, source_t *source)
{
    la_table_links_t *links = &plan->table->links[plan->group];

    for (uint32_t i = 1; i < count; i++) {
        atomic_store_explicit(&links->next[ways[i - 1]], (unsigned char)ways[i],
                              memory_order_relaxed);
        store_words(la_table_chunk(plan->table, plan->group, ways[i])->u.tail, source,
                    LA_TABLE_TAIL_VALUE_BYTES);
    }
}

static void write_words(const plan_t *plan, const la_table_place_t *place, const uint32_t *ways,
                        const la_table_meta_t *meta, la_slice_t value)
{
    la_table_chunk_t *chunk = la_table_chunk(plan->table, plan->group, ways[0]);
    source_t source = {(const unsigned char *)meta, sizeof(*meta),
                       la_table_sum_start(place->key, value.len)};

    for (uint32_t i = 0; i < LA_TABLE_KEY_WORDS; i++) {
        la_table_store(&chunk->u.head.key[i], place->key[i]);
    }
    store_words(chunk->u.head.meta, &source, sizeof(*meta));
    source.bytes = (const unsigned char *)value.data;
    source.len = value.len;
    store_words(chunk->u.head.value, &source, LA_TABLE_HEAD_VALUE_BYTES);
    write_tails(plan, ways, la_table_chunks_of(value.len), &source);
    la_table_store(&chunk->u.head.size, value.len);
    la_table_store(&chunk->u.head.sum, source.sum.total);
    la_table_store(&chunk->touched_us, (uint64_t)meta->stored_us);
}

/* Step 5. Returns 0 if a removal or a sweep met the store. */
static int publish(la_table_chunk_t *chunk, uint64_t writing)
{
    return atomic_compare_exchange_strong_explicit(&chunk->state, &writing,
                                                   la_table_next(writing, LA_TABLE_HEAD),
                                                   memory_order_release, memory_order_relaxed);
}

static apr_status_t write_entry(plan_t *plan, const la_table_place_t *place,
                                const la_table_meta_t *meta, la_slice_t value,
                                const la_table_guard_t *guard)
{
    uint32_t ways[LA_TABLE_WAYS];
    uint64_t writing = reserve(plan, place, la_table_chunks_of(value.len), meta->stored_us, ways);

    atomic_thread_fence(memory_order_seq_cst); /* for la_table_sweep(); readers need a release */
    if (!guard || guard->keep(guard->context)) {
        write_words(plan, place, ways, meta, value);
        if (publish(la_table_chunk(plan->table, plan->group, ways[0]), writing)) {
            return APR_SUCCESS;
        }
    }
    drop_entry(plan, ways[0]);
    return APR_EGENERAL;
}

apr_status_t la_table_put(const la_table_t *table, const unsigned char *key,
                          const la_table_meta_t *meta, la_slice_t value,
                          const la_table_guard_t *guard)
{
    la_table_place_t place = la_table_place(table, key);
    apr_status_t rv = APR_ENOSPC;
    plan_t plan;

    if (value.len <= LA_TABLE_VALUE_MAX_BYTES) {
        rv = la_table_lock(table, place.group, LA_TABLE_LOCK_WAIT_US);
    } else {
        la_table_count(table, too_large);
    }
    if (rv != APR_SUCCESS) {
        la_table_count(table, failures);
        la_table_remove(table, key);
        return rv;
    }
    plan_make(&plan, table, place.group);
    rv = write_entry(&plan, &place, meta, value, guard);
    atomic_store_explicit(&table->locks[place.group].used, LA_TABLE_WAYS - plan.free,
                          memory_order_relaxed);
    la_table_unlock(table, place.group);
    if (rv == APR_SUCCESS) {
        la_table_count(table, stores);
    }
    return rv;
}

/* ---- removing -------------------------------------------------------------------- */

/* Makes a chunk EMPTY if its state is still the one under which it was read. */
static int kill_entry(la_table_chunk_t *chunk, uint64_t state)
{
    atomic_thread_fence(memory_order_acquire);
    return atomic_compare_exchange_strong_explicit(&chunk->state, &state,
                                                   la_table_next(state, LA_TABLE_EMPTY),
                                                   memory_order_acq_rel, memory_order_relaxed);
}

/* Removes the key's entries, and stores under way, of which only the tag is known. Returns 1 if
 * something changed meanwhile. */
static int remove_once(const la_table_t *table, const la_table_place_t *place, int *removed)
{
    int again = 0;

    for (uint32_t way = 0; way < LA_TABLE_WAYS; way++) {
        la_table_chunk_t *chunk = la_table_chunk(table, place->group, way);
        uint64_t state;

        if (la_table_tag(table, place->group, way) != place->tag) {
            continue;
        }
        state = atomic_load_explicit(&chunk->state, memory_order_acquire);
        if (la_table_kind(state) == LA_TABLE_WRITING) {
            again |= !kill_entry(chunk, state);
        } else if (la_table_kind(state) == LA_TABLE_HEAD && la_table_key_is(chunk, place->key)) {
            if (kill_entry(chunk, state)) {
                *removed = 1;
            } else {
                again = 1;
            }
        }
    }
    return again;
}

int la_table_remove(const la_table_t *table, const unsigned char *key)
{
    la_table_place_t place = la_table_place(table, key);
    int removed = 0;

    for (int i = 0; i < LA_TABLE_READ_ATTEMPTS && remove_once(table, &place, &removed); i++) {
        la_table_pause();
    }
    if (removed) {
        tidy(table, place.group);
    }
    return removed;
}

/* Returns 1 if it dropped the entry that starts in `chunk`. Drops a store under way too, but does
 * not count it. */
static int sweep_chunk(la_table_chunk_t *chunk, la_table_drop_fn *drop, void *context)
{
    la_table_meta_t meta;

    for (int i = 0; i < LA_TABLE_READ_ATTEMPTS; i++) {
        uint64_t state = atomic_load_explicit(&chunk->state, memory_order_acquire);

        if (la_table_kind(state) == LA_TABLE_EMPTY ||
            (la_table_kind(state) == LA_TABLE_WRITING && kill_entry(chunk, state))) {
            return 0;
        }
        read_meta(chunk, &meta);
        if (la_table_kind(state) != LA_TABLE_HEAD || !la_table_unchanged(chunk, state)) {
            continue;
        }
        if (!drop(context, &meta)) {
            return 0;
        }
        if (kill_entry(chunk, state)) {
            return 1;
        }
    }
    return 0;
}

/* The fence pairs with the one in write_entry(). A purge increments a generation and then reads
 * tags and states here; a store writes tag and state there, and its guard then reads the
 * generation. Without a full fence on both sides, both may read the old values (arm64 without LSE,
 * POWER), and a purged entry stays. tests/model/sweep.pml is the model. */
apr_size_t la_table_sweep(const la_table_t *table, la_table_drop_fn *drop, void *context)
{
    apr_size_t dropped = 0;

    atomic_thread_fence(memory_order_seq_cst);
    for (uint32_t group = 0; group < table->group_count; group++) {
        apr_size_t before = dropped;

        for (uint32_t way = 0; way < LA_TABLE_WAYS; way++) {
            if (la_table_tag(table, group, way) != 0) {
                dropped +=
                    (apr_size_t)sweep_chunk(la_table_chunk(table, group, way), drop, context);
            }
        }
        if (dropped != before) {
            tidy(table, group);
        }
    }
    return dropped;
}

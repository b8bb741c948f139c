/* The writers of the shared-memory table: locks and storing.
 *
 * The layout and why it is safe: table.c. A writer holds its group's lock, which excludes other writers of
 * that group only; readers and removals go on. Called from any thread of any child.
 *
 * A store, in the order that matters:
 *   1. derive from the heads which chunks are free;
 *   2. make the head WRITING (the old entry of the same key, if there is one), drop entries to make room;
 *   3. release fence;
 *   4. links, tails, head, tag;
 *   5. make the head HEAD, with release.
 * A writer that dies before 5 leaves a WRITING head, which nobody reads, and which 1 does not count. So
 * every state that a death can leave is already a good one; the repair only tidies.
 */
#include "core/table.h"

#include "core/table_layout.h"

#include <errno.h>
#include <time.h>

#define NOBODY 0xffu

_Static_assert(LA_TABLE_WAYS <= NOBODY, "a way is told from nobody");

/* Which entry each chunk of a group belongs to, derived from the heads. */
typedef struct plan_t {
    const la_table_t *table;
    apr_uint32_t group;
    apr_uint32_t free;
    unsigned char owner[LA_TABLE_WAYS]; /* way of the entry's head, or NOBODY */
} plan_t;

/* ---- locks ------------------------------------------------------------------- */

apr_status_t la_table_lock_init(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attributes;
    int rc = pthread_mutexattr_init(&attributes);

    if (rc != 0) {
        return rc;
    }
    rc = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    if (rc == 0) {
        rc = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    }
    if (rc == 0) {
        rc = pthread_mutex_init(mutex, &attributes);
    }
    pthread_mutexattr_destroy(&attributes);
    return rc;
}

/* glibc follows a mutex of another kind into priority protocols, where it asserts, hence dies, on what it
 * cannot explain. With this kind it takes garbage for a lock that is held. */
int la_table_lock_kind(const pthread_mutex_t *mutex)
{
#ifdef __GLIBC__
    return mutex->__data.__kind;
#else
    return mutex ? 0 : 1;
#endif
}

/* The wait is measured by a clock that nobody sets, where the C library can and ThreadSanitizer follows. */
#if defined(__GLIBC__) && !defined(__SANITIZE_THREAD__)
#if __GLIBC_PREREQ(2, 30)
#define LOCK_CLOCK               CLOCK_MONOTONIC
#define lock_until(mutex, until) pthread_mutex_clocklock((mutex), LOCK_CLOCK, (until))
#endif
#endif
#ifndef LOCK_CLOCK
#define LOCK_CLOCK               CLOCK_REALTIME
#define lock_until(mutex, until) pthread_mutex_timedlock((mutex), (until))
#endif

static int lock_within(pthread_mutex_t *mutex, apr_interval_time_t wait_us)
{
    struct timespec until;

    if (clock_gettime(LOCK_CLOCK, &until) != 0) {
        return errno;
    }
    until.tv_nsec += (long)wait_us * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return lock_until(mutex, &until);
}

static void set_tag(const la_table_t *table, apr_uint32_t group, apr_uint32_t way, apr_uint64_t tag)
{
    la_table_word_t *word = &table->tags[group].word[way / LA_TABLE_TAGS_PER_WORD];
    unsigned shift = 16 * (way % LA_TABLE_TAGS_PER_WORD);

    la_table_store(word, (la_table_load(word) & ~((apr_uint64_t)0xffff << shift)) | tag << shift);
}

static int is_live(const la_table_t *table, apr_uint32_t group, apr_uint32_t way)
{
    return la_table_tag(table, group, way) != 0 &&
           la_table_kind(la_table_load(&la_table_chunk(table, group, way)->state)) == LA_TABLE_HEAD;
}

/* Makes a chunk EMPTY, whatever it was. */
static void retire(la_table_chunk_t *chunk)
{
    apr_uint64_t state = la_table_load(&chunk->state);

    if (la_table_kind(state) != LA_TABLE_EMPTY) {
        la_table_store(&chunk->state, la_table_next(state, LA_TABLE_EMPTY));
    }
}

/* Leaves only live entries with a tag. For the lock's holder. */
static void clear_dead(const la_table_t *table, apr_uint32_t group)
{
    for (apr_uint32_t way = 0; way < LA_TABLE_WAYS; way++) {
        if (!is_live(table, group, way)) {
            retire(la_table_chunk(table, group, way));
            set_tag(table, group, way, 0);
        }
    }
}

apr_status_t la_table_lock(const la_table_t *table, apr_uint32_t group, apr_interval_time_t wait_us)
{
    pthread_mutex_t *mutex = &table->locks[group].mutex;
    int rc;

    if (la_table_lock_kind(mutex) != table->lock_kind) {
        return APR_TIMEUP;
    }
    rc = pthread_mutex_trylock(mutex);
    if (rc == EBUSY && wait_us > 0) {
        rc = lock_within(mutex, wait_us);
    }
    if (rc == EOWNERDEAD) {
        clear_dead(table, group);
        rc = pthread_mutex_consistent(mutex);
    }
    return rc == 0 ? APR_SUCCESS : APR_TIMEUP;
}

void la_table_unlock(const la_table_t *table, apr_uint32_t group)
{
    pthread_mutex_unlock(&table->locks[group].mutex);
}

void la_table_tidy(const la_table_t *table, apr_uint32_t group)
{
    if (la_table_lock(table, group, 0) == APR_SUCCESS) {
        clear_dead(table, group);
        la_table_unlock(table, group);
    }
}

/* ---- the plan ------------------------------------------------------------------ */

static void release_chunks(plan_t *plan, apr_uint32_t head)
{
    for (apr_uint32_t i = 0; i < LA_TABLE_WAYS; i++) {
        if (plan->owner[i] == head) {
            plan->owner[i] = NOBODY;
            plan->free++;
        }
    }
}

static void drop(plan_t *plan, apr_uint32_t head)
{
    retire(la_table_chunk(plan->table, plan->group, head));
    set_tag(plan->table, plan->group, head, 0);
    release_chunks(plan, head);
}

/* Returns 0 when the chain of `head` is not sound. */
static int claim_tails(plan_t *plan, apr_uint32_t head)
{
    const la_table_links_t *links = &plan->table->links[plan->group];
    apr_uint64_t size = la_table_load(&la_table_chunk(plan->table, plan->group, head)->u.head.size);
    apr_uint32_t way = head;

    if (size > LA_TABLE_VALUE_MAX_BYTES) {
        return 0;
    }
    for (apr_uint32_t rest = la_table_chunks_of(size) - 1; rest > 0; rest--) {
        way = atomic_load_explicit(&links->next[way], memory_order_relaxed);
        if (way >= LA_TABLE_WAYS || plan->owner[way] != NOBODY) {
            return 0;
        }
        plan->owner[way] = (unsigned char)head;
        plan->free--;
    }
    return 1;
}

/* The heads are far apart in memory, so they are asked for all at once. */
static void prefetch_heads(const la_table_t *table, apr_uint32_t group)
{
    for (apr_uint32_t way = 0; way < LA_TABLE_WAYS; way++) {
        if (la_table_tag(table, group, way) != 0) {
            __builtin_prefetch(la_table_chunk(table, group, way), 1);
        }
    }
}

static void plan_make(plan_t *plan, const la_table_t *table, apr_uint32_t group)
{
    plan->table = table;
    plan->group = group;
    plan->free = LA_TABLE_WAYS;
    memset(plan->owner, NOBODY, sizeof(plan->owner));
    prefetch_heads(table, group);
    for (apr_uint32_t way = 0; way < LA_TABLE_WAYS; way++) {
        if (is_live(table, group, way)) {
            plan->owner[way] = (unsigned char)way;
            plan->free--;
        } else if (la_table_tag(table, group, way) != 0) {
            set_tag(table, group, way, 0);
        }
    }
    for (apr_uint32_t way = 0; way < LA_TABLE_WAYS; way++) {
        if (plan->owner[way] == way && !claim_tails(plan, way)) {
            drop(plan, way);
        }
    }
}

static void read_meta(const la_table_chunk_t *chunk, la_table_meta_t *meta)
{
    apr_uint64_t words[LA_TABLE_META_WORDS];

    for (apr_uint32_t i = 0; i < LA_TABLE_META_WORDS; i++) {
        words[i] = la_table_load(&chunk->u.head.meta[i]);
    }
    memcpy(meta, words, sizeof(*meta));
}

/* How long an entry was not used; a time of use in the future comes from a clock that was put back. */
static apr_uint64_t idle_us(const la_table_chunk_t *chunk, apr_time_t now_us)
{
    apr_int64_t touched_us = (apr_int64_t)la_table_load(&chunk->touched_us);

    if (touched_us > now_us) {
        apr_uint64_t ahead = (apr_uint64_t)touched_us - (apr_uint64_t)now_us;

        return ahead <= LA_TABLE_CLOCK_SLACK_US ? 0 : APR_UINT64_MAX;
    }
    return (apr_uint64_t)now_us - (apr_uint64_t)touched_us;
}

/* Drops one entry: the first that is past use, else the one not used for longest. */
static void drop_one(plan_t *plan, apr_time_t now_us)
{
    apr_uint64_t longest = 0;
    apr_uint32_t victim = LA_TABLE_WAYS;
    int past_use = 0;

    for (apr_uint32_t way = 0; way < LA_TABLE_WAYS && !past_use; way++) {
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
        drop(plan, victim);
        if (!past_use) {
            la_table_count(plan->table, plan->group, evictions);
        }
    }
}

/* ---- storing --------------------------------------------------------------------- */

/* What a store writes, and how far it is. */
typedef struct source_t {
    const unsigned char *bytes;
    apr_size_t len;
    la_table_sum_t sum;
} source_t;

/* Stores up to `room` bytes, the last word filled up with zeros. */
static void store_words(la_table_word_t *to, source_t *source, apr_size_t room)
{
    apr_size_t len = source->len < room ? source->len : room;

    for (apr_size_t i = 0; i < len; i += 8) {
        apr_uint64_t word = 0;

        memcpy(&word, source->bytes + i, len - i < 8 ? len - i : 8);
        la_table_store(to++, word);
        source->sum = la_table_sum_add(source->sum, word);
    }
    source->bytes += len;
    source->len -= len;
}

/* Takes the free chunk that comes first from `way` on; there is one. */
static apr_uint32_t take(plan_t *plan, apr_uint32_t way, apr_uint32_t head)
{
    while (plan->owner[way] != NOBODY) {
        way = (way + 1) % LA_TABLE_WAYS;
    }
    plan->owner[way] = (unsigned char)(head < LA_TABLE_WAYS ? head : way);
    plan->free--;
    return way;
}

/* The live entry of this key, or LA_TABLE_WAYS. A second one, which only damage can make, is dropped. */
static apr_uint32_t find(plan_t *plan, const la_table_place_t *place)
{
    apr_uint32_t found = LA_TABLE_WAYS;

    for (apr_uint32_t way = 0; way < LA_TABLE_WAYS; way++) {
        if (plan->owner[way] != way || la_table_tag(plan->table, plan->group, way) != place->tag ||
            !la_table_key_is(la_table_chunk(plan->table, plan->group, way), place->key)) {
            continue;
        }
        if (found == LA_TABLE_WAYS) {
            found = way;
        } else {
            drop(plan, way);
        }
    }
    return found;
}

/* Steps 1 and 2: the chunks to write to, in order, their states such that nobody reads them. A head that
 * is replaced never looks EMPTY meanwhile: readers wait for WRITING only. */
static void reserve(plan_t *plan, const la_table_place_t *place, apr_uint32_t count,
                    apr_time_t now_us, apr_uint32_t *ways)
{
    apr_uint32_t head = find(plan, place);
    la_table_chunk_t *chunk;

    if (head < LA_TABLE_WAYS) {
        release_chunks(plan, head);
    } else {
        head = place->home;
    }
    while (plan->free < count) {
        drop_one(plan, now_us);
    }
    ways[0] = take(plan, head, LA_TABLE_WAYS);
    for (apr_uint32_t i = 1; i < count; i++) {
        ways[i] = take(plan, ways[i - 1], ways[0]);
        retire(la_table_chunk(plan->table, plan->group, ways[i]));
    }
    chunk = la_table_chunk(plan->table, plan->group, ways[0]);
    la_table_store(&chunk->state, la_table_next(la_table_load(&chunk->state), LA_TABLE_WRITING));
}

static void write_tails(const plan_t *plan, const apr_uint32_t *ways, apr_uint32_t count,
                        source_t *source)
{
    la_table_links_t *links = &plan->table->links[plan->group];

    for (apr_uint32_t i = 1; i < count; i++) {
        atomic_store_explicit(&links->next[ways[i - 1]], (unsigned char)ways[i],
                              memory_order_relaxed);
        store_words(la_table_chunk(plan->table, plan->group, ways[i])->u.tail, source,
                    LA_TABLE_TAIL_VALUE_BYTES);
    }
}

static void write_entry(plan_t *plan, const la_table_place_t *place, const la_table_meta_t *meta,
                        const void *value, apr_size_t len)
{
    apr_uint32_t ways[LA_TABLE_WAYS];
    apr_uint32_t count = la_table_chunks_of(len);
    la_table_chunk_t *chunk;
    source_t source = {(const unsigned char *)meta, sizeof(*meta),
                       la_table_sum_start(place->key, len)};

    reserve(plan, place, count, meta->stored_us, ways);
    atomic_thread_fence(memory_order_release);
    chunk = la_table_chunk(plan->table, plan->group, ways[0]);
    for (apr_uint32_t i = 0; i < LA_TABLE_KEY_WORDS; i++) {
        la_table_store(&chunk->u.head.key[i], place->key[i]);
    }
    store_words(chunk->u.head.meta, &source, sizeof(*meta));
    source.bytes = value;
    source.len = len;
    store_words(chunk->u.head.value, &source, LA_TABLE_HEAD_VALUE_BYTES);
    write_tails(plan, ways, count, &source);
    la_table_store(&chunk->u.head.size, len);
    la_table_store(&chunk->u.head.sum, source.sum.total);
    la_table_store(&chunk->touched_us, (apr_uint64_t)meta->stored_us);
    set_tag(plan->table, plan->group, ways[0], place->tag);
    atomic_store_explicit(&chunk->state, la_table_next(la_table_load(&chunk->state), LA_TABLE_HEAD),
                          memory_order_release);
}

apr_status_t la_table_put(const la_table_t *table, const unsigned char *key,
                          const la_table_meta_t *meta, const void *value, apr_size_t len,
                          apr_time_t now_us)
{
    la_table_place_t place = la_table_place(table, key);
    la_table_meta_t stamped = *meta;
    apr_status_t rv = APR_ENOSPC;
    plan_t plan;

    stamped.stored_us = now_us;
    if (len <= LA_TABLE_VALUE_MAX_BYTES) {
        rv = la_table_lock(table, place.group, LA_TABLE_LOCK_WAIT_US);
    } else {
        la_table_count(table, place.group, too_large);
    }
    if (rv != APR_SUCCESS) {
        la_table_count(table, place.group, failures);
        la_table_remove(table, key);
        return rv;
    }
    plan_make(&plan, table, place.group);
    write_entry(&plan, &place, &stamped, value, len);
    atomic_store_explicit(&table->locks[place.group].used, LA_TABLE_WAYS - plan.free,
                          memory_order_relaxed);
    la_table_unlock(table, place.group);
    la_table_count(table, place.group, stores);
    return APR_SUCCESS;
}

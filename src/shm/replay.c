/* Remembering digests. Any thread of any process.
 *
 *   header    layout, length, beginning, counters                            4096 bytes
 *             heads    of each table: its minute << 32 | its serial
 *             lock     for giving a table to another minute
 *             spans    the minutes that were forgotten (spans.h)
 *   shares    of each table: how much of it each owner has (shares.h)  8192 bytes each
 *   tables    16 of them, each for the digests whose lives end in one minute:
 *     levels    128 lines of 64 bytes, then four times as many in each level
 *       line      8 words: a tag of 48 bits << 16 | the table's serial; of another serial: free
 *
 * A digest has one way through its minute's table: its line in the first level, in the second, and
 * so on, then seven more lines of the last one. Who remembers a digest goes this way up to the
 * first free word and swaps its own word in. Words of the table's serial never change while the
 * table is the minute's, so all who come with the same digest meet at the same word, and one swap
 * succeeds. Nothing else has to be done afterwards: whoever is killed before the swap has
 * remembered nothing and taken nothing, and after it all.
 *
 * The same digest with another end has its way through another table: whoever has swapped his word
 * in looks for it in all others. Of two who come at once each has swapped before he looks, so one
 * at most finds nothing.
 *
 * A minute gets a table once. Before the table goes to another minute, the first one is noted among
 * the spans, and what ends in it is refused from then on. So it does not matter by which clock a
 * minute was thought to be over. A table is free for others when its minute is over by the clock,
 * or lies further ahead than any digest that is taken now, as after the clock was put back.
 *
 * Memory order. The swaps and loads of words are sequentially consistent, which is for the look
 * into other tables; for the rest acquire would do. A head is stored (release) after the span, and
 * under the lock. Who is about to swap a word loaded it first (acquire), and then the head again: a
 * word that was written under a later head cannot be read without reading that head, or a later
 * one, next. So nobody takes a word of a later serial for a free one. A thread that is stopped
 * between that load and its swap, while the table goes to another minute, either finds the word
 * changed, or leaves a word of an old serial there, which is free, and what it has taken ends in a
 * minute that nobody can take from any more.
 */
#include "shm/replay.h"

#include "base/hash.h"
#include "shm/shares.h"
#include "shm/spans.h"

#include <string.h>

#define LAYOUT       (UINT64_C(0x6c617265706c6130) + LA_REPLAY_LAYOUT)
#define TABLES       16u
#define HEADER_BYTES 4096u
#define LINE_WORDS   8u
#define FIRST_BITS   7u /* of the number of a line in the first level */
#define LEVELS_MAX   5u
#define MORE_LINES   7u /* of the last level */

#define MINUTE_US (APR_TIME_C(60) * APR_USEC_PER_SEC)

/* How far the clocks of threads may be apart: each read it at the beginning of its request. */
#define SLACK_US MINUTE_US

#define TELL_AGAIN_US (60 * APR_USEC_PER_SEC)

typedef _Atomic uint64_t word_t;

typedef struct header_t {
    word_t layout;
    word_t bytes;
    word_t begin; /* older items are refused */
    word_t made;  /* when the memory was made: what was issued shortly before is refused always */
    la_lock_t lock;
    word_t results[LA_REPLAY_NEW + 1];
    word_t alone;
    word_t told[LA_REPLAY_IS_ALONE + 1]; /* when, of the steady clock */
    word_t heads[TABLES];                /* 0: never used */
    word_t held[TABLES];
    la_seqlock_word_t spans[LA_SPANS_WORDS]; /* of minutes that were forgotten */
} header_t;

_Static_assert(sizeof(word_t) == 8 && ATOMIC_LLONG_LOCK_FREE == 2, "one swap of one plain word");
_Static_assert(sizeof(header_t) <= HEADER_BYTES, "the header has room");
_Static_assert(LA_REPLAY_FIRST_BYTES == TABLES * sizeof(word_t) * LINE_WORDS << FIRST_BITS &&
                   LA_REPLAY_BYTES_OF(2) ==
                       HEADER_BYTES + TABLES * sizeof(la_shares_t) + 5 * LA_REPLAY_FIRST_BYTES,
               "as drawn");
_Static_assert(LA_REPLAY_BYTES_OF(LEVELS_MAX) / TABLES / sizeof(word_t) < LA_SHARES_ALL_MAX,
               "shares count so far");
_Static_assert((LA_REPLAY_AHEAD_US + 2 * SLACK_US) / MINUTE_US + 1 < TABLES,
               "a table for each minute that is not over");

/* Nothing in it was read from the shared bytes. */
struct la_replay_t {
    header_t *header;
    la_shares_t *shares; /* of each table */
    word_t *words;
    uint64_t points[2];
    uint64_t table_words;
    unsigned last_level;
    la_holder_t *life;
};

/* An item on its way. */
typedef struct way_t {
    uint64_t minute;
    uint64_t tag;
    uint64_t hash;
    uint64_t owner;
} way_t;

/* What a walk through a table ended with. */
typedef enum walk_e { WALK_FULL, WALK_GONE, WALK_SEEN, WALK_NEW } walk_e;

/* ---- making ---- */

/* The number of levels that are so long; 0: none. */
static unsigned count_levels(apr_size_t len)
{
    for (unsigned levels = 1; levels <= LEVELS_MAX; levels++) {
        if (len == LA_REPLAY_BYTES_OF(levels)) {
            return levels;
        }
    }
    return 0;
}

apr_status_t la_replay_format(void *bytes, apr_size_t len, apr_time_t now)
{
    header_t *header = bytes;

    if (count_levels(len) == 0) {
        return APR_EINVAL;
    }
    atomic_store(&header->begin, (uint64_t)now);
    atomic_store(&header->made, (uint64_t)now);
    atomic_store(&header->bytes, len);
    atomic_store(&header->layout, LAYOUT);
    return APR_SUCCESS;
}

apr_status_t la_replay_attach(void *bytes, apr_size_t len, const uint64_t points[2],
                              la_holder_t *life, apr_pool_t *pool, la_replay_t **made)
{
    header_t *header = bytes;
    la_replay_t *replay;

    *made = NULL;
    if (count_levels(len) == 0 || atomic_load(&header->layout) != LAYOUT ||
        atomic_load(&header->bytes) != len) {
        return APR_EGENERAL;
    }
    replay = apr_palloc(pool, sizeof(*replay));
    replay->header = header;
    replay->shares = (la_shares_t *)(void *)((char *)bytes + HEADER_BYTES);
    replay->words = (word_t *)(void *)(replay->shares + TABLES);
    memcpy(replay->points, points, sizeof(replay->points));
    replay->table_words =
        (len - HEADER_BYTES) / TABLES / sizeof(word_t) - sizeof(la_shares_t) / sizeof(word_t);
    replay->last_level = count_levels(len) - 1;
    replay->life = life;
    *made = replay;
    return APR_SUCCESS;
}

/* ---- a table ---- */

/* Lines of all levels below `levels`. */
static uint64_t count_lines(unsigned levels)
{
    return (((UINT64_C(1) << 2 * levels) - 1) / 3) << FIRST_BITS;
}

/* The line at which the way is at its step, from 0. */
static word_t *find_line(const la_replay_t *replay, unsigned table, uint64_t hash, unsigned step)
{
    unsigned level = step < replay->last_level ? step : replay->last_level;
    uint64_t mixed = (hash + step) * UINT64_C(0x9e3779b97f4a7c15);
    uint64_t line;

    mixed = (mixed ^ mixed >> 32) * UINT64_C(0xbf58476d1ce4e5b9);
    line = count_lines(level) + (mixed >> (64 - FIRST_BITS - 2 * level));
    return replay->words + table * replay->table_words + line * LINE_WORDS;
}

/* The part of a word that tells whose it is: not 0, which no word was written with. */
static uint64_t serial_of(uint64_t head)
{
    return (head & UINT32_MAX) % UINT16_MAX + 1;
}

/* Sees whether the item is in a word that is the head's, or takes the word if it is free.
 * head_now: NULL takes nothing. Returns WALK_FULL when it is another's. */
static walk_e try_word(const word_t *head_now, uint64_t head, word_t *word, uint64_t mine)
{
    uint64_t seen = atomic_load(word);

    while ((seen & UINT16_MAX) != serial_of(head)) {
        if (!head_now || atomic_load_explicit(head_now, memory_order_acquire) != head) {
            return WALK_GONE;
        }
        if (atomic_compare_exchange_strong(word, &seen, mine)) {
            return WALK_NEW;
        }
    }
    return seen == mine ? WALK_SEEN : WALK_FULL;
}

/* takes: 0 only looks, and returns WALK_GONE where the item would be taken. */
static walk_e walk(const la_replay_t *replay, unsigned table, uint64_t head, const way_t *way,
                   int takes)
{
    const word_t *head_now = takes ? &replay->header->heads[table] : NULL;
    uint64_t mine = way->tag << 16 | serial_of(head);
    walk_e found = WALK_FULL;

    for (unsigned step = 0; step <= replay->last_level + MORE_LINES && found == WALK_FULL; step++) {
        word_t *line = find_line(replay, table, way->hash, step);

        for (unsigned i = 0; i < LINE_WORDS && found == WALK_FULL; i++) {
            found = try_word(head_now, head, &line[i], mine);
        }
    }
    if (found == WALK_NEW) {
        atomic_fetch_add_explicit(&replay->header->held[table], 1, memory_order_relaxed);
    }
    return found;
}

/* Whether the item is in another table. */
static int is_elsewhere(const la_replay_t *replay, unsigned table, const way_t *way)
{
    for (unsigned i = 0; i < TABLES; i++) {
        uint64_t head = atomic_load(&replay->header->heads[i]);

        if (i != table && head != 0 && walk(replay, i, head, way, 0) == WALK_SEEN) {
            return 1;
        }
    }
    return 0;
}

/* ---- giving tables to minutes ---- */

/* Finds the minute's table. head: its head. Returns TABLES when there is none. */
static unsigned find_table(const la_replay_t *replay, uint64_t minute, uint64_t *head)
{
    for (unsigned i = 0; i < TABLES; i++) {
        *head = atomic_load_explicit(&replay->header->heads[i], memory_order_acquire);
        if (*head >> 32 == minute) {
            return i;
        }
    }
    *head = 0;
    return TABLES;
}

/* The last minute that has a table. */
static uint64_t find_newest(const header_t *header)
{
    uint64_t newest = 0;

    for (unsigned i = 0; i < TABLES; i++) {
        uint64_t minute = atomic_load(&header->heads[i]) >> 32;

        newest = minute > newest ? minute : newest;
    }
    return newest;
}

/* How willingly a table is given to another minute: 0 not at all. What is over goes first, so that
 * no more memory is touched than needed; what lies ahead of all that is taken goes last. */
static int rank_table(uint64_t head, apr_time_t now)
{
    apr_time_t starts = (apr_time_t)(head >> 32) * MINUTE_US;

    if (head == 0) {
        return 2;
    }
    if (starts + MINUTE_US + SLACK_US <= now) {
        return 3;
    }
    return starts > now + LA_REPLAY_AHEAD_US + SLACK_US;
}

/* Chooses a table for another minute; of those that go first the one whose minute was over first:
 * if the clock has only jumped ahead for a moment, it matters least. Returns TABLES when all are in
 * use. */
static unsigned choose_table(const header_t *header, apr_time_t now)
{
    unsigned chosen = TABLES;
    uint64_t first = 0;
    int best = 0;

    for (unsigned i = 0; i < TABLES; i++) {
        uint64_t head = atomic_load(&header->heads[i]);
        int rank = rank_table(head, now);

        if (rank > best || (rank > 0 && rank == best && head < first)) {
            best = rank;
            first = head;
            chosen = i;
        }
    }
    return chosen;
}

/* Gives the minute a table. Returns TABLES when all are in use. */
static unsigned give_table(la_replay_t *replay, uint64_t minute, apr_time_t now, uint64_t *head)
{
    header_t *header = replay->header;
    unsigned chosen = choose_table(header, now);
    uint64_t old;

    if (chosen == TABLES) {
        return TABLES;
    }
    old = atomic_load(&header->heads[chosen]);
    if (old != 0) {
        la_spans_note(header->spans, old >> 32, find_newest(header));
    }
    *head = minute << 32 | (uint32_t)(old + 1);
    atomic_store(&header->held[chosen], 0);
    atomic_store_explicit(&header->heads[chosen], *head, memory_order_release);
    return chosen;
}

/* Finds the table of a minute that had none a moment ago, or gives it one. Returns LA_REPLAY_NEW,
 * or why there is none. */
static la_replay_e begin_minute(la_replay_t *replay, uint64_t minute, apr_time_t now,
                                unsigned *table, uint64_t *head, la_replay_matter_e *matter)
{
    const header_t *header = replay->header;
    la_replay_e result = LA_REPLAY_NEW;

    if (la_lock_take(replay->life, &replay->header->lock, LA_REPLAY_LOCK_US) == LA_LOCK_BUSY) {
        *matter = LA_REPLAY_IS_BUSY;
        return LA_REPLAY_REFUSED;
    }
    *table = find_table(replay, minute, head);
    if (*table == TABLES && la_spans_has(header->spans, minute, find_newest(header))) {
        result = LA_REPLAY_OLD;
    } else if (*table == TABLES) {
        *table = give_table(replay, minute, now, head);
        if (*table == TABLES) {
            *matter = LA_REPLAY_IS_FULL;
            result = LA_REPLAY_FULL;
        }
    }
    la_lock_release(&replay->header->lock);
    return result;
}

/* ---- remembering ---- */

/* Begins anew if the clock was put back so far that waiting for it makes no sense. What this memory
 * remembered stays remembered or forgotten; nobody knows what others did before it. */
static void begin_anew(la_replay_t *replay, apr_time_t now)
{
    uint64_t begin = atomic_load(&replay->header->begin);

    if ((apr_time_t)begin - LA_REPLAY_BACK_US > now) {
        atomic_compare_exchange_strong(&replay->header->begin, &begin, (uint64_t)now);
    }
}

/* Whether the item may have been remembered by a memory right before this one, whatever the clock
 * did since. */
static int is_of_before(const la_replay_t *replay, const la_replay_item_t *item)
{
    apr_time_t made = (apr_time_t)atomic_load(&replay->header->made);

    return item->issued < made && item->until + LA_REPLAY_AHEAD_US >= made;
}

/* What is known of an item without looking for it. LA_REPLAY_NEW: nothing. */
static la_replay_e check_times(la_replay_t *replay, const la_replay_item_t *item, apr_time_t now,
                               la_replay_matter_e *matter)
{
    apr_time_t begin;

    if (now < MINUTE_US || now / MINUTE_US > UINT32_MAX / 2 ||
        item->until > now + LA_REPLAY_AHEAD_US) {
        return LA_REPLAY_REFUSED;
    }
    if (item->until <= now) {
        return LA_REPLAY_OLD;
    }
    begin_anew(replay, now);
    begin = (apr_time_t)atomic_load(&replay->header->begin);
    if (item->issued >= begin && !is_of_before(replay, item)) {
        return LA_REPLAY_NEW;
    }
    *matter = now < la_replay_ready(replay, now) ? LA_REPLAY_IS_LATE : LA_REPLAY_NO_MATTER;
    return LA_REPLAY_OLD;
}

static way_t find_way(const la_replay_t *replay, const la_replay_item_t *item)
{
    la_slice_t digest = {(const char *)item->digest, LA_DIGEST_BYTES};
    uint64_t place = la_hash_under(replay->points[0], 0, item->owner[0]);

    return (way_t){(uint64_t)(item->until / MINUTE_US),
                   la_hash_under(replay->points[0], 0, digest) & (UINT64_MAX >> 16),
                   la_hash_under(replay->points[1], 0, digest),
                   la_hash_under(replay->points[0], place, item->owner[1])};
}

/* Takes a word of the minute's table. */
static la_replay_e take(la_replay_t *replay, unsigned table, uint64_t head, const way_t *way,
                        la_replay_matter_e *matter)
{
    int may_take = la_shares_allow(&replay->shares[table], (uint32_t)head, way->owner,
                                   atomic_load(&replay->header->held[table]), replay->table_words);

    switch (walk(replay, table, head, way, may_take)) {
    case WALK_NEW:
        la_shares_add(&replay->shares[table], (uint32_t)head, way->owner);
        return is_elsewhere(replay, table, way) ? LA_REPLAY_SEEN : LA_REPLAY_NEW;
    case WALK_SEEN:
        return LA_REPLAY_SEEN;
    case WALK_GONE:
        *matter = may_take ? LA_REPLAY_NO_MATTER : LA_REPLAY_IS_OVER;
        return may_take ? LA_REPLAY_OLD : LA_REPLAY_OVER;
    case WALK_FULL:
        break;
    }
    *matter = LA_REPLAY_IS_FULL;
    return LA_REPLAY_FULL;
}

la_replay_e la_replay_remember(la_replay_t *replay, const la_replay_item_t *item, apr_time_t now,
                               la_replay_matter_e *matter)
{
    la_replay_e result;
    way_t way = find_way(replay, item);
    unsigned table = TABLES;
    uint64_t head = 0;

    *matter = LA_REPLAY_NO_MATTER;
    result = check_times(replay, item, now, matter);
    if (result == LA_REPLAY_NEW) {
        table = find_table(replay, way.minute, &head);
    }
    if (result == LA_REPLAY_NEW && table == TABLES) {
        result = begin_minute(replay, way.minute, now, &table, &head, matter);
    }
    return result == LA_REPLAY_NEW ? take(replay, table, head, &way, matter) : result;
}

/* ---- what is told of it ---- */

apr_time_t la_replay_ready(const la_replay_t *replay, apr_time_t now)
{
    apr_time_t begin = (apr_time_t)atomic_load(&replay->header->begin);

    return now < begin ? begin : (apr_time_t)atomic_load(&replay->header->made);
}

void la_replay_count(la_replay_t *replay, la_replay_e result, int is_alone)
{
    atomic_fetch_add(&replay->header->results[result], 1);
    if (is_alone) {
        atomic_fetch_add(&replay->header->alone, 1);
    }
}

void la_replay_read(const la_replay_t *replay, apr_time_t now, la_replay_state_t *state)
{
    const header_t *header = replay->header;

    /* What is part of another count is counted after it, and read before it. */
    *state =
        (la_replay_state_t){.alone = atomic_load(&header->alone), .capacity = replay->table_words};
    for (unsigned i = 0; i <= LA_REPLAY_NEW; i++) {
        state->results[i] = atomic_load(&header->results[i]);
    }
    for (unsigned i = 0; i < TABLES; i++) {
        uint64_t head = atomic_load(&header->heads[i]);

        if (head != 0 && (apr_time_t)((head >> 32) + 1) * MINUTE_US > now) {
            uint64_t held = atomic_load(&header->held[i]);

            state->held += held;
            state->fullest = held > state->fullest ? held : state->fullest;
        }
    }
}

int la_replay_tell(la_replay_t *replay, la_replay_matter_e matter, apr_time_t steady_us)
{
    word_t *told = &replay->header->told[matter];
    uint64_t at = atomic_load(told);

    return matter != LA_REPLAY_NO_MATTER &&
           (at == 0 || (uint64_t)steady_us - at >= (uint64_t)TELL_AGAIN_US) &&
           atomic_compare_exchange_strong(told, &at, (uint64_t)steady_us);
}

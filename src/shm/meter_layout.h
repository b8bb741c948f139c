/* The layout of meters in shared memory, for meter.c and meter_all.c alone.
 *
 *   header    layout, length, evictions                                  64 bytes
 *   groups    for each:
 *     head      lock for making a meter                                  64 bytes
 *     meters    8 of 128 bytes: two tags, two counting words, what was
 *               charged alone, what the status page shows, the
 *               beginning of a name
 *
 * The first three quarters of the groups are for known callers, the rest for names that strangers
 * can make up. A key belongs to one group.
 *
 * The counting words. A rate has `first` alone: the theoretical arrival time, in nanoseconds. A
 * window has its end in milliseconds << 16 | its number in `first`, and the number of the window in
 * which something was used last << 48 | how much in `second`. Opening a window raises the number;
 * what `second` says of an older window is 0 in the new one, and a thread that still counts in the
 * older one finds a newer number there and looks again. Who gives a meter to another key first
 * takes the tag away, then raises the number, and so no compare-and-swap that was prepared for the
 * old key fits any more.
 *
 * Order: a thread that decides loads the counting words (acquire), then sees that the tag is still
 * its key's, then swaps. A new key's words are stored (release) after the old tag was taken away,
 * so words of another key never go with the old tag. The swaps themselves are sequentially
 * consistent. */
#pragma once

#include "shm/meter.h"

#define LA_METER_LAYOUT UINT64_C(0x6c616d6574657232)
#define LA_METER_GROUP  8u
#define LA_METER_WORDS  (LA_METER_NAME_BYTES / 8)

/* Of a window's number. */
#define LA_METER_NUMBER_BITS 16

typedef _Atomic uint64_t la_meter_word_t;

typedef struct la_meter_t {
    la_meter_word_t tag; /* 0: free */
    la_meter_word_t check;
    la_meter_word_t first;
    la_meter_word_t second;
    la_meter_word_t ends; /* when it is as new, of the steady clock in microseconds */
    la_meter_word_t unit; /* of a rate: nanoseconds of one request; 0: a window */
    la_meter_word_t limit;
    la_meter_word_t kind;
    la_meter_word_t refusals;
    la_meter_word_t alone; /* while another store was away: of a window its number << 48 | how much;
                            * of a rate 1; 0: nothing */
    la_meter_word_t name[LA_METER_WORDS];
} la_meter_t;

typedef struct la_meter_group_t {
    la_lock_t lock;
    uint64_t unused[6];
    la_meter_t meters[LA_METER_GROUP];
} la_meter_group_t;

typedef struct la_meter_header_t {
    la_meter_word_t layout;
    la_meter_word_t bytes;
    la_meter_word_t evictions;
    la_meter_word_t told;    /* as many as that were logged */
    la_meter_word_t told_us; /* when, of the steady clock */
    uint64_t unused[3];
} la_meter_header_t;

_Static_assert(sizeof(la_lock_t) == 16 && sizeof(la_meter_header_t) == 64, "a line each");
_Static_assert(sizeof(la_meter_t) == 128 && sizeof(la_meter_group_t) == 1088, "as drawn");

/* Nothing in it was read from the shared bytes. */
struct la_meters_t {
    la_meter_header_t *header;
    la_meter_group_t *groups;
    uint64_t count; /* of groups */
    uint64_t apart; /* the first group for names of strangers */
    la_holder_t *life;
};

static inline uint64_t la_meter_load(const la_meter_word_t *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

static inline void la_meter_store(la_meter_word_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

static inline int la_meter_is_owned(const la_meter_t *meter, const la_meter_key_t *key)
{
    return la_meter_load(&meter->tag) == key->tag[0] && la_meter_load(&meter->check) == key->tag[1];
}

/* What was used in the window whose number is in `first`. */
static inline uint64_t la_meter_used(uint64_t first, uint64_t second)
{
    return (uint16_t)(second >> 48) == (uint16_t)first ? second & LA_METER_MOST : 0;
}

/* Finds the meter, or makes it. */
la_meter_t *la_meter_get(la_meters_t *meters, const la_meter_key_t *key,
                         const la_meter_terms_t *terms, const la_meter_now_t *now);

/* Takes the meter from its key and leaves nothing of what was counted. */
void la_meter_clear(la_meter_t *meter);

/* The group of a key. */
la_meter_group_t *la_meter_group(const la_meters_t *meters, const la_meter_key_t *key, int apart);

/* The window that is open at `at_ms`, as a counting word: opens one, or shortens one that ends too
 * late, if it must and the meter is still the key's. */
uint64_t la_meter_open(la_meter_t *meter, const la_meter_key_t *key, const la_meter_terms_t *terms,
                       uint64_t at_ms);

/* Adds to what was charged alone in a window, or takes from it. */
void la_meter_change_alone(la_meter_t *meter, uint16_t number, int64_t change);

/* Nanoseconds that one request takes of a rate. */
uint64_t la_meter_unit(const la_meter_terms_t *terms);

/* Now, in milliseconds of the clock that the window goes by. */
static inline uint64_t la_meter_ms(const la_meter_terms_t *terms, const la_meter_now_t *now)
{
    return (uint64_t)(terms->aligned ? now->wall_us : now->steady_us) / 1000;
}

/* How long to wait for a group's lock, which is held for microseconds unless its holder is stopped
 * or waits for a processor. */
#define LA_METER_LOCK_US 500000

/* The log of purges in shared memory:
 *
 *   generation | era | number | turn | place | told        8 bytes each
 *
 *   era      seconds since 1970, 36 bits | random, 28 bits
 *   number   the last 24 bits of its era | the number, 40 bits
 *
 * A position only goes up, so its words are raised by compare-and-swap, one after the other; a
 * process may die in between. A number of another era counts as 0, so a reader finds the position
 * or an earlier one, which only makes it drop too much. */
#include "shm/purge_log.h"

#include <openssl/rand.h>

#include <stdatomic.h>
#include <string.h>

#define RANDOM_BITS 28
#define RANDOM_MASK ((UINT64_C(1) << RANDOM_BITS) - 1)
#define NUMBER_BITS 40
#define CENTURY_S   UINT64_C(3155760000)
#define DAY_US      (APR_TIME_C(86400) * APR_USEC_PER_SEC)

typedef _Atomic uint64_t word_t;
_Static_assert(sizeof(word_t) == 8, "a word is a word in shared memory");

struct la_purge_log_t {
    _Alignas(64) word_t generation;
    word_t era;
    word_t number;
    word_t turn;
    word_t place;
    word_t told; /* server at which this machine last told of a purge; 0: none */
};

apr_size_t la_purge_log_bytes(void)
{
    return sizeof(la_purge_log_t);
}

uint64_t la_purge_generation(const la_purge_log_t *log)
{
    return atomic_load(&log->generation);
}

void la_purge_begin(la_purge_log_t *log)
{
    atomic_fetch_add(&log->generation, 1);
}

int la_purge_compare(la_purge_position_t a, la_purge_position_t b)
{
    if (a.era != b.era) {
        return a.era < b.era ? -1 : 1;
    }
    return a.number < b.number ? -1 : a.number > b.number;
}

static uint64_t seconds(apr_time_t now)
{
    return now > 0 ? (uint64_t)(now / APR_USEC_PER_SEC) : 0;
}

int la_purge_era_is_sound(uint64_t era, apr_time_t now)
{
    return era != 0 && era >> RANDOM_BITS <= seconds(now) + CENTURY_S;
}

static uint64_t pack(la_purge_position_t position)
{
    return position.era << NUMBER_BITS | (position.number & LA_PURGE_NUMBER_MAX);
}

/* Whether a packed number belongs to that era. */
static int is_of(uint64_t packed, uint64_t era)
{
    return packed >> NUMBER_BITS == (era & (UINT64_MAX >> NUMBER_BITS));
}

la_purge_position_t la_purge_known(const la_purge_log_t *log)
{
    la_purge_position_t known = {.era = atomic_load(&log->era)};
    uint64_t packed = atomic_load(&log->number);

    if (is_of(packed, known.era)) {
        known.number = packed & LA_PURGE_NUMBER_MAX;
    }
    return known;
}

void la_purge_advance(la_purge_log_t *log, la_purge_position_t position)
{
    uint64_t era = atomic_load(&log->era);
    uint64_t packed = atomic_load(&log->number);
    uint64_t before = packed;
    int moved = 0; /* to a new era, whose last 24 bits may be those of the old one */

    while (position.era > era && !moved) {
        moved = atomic_compare_exchange_weak(&log->era, &era, position.era);
    }
    /* A number that was not there before the move is of the new era, from another thread. */
    while (
        atomic_load(&log->era) == position.era &&
        ((moved && packed == before) || !is_of(packed, position.era) || packed < pack(position)) &&
        !atomic_compare_exchange_weak(&log->number, &packed, pack(position))) {}
}

uint64_t la_purge_draw(const la_purge_log_t *log, apr_time_t now)
{
    uint64_t known = atomic_load(&log->era);
    uint64_t second = seconds(now);
    uint64_t random;

    if (RAND_bytes((unsigned char *)&random, sizeof(random)) != 1) {
        return 0;
    }
    if (second <= known >> RANDOM_BITS) {
        second = (known >> RANDOM_BITS) + 1;
    }
    return second << RANDOM_BITS | (random & RANDOM_MASK);
}

void la_purge_raise(la_purge_log_t *log, apr_time_t now)
{
    /* A day ahead of other machines' clocks. */
    uint64_t era = la_purge_draw(log, now + DAY_US);

    if (!era) {
        era = ((atomic_load(&log->era) >> RANDOM_BITS) + 1) << RANDOM_BITS;
    }
    la_purge_advance(log, (la_purge_position_t){.era = era});
}

int la_purge_is_bound(const la_purge_log_t *log, uint64_t place)
{
    return atomic_load(&log->place) == place;
}

int la_purge_bind(la_purge_log_t *log, uint64_t place, apr_time_t now)
{
    uint64_t before = 0;
    uint64_t changing = LA_PURGE_CHANGING;

    if (atomic_compare_exchange_strong(&log->place, &before, place)) {
        return 0;
    }
    while (before != place) {
        /* Nobody is bound meanwhile; if this process dies here, another child goes on. */
        if (atomic_compare_exchange_strong(&log->place, &before, LA_PURGE_CHANGING)) {
            la_purge_raise(log, now);
            atomic_compare_exchange_strong(&log->place, &changing, place);
            return 1;
        }
    }
    return 0;
}

void la_purge_note_told(la_purge_log_t *log, uint64_t server)
{
    atomic_store(&log->told, server);
}

int la_purge_was_told_elsewhere(la_purge_log_t *log, uint64_t server, apr_time_t now)
{
    uint64_t told = atomic_load(&log->told);

    if (told == 0 || told == server) {
        return 0;
    }
    la_purge_raise(log, now);
    /* Last: if this process dies before, another one raises again. */
    atomic_compare_exchange_strong(&log->told, &told, 0);
    return 1;
}

int la_purge_turn(la_purge_log_t *log, apr_time_t now, apr_interval_time_t interval)
{
    uint64_t last = atomic_load(&log->turn);
    uint64_t time = (uint64_t)now;

    if (time >= last && time - last < (uint64_t)interval) {
        return 0;
    }
    return atomic_compare_exchange_strong(&log->turn, &last, time);
}

/* Counts by hash:
 *
 *   word    the turn's last 12 bits << 20 | the count; of another turn: 0
 *
 * Memory order: relaxed, words pair with nothing.
 */
#include "shm/shares.h"

#include <stddef.h>

#define COUNT_BITS 20u
#define COUNT_MOST ((UINT32_C(1) << COUNT_BITS) - 1)

_Static_assert(COUNT_MOST >= LA_SHARES_ALL_MAX - 1, "a word counts so far");

/* The owner's place in a row: bits of their own for each. */
static size_t place_of(uint64_t owner, unsigned row)
{
    return owner >> (row * (LA_SHARES_BITS + 5)) & ((1u << LA_SHARES_BITS) - 1);
}

/* What the word counts in that turn. */
static uint32_t count_in(uint32_t word, uint32_t turn)
{
    return (word ^ (turn << COUNT_BITS)) > COUNT_MOST ? 0 : word & COUNT_MOST;
}

int la_shares_allow(const la_shares_t *shares, uint32_t turn, uint64_t owner, uint64_t held,
                    uint64_t all)
{
    uint64_t room = all / 4 * 3;
    uint32_t own = COUNT_MOST;

    for (unsigned row = 0; row < LA_SHARES_ROWS; row++) {
        uint32_t word =
            atomic_load_explicit(&shares->rows[row][place_of(owner, row)], memory_order_relaxed);
        uint32_t count = count_in(word, turn);

        own = count < own ? count : own;
    }
    return own <= LA_SHARES_LITTLE(all) || (held < room && own < (room - held) / 2);
}

static void add_one(_Atomic uint32_t *at, uint32_t turn)
{
    uint32_t seen = atomic_load_explicit(at, memory_order_relaxed);
    uint32_t count;

    do {
        count = count_in(seen, turn);
        count += count < COUNT_MOST;
    } while (!atomic_compare_exchange_weak_explicit(at, &seen, (turn << COUNT_BITS) | count,
                                                    memory_order_relaxed, memory_order_relaxed));
}

void la_shares_add(la_shares_t *shares, uint32_t turn, uint64_t owner)
{
    for (unsigned row = 0; row < LA_SHARES_ROWS; row++) {
        add_one(&shares->rows[row][place_of(owner, row)], turn);
    }
}

/* A model of a purge that meets a store (la_cache_purge() and la_cache_accept() of src/lookup/cache.c, on
 * la_table_sweep() and la_table_put()): what was asked for before the purge is not kept, whichever of the two
 * comes first at the entry's place.
 *
 * The purge counts up the generation, then sweeps: it reads the tag, and the state where there is one. The
 * store writes tag and state, then reads the generation, and takes its entry back if that is not the one
 * it asked under. Each writes one place and then reads the other's: without a full fence between the two
 * on both sides both may read what was there before, on POWER and on arm64 without LSE for one, even
 * though the generation's own accesses are sequentially consistent.
 *
 * run.sh checks it, and that it fails without either fence: NO_PUT_FENCE NO_SWEEP_FENCE
 */

#define LOCS  3
#define MSGS  4
#define GEN   0 /* the generation */
#define TAG   1
#define STATE 2
#define EMPTY 0
#define HEAD  2

byte running = 2;
byte asked; /* the generation that the store's question was asked under */

#include "memory.pml"

/* la_cache_asked(), la_table_put() and still_wanted(). */
proctype storer()
{
    MEMORY;
    byte generation;
    bool done;

    read(GEN, true, asked);
    append(TAG, 1, false);
    append(STATE, HEAD, true);
#ifndef NO_PUT_FENCE
    full_fence();
#endif
    read(GEN, true, generation);
    if
    :: generation != asked -> compare_and_swap(STATE, HEAD, EMPTY, done)
    :: else
    fi;
    running--
}

/* la_purge_begin() and la_table_sweep(). */
proctype sweeper()
{
    MEMORY;
    byte tag, state;
    bool done;

    append(GEN, 1, true);
#ifndef NO_SWEEP_FENCE
    full_fence();
#endif
    read(TAG, false, tag);
    if
    :: tag != 0 ->
        read(STATE, true, state);
        if
        :: state == HEAD -> compare_and_swap(STATE, HEAD, EMPTY, done)
        :: else
        fi
    :: else
    fi;
    running--
}

init
{
    byte i;

    atomic {
        do
        :: i < LOCS -> count[i] = 1; i++
        :: else -> break
        od;
        run storer();
        run sweeper()
    }
    running == 0;
    assert(asked != 0 || value[STATE * MSGS + count[STATE] - 1] != HEAD)
}

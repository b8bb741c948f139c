/* A model of a purge that meets a store (la_cache_purge() and la_cache_accept() of src/lookup/cache.c, on
 * la_table_sweep() and la_table_put_guarded()): what was asked for before the purge is not kept, whichever of the two
 * comes first at the entry's place, and though the store's process dies, or is stopped for as long as it likes, after any step.
 *
 * The purge counts up the generation, then sweeps: it reads the tag, and the state where there is one, and ends
 * what is there or is being written. The store writes state and tag, then reads the generation, and makes a HEAD
 * of its own WRITING only. Each writes one place and then reads the other's: without a full fence between the two
 * on both sides both may read what was there before, on POWER and on arm64 without LSE for one, even
 * though the generation's own accesses are sequentially consistent.
 *
 * run.sh checks it, and that it fails without either fence, and when a sweep leaves alone what is being
 * written, or a store does not notice that it was ended: NO_PUT_FENCE NO_SWEEP_FENCE NO_KILL BLIND_PUBLISH
 */

#define LOCS  3
#define MSGS  4
#define GEN   0 /* the generation */
#define TAG   1
#define STATE 2
#define EMPTY 0
#define WRITING 1
#define HEAD  2

byte running = 2;
byte asked; /* the generation that the store's question was asked under */

#include "memory.pml"

#define MAY_DIE if :: goto dead :: skip fi

/* la_cache_asked() and la_table_put_guarded(). */
proctype storer()
{
    MEMORY;
    byte generation;
    bool done;

    read(GEN, true, asked);
    MAY_DIE;
    append(STATE, WRITING, false);
    MAY_DIE;
    append(TAG, 1, false);
#ifndef NO_PUT_FENCE
    full_fence();
#endif
    read(GEN, true, generation);
    MAY_DIE;
    if
    :: generation != asked -> compare_and_swap(STATE, WRITING, EMPTY, done)
    :: else ->
#ifdef BLIND_PUBLISH
        append(STATE, HEAD, true)
#else
        compare_and_swap(STATE, WRITING, HEAD, done)
#endif
    fi;
dead:
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
    done = tag == 0;
    do
    :: done -> break
    :: else ->
        read(STATE, true, state);
        if
#ifdef NO_KILL
        :: state != HEAD -> done = true
#else
        :: state == EMPTY -> done = true
        :: state == WRITING -> compare_and_swap(STATE, WRITING, EMPTY, done)
#endif
        :: state == HEAD -> compare_and_swap(STATE, HEAD, EMPTY, done)
        fi
    od;
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

/* A model of how src/shm/table*.c publishes: no reader accepts an entry that is a mixture of two, nor one
 * that it should no longer find, whatever writers are killed on the way.
 *
 * The table is one group of two chunks. An entry is one chunk, or two with the other one as tail. Two
 * keys, 0 and 1. The value of every word is the number of the put that wrote it. The checksum is
 * left out: the protocol must do without it. Tags are left out: a reader may look at any chunk, as
 * with an outdated tag. Memory is not sequentially consistent, see memory.pml.
 *
 * Two writers put once each, any key and size, and may die after any step; one process removes key 0.
 * Then one looks for key 0: a reader, a writer after its put, or the remover. Looking after all is
 * written loses no case: nothing is ever forgotten, and a view, not the hour, says which of the old
 * values may be read.
 *
 * run.sh checks it, and that each of these flags, which take one thing out of the protocol, makes it
 * fail: NO_RECHECK NO_ACQUIRE_FENCE NO_RELEASE_FENCE NO_WRITING NO_RETIRE RELAXED_PUBLISH
 * RELAXED_FIRST_READ STATE_REPEATS NO_LOCK BLIND_REMOVE
 */

#define CHUNKS   2
#define PER      4 /* locations of a chunk */
#define LOCS     8 /* CHUNKS * PER */
#define MSGS     9 /* values a location can have one after the other */
#define S(c)     ((c) * PER)     /* state: version * 4 + kind */
#define X(c)     ((c) * PER + 1) /* head: key and part of the value; or a tail's value */
#define Y(c)     ((c) * PER + 2) /* head: size and the rest of the value */
#define L(c)     ((c) * PER + 3) /* link */
#define EMPTY    0
#define WRITING  1
#define HEAD     2
#define KIND(s)  ((s) % 4)
#ifdef STATE_REPEATS
#define NEXT(s, kind) (kind)
#else
#define NEXT(s, kind) (((s) / 4 + 1) * 4 + (kind))
#endif
#define WRITERS  2
#define NOBODY   255
#define PUTS     4 /* put 0: nothing was ever written; put 1: what is there at first */

byte key[PUTS];
byte size[PUTS];
byte puts = 1;
byte running; /* who may still write */
byte looker;  /* who looks at the end: a writer, WRITERS for the reader, the next for the remover */

#include "memory.pml"

/* ---- la_table_get() ----------------------------------------------------------- */

#define READER                                                                                     \
    byte c, s1, s2, x, y, l, z

/* Looks for key 0 once. Nothing older than `oldest` may be found. */
inline get(oldest)
{
    if
    :: c = 0
    :: c = 1
    fi;
#ifdef RELAXED_FIRST_READ
    read(S(c), false, s1);
#else
    read(S(c), true, s1);
#endif
    if
    :: KIND(s1) == HEAD ->
        read(X(c), false, x);
        if
        :: key[x] == 0 ->
            read(Y(c), false, y);
            z = x;
            if
            :: size[y] == 2 ->
                read(L(c), false, l);
                read(X(l), false, z)
            :: else
            fi;
#ifndef NO_ACQUIRE_FENCE
            acquire_fence();
#endif
            s2 = s1;
#ifndef NO_RECHECK
            read(S(c), false, s2);
#endif
            if
            :: s1 == s2 ->
                assert(x != 0 && x == y && x == z); /* whole */
                assert(x >= oldest)                 /* and not outlived */
            :: else
            fi
        :: else
        fi
    :: else
    fi;
    d_step { c = 0; s1 = 0; s2 = 0; x = 0; y = 0; l = 0; z = 0 }
}

/* ---- la_table_put() ----------------------------------------------------------- */

/* In one step: what a writer reads under the lock changes by removals only, and these only make
 * room that it does not use. */
inline make_plan()
{
    atomic {
        same = CHUNKS;
        c = 0;
        do
        :: c < CHUNKS ->
            owner[c] = CHUNKS;
            read(S(c), false, s1);
            state[c] = s1;
            c++
        :: else -> break
        od;
        c = 0;
        do
        :: c < CHUNKS ->
            if
            :: KIND(state[c]) == HEAD ->
                read(X(c), false, x);
                read(Y(c), false, y);
                assert(x == y && owner[c] == CHUNKS); /* what lives is whole, and nobody else's */
                owner[c] = c;
                if
                :: size[x] == 2 -> read(L(c), false, l); assert(l != c); owner[l] = c
                :: else
                fi;
                if
                :: key[x] == key[me] -> assert(same == CHUNKS); same = c /* a key is there once */
                :: else
                fi
            :: else
            fi;
            c++
        :: else -> break
        od;
        /* Which chunk becomes the head: that of the old entry, else a free one, else a victim's. */
        if
        :: same < CHUNKS -> h = same
        :: same == CHUNKS && owner[0] == CHUNKS -> h = 0
        :: same == CHUNKS && owner[1] == CHUNKS -> h = 1
        :: same == CHUNKS && owner[0] != CHUNKS && owner[1] != CHUNKS -> h = 0
        :: same == CHUNKS && owner[0] != CHUNKS && owner[1] != CHUNKS -> h = 1
        fi;
        t = 1 - h;
        c = 0; s1 = 0; x = 0; y = 0; l = 0
    }
}

/* Makes chunk `v` EMPTY if it starts an entry, or was left WRITING. */
inline retire(v)
{
    if
    :: KIND(state[v]) != EMPTY ->
#ifndef NO_RETIRE
        append(S(v), NEXT(state[v], EMPTY), false);
        state[v] = NEXT(state[v], EMPTY)
#else
        skip
#endif
    :: else
    fi
}

#define MAY_DIE                                                                                    \
    if                                                                                             \
    :: goto died                                                                                   \
    :: skip                                                                                        \
    fi

proctype writer(byte number)
{
    MEMORY;
    READER;
    byte owner[CHUNKS];
    byte state[CHUNKS];
    byte me, same, h, t;

#ifndef NO_LOCK
    unlocks == number; /* they are alike, so one order will do */
#endif
    lock();
    d_step {
        puts++;
        me = puts
    }
    if
    :: key[me] = 0
    :: key[me] = 1
    fi;
    if
    :: size[me] = 1
    :: size[me] = 2
    fi;
    make_plan();
    /* Victims: whoever else has the head's chunk, or the tail's if one is needed. */
    if
    :: owner[h] < CHUNKS && owner[h] != h -> retire(owner[h]); MAY_DIE
    :: else
    fi;
    if
    :: size[me] == 2 -> retire(t); MAY_DIE
    :: else
    fi;
#ifndef NO_WRITING
    append(S(h), NEXT(state[h], WRITING), false);
    state[h] = NEXT(state[h], WRITING);
    MAY_DIE;
#endif
#ifndef NO_RELEASE_FENCE
    release_fence();
#endif
    append(X(h), me, false);
    MAY_DIE;
    if
    :: size[me] == 2 ->
        append(L(h), t, false);
        MAY_DIE;
        append(X(t), me, false);
        MAY_DIE
    :: else
    fi;
    append(Y(h), me, false);
    MAY_DIE;
#ifdef RELAXED_PUBLISH
    append(S(h), NEXT(state[h], HEAD), false);
#else
    append(S(h), NEXT(state[h], HEAD), true);
#endif
    MAY_DIE;
    unlock();
    d_step { same = 0; h = 0; t = 0; state[0] = 0; state[1] = 0; owner[0] = 0; owner[1] = 0 };
    running--;
    atomic {
        looker == number && key[me] == 0;
        get(me)
    };
    goto done;
died:
    unlock();
    forget();
    running--;
done:
    skip
}

/* ---- la_table_remove() -------------------------------------------------------- */

/* Looks at one chunk, any. What it reads it may as well read just before it swaps: see the head. What
 * it removed it does not find again. */
proctype remover()
{
    MEMORY;
    READER;
    byte gone;
    bool swapped;

    if
    :: c = 0
    :: c = 1
    fi;
    atomic {
        read(S(c), true, s1);
        if
        :: KIND(s1) == HEAD ->
            read(X(c), false, x);
            if
            :: key[x] == 0 ->
                acquire_fence();
#ifdef BLIND_REMOVE
                append(S(c), NEXT(s1, EMPTY), true);
                swapped = true;
#else
                compare_and_swap(S(c), s1, NEXT(s1, EMPTY), swapped);
#endif
                if
                :: swapped -> gone = x
                :: else
                fi
            :: else
            fi
        :: else
        fi;
        d_step { c = 0; s1 = 0; x = 0; swapped = false };
        running--
    };
    atomic {
        looker == WRITERS + 1 && gone > 0;
        get(gone + 1)
    }
}

proctype reader()
{
    MEMORY;
    READER;

    atomic {
        looker == WRITERS;
        get(0)
    }
}

/* ---- the whole ------------------------------------------------------------------ */

init
{
    MEMORY;
    READER;
    byte owner[CHUNKS];
    byte state[CHUNKS];
    byte me, same, h, t; /* me: 0, whose key nobody has */

    atomic {
        /* Put 1 is there in chunk 0, with or without a tail. Put 0 is what was never written: of no key. */
        key[0] = 2;
        if
        :: key[1] = 0
        :: key[1] = 1
        fi;
        if
        :: size[1] = 1
        :: size[1] = 2
        fi;
        do
        :: i < LOCS -> count[i] = 1; i++
        :: else -> break
        od;
        i = 0;
        value[S(0) * MSGS] = HEAD;
        value[X(0) * MSGS] = 1;
        value[Y(0) * MSGS] = 1;
        value[L(0) * MSGS] = 1;
        if
        :: size[1] == 2 -> value[X(1) * MSGS] = 1
        :: else
        fi;
        looker = NOBODY;
        running = WRITERS + 1;
        run writer(0);
        run writer(1);
        run remover();
        run reader()
    }
    atomic {
        running == 0;
        /* Whatever happened, the next writer finds a sound group: make_plan() asserts it. */
        lock();
        make_plan();
        forget();
        if
        :: looker = 0
        :: looker = 1
        :: looker = WRITERS
        :: looker = WRITERS + 1
        fi
    }
}

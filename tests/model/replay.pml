/* A model of how src/shm/replay.c remembers: nobody is told of the same digest twice that it is new, whoever is killed
 * after any step or stopped for as long as it likes, and whatever minute a clock has which table given to.
 *
 * There is one table of two words, which two minutes want, and may have at any time. Digests 1 and 3 end in minute 1,
 * digest 2 in minute 2; two processes come with digest 1, and one more with each other, or two with digest 2. A head is
 * the number of its minute, which has a table once and so is its own serial; a word is the digest in it, whose minute
 * is the word's serial. Memory is not sequentially consistent, see memory.pml; the lock of a process that dies goes to
 * the next one. Elsewhere a death is a stop without an end.
 *
 * run.sh checks it, and that it fails without the span that notes a forgotten minute, the lock, the second look at the
 * head, the acquire of a word, or the compare-and-swap: NO_SPAN NO_LOCK NO_HEAD_CHECK RELAXED_WORD BLIND_SWAP
 */

#define LOCS  4
#define MSGS  7
#define HEAD  0
#define SPAN  1 /* the minutes that are forgotten: 1, 2, or 3 for both */
#define W(i)  (2 + (i))

#define MINUTE(digest) (2 - (digest) % 2)

#define MAY_DIE if :: goto dead :: skip fi

byte told[4]; /* how often a digest was new */

#include "memory.pml"

/* la_replay_remember(). */
proctype rememberer(byte digest)
{
    MEMORY;
    byte head;
    byte span;
    byte word;
    byte step;
    bool holds;
    bool done;

    read(HEAD, true, head);
    if
    :: head == MINUTE(digest) -> goto walk
    :: else
    fi;
    lock();
    holds = true;
    read(HEAD, false, head);
    MAY_DIE;
    if
    :: head == MINUTE(digest) -> goto give_no_more
    :: else
    fi;
    read(SPAN, false, span);
    if
    :: (span & MINUTE(digest)) != 0 -> goto dead
    :: else
    fi;
#ifndef NO_SPAN
    if
    :: head != 0 -> append(SPAN, span | head, false)
    :: else
    fi;
#endif
    MAY_DIE;
    append(HEAD, MINUTE(digest), true);
give_no_more:
    MAY_DIE;
    holds = false;
    unlock();
walk:
    do
    :: step < 2 ->
#ifdef RELAXED_WORD
        read(W(step), false, word);
#else
        read(W(step), true, word);
#endif
        if
        :: word == digest -> goto dead /* seen */
        :: word != 0 && word != digest && MINUTE(word) == MINUTE(digest) -> step++; goto next
        :: else
        fi;
#ifndef NO_HEAD_CHECK
        read(HEAD, true, head);
        if
        :: head != MINUTE(digest) -> goto dead /* gone */
        :: else
        fi;
#endif
#ifdef BLIND_SWAP
        append(W(step), digest, true);
        done = true;
#else
        compare_and_swap(W(step), word, digest, done);
#endif
        if
        :: done ->
            told[digest]++;
            assert(told[digest] <= 1);
            goto dead
        :: else
        fi;
next:
        skip
    :: else -> break /* full */
    od;
dead:
    if
    :: holds -> unlock()
    :: else
    fi;
    forget()
}

init
{
    byte i;

    atomic {
        do
        :: i < LOCS -> count[i] = 1; i++
        :: else -> break
        od;
        run rememberer(1);
        run rememberer(1);
        run rememberer(2);
        if
        :: run rememberer(2)
        :: run rememberer(3)
        fi
    }
}

/* Memory as C11 has it without promises, for table.pml and sweep.pml.
 *
 * Each location has the list of all its values; a thread has a view, the oldest value of each location
 * that it may still read, and any read may return any value that is not older. What is released and
 * acquired is a view. A fence that is missing in the code is missing here in the same place and with the same
 * effect; no step is reordered by hand. (After Kang, Hur, Lahav, Vafeiadis, Dreyer: "A promising
 * semantics for relaxed-memory concurrency", 2017.)
 *
 * The includer defines LOCS, the number of locations, and MSGS, of values that one can have in turn.
 */

byte count[LOCS]; /* values so far */
byte value[LOCS * MSGS];
byte seen[LOCS * MSGS * LOCS]; /* the view released with each */

bool locked;
byte lock_view[LOCS];
byte sc_view[LOCS]; /* of the last sequentially consistent fence */
byte unlocks;

/* Each process has: view (what it may still read), pending (what relaxed reads saw, until an acquire
 * fence), fenced (its view at the last release fence). */
#define MEMORY                                                                                     \
    byte view[LOCS];                                                                               \
    byte pending[LOCS];                                                                            \
    byte fenced[LOCS];                                                                             \
    byte i;                                                                                        \
    byte at

#define JOIN(to, from) to = (to > from -> to : from)

inline read(loc, acquire, out)
{
    atomic {
        at = view[loc];
        do
        :: at < count[loc] - 1 -> at++
        :: break
        od;
        skip;
        d_step {
            view[loc] = at;
            out = value[(loc) * MSGS + at];
            i = 0;
            do
            :: i < LOCS ->
                JOIN(pending[i], seen[((loc) * MSGS + at) * LOCS + i]);
                if
                :: acquire -> JOIN(view[i], seen[((loc) * MSGS + at) * LOCS + i])
                :: else
                fi;
                i++
            :: else -> break
            od;
            at = 0;
            i = 0
        }
    }
}

/* Appends a value. Every location is written under the lock, but for the compare-and-swap of a removal, so
 * the end is where it belongs. */
inline append(loc, val, release)
{
    d_step {
        at = count[loc];
        assert(at < MSGS);
        value[(loc) * MSGS + at] = val;
        view[loc] = at;
        i = 0;
        do
        :: i < LOCS ->
            seen[((loc) * MSGS + at) * LOCS + i] = (release -> view[i] : fenced[i]);
            i++
        :: else -> break
        od;
        seen[((loc) * MSGS + at) * LOCS + (loc)] = at;
        count[loc] = at + 1;
        at = 0;
        i = 0
    }
}

/* Reads the newest value and, if it is what was expected, appends another one. */
inline compare_and_swap(loc, expected, val, done)
{
    atomic {
        d_step {
            at = count[loc] - 1;
            done = (value[(loc) * MSGS + at] == expected);
            i = 0;
            do
            :: i < LOCS ->
                if
                :: done -> JOIN(view[i], seen[((loc) * MSGS + at) * LOCS + i])
                :: else
                fi;
                i++
            :: else -> break
            od;
            i = 0
        }
        if
        :: done -> append(loc, val, true)
        :: else -> at = 0
        fi
    }
}

inline acquire_fence()
{
    d_step {
        i = 0;
        do
        :: i < LOCS -> JOIN(view[i], pending[i]); i++
        :: else -> break
        od;
        i = 0
    }
}

inline release_fence()
{
    d_step {
        i = 0;
        do
        :: i < LOCS -> fenced[i] = view[i]; i++
        :: else -> break
        od;
        i = 0
    }
}

/* Fences of this kind stand in one order: each sees what those before it saw. */
inline full_fence()
{
    d_step {
        i = 0;
        do
        :: i < LOCS ->
            JOIN(view[i], pending[i]);
            JOIN(view[i], sc_view[i]);
            sc_view[i] = view[i];
            fenced[i] = view[i];
            i++
        :: else -> break
        od;
        i = 0
    }
}

inline lock()
{
    atomic {
#ifndef NO_LOCK
        !locked;
#endif
        d_step {
            locked = true;
            i = 0;
            do
            :: i < LOCS -> JOIN(view[i], lock_view[i]); i++
            :: else -> break
            od;
            i = 0
        }
    }
}

/* A death unlocks too: the kernel passes the lock on. */
inline unlock()
{
    d_step {
        i = 0;
        do
        :: i < LOCS -> JOIN(lock_view[i], view[i]); i++
        :: else -> break
        od;
        i = 0;
        locked = false;
        unlocks++
    }
}

/* A process that is done keeps no view, so that states that differ in nothing else are one. */
inline forget()
{
    d_step {
        i = 0;
        do
        :: i < LOCS ->
            view[i] = 0;
            pending[i] = 0;
            fenced[i] = 0;
            i++
        :: else -> break
        od;
        i = 0
    }
}

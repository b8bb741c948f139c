/* holder.c: who lives, and places and locks held by the living. */
#include "shm/holder.h"

#include "procs.h"

#define PLACES 8u

typedef struct world_t {
    la_place_t places[PLACES];
    la_lock_t lock;
    uint64_t guarded; /* by the lock */
    _Atomic uint32_t id;
    _Atomic uint32_t parent_id;
    _Atomic uint32_t inside;
    _Atomic uint32_t most;
    event_t ready;
    event_t done;
} world_t;

static la_holder_t life;
static world_t *world;

static int make_world(void **state)
{
    (void)state;
    world = shared_alloc(sizeof(*world));
    return 0;
}

static int drop_world(void **state)
{
    (void)state;
    shared_free(world, sizeof(*world));
    return 0;
}

/* Places taken with that mark, or with any for mark 0; the dead's count until they are swept. */
static uint32_t count_places(const la_place_t *places, uint32_t count, uint32_t mark)
{
    uint32_t taken = 0;

    for (uint32_t at = 0; at < count; at++) {
        uint64_t seen = atomic_load(&places[at]);

        taken += seen != 0 && (mark == 0 || (uint32_t)seen == mark);
    }
    return taken;
}

/* Says who it is and waits to be killed. */
static int show_id(void *unused)
{
    (void)unused;
    atomic_store(&world->id, la_holder_self(&life));
    event_set(&world->ready);
    event_wait(&world->done, 1);
    return 0;
}

static void test_self(void **state)
{
    uint32_t self = la_holder_self(&life);

    (void)state;
    assert_int_not_equal(self, 0);
    assert_int_equal(la_holder_self(&life), self);
    assert_int_equal(la_holder_alive(&life, self), 1);
}

static void test_nobody(void **state)
{
    (void)state;
    assert_int_equal(la_holder_alive(&life, 0), 0);
    assert_int_equal(la_holder_alive(&life, la_holder_self(&life) ^ 1), 0);
}

static void test_child_has_its_own(void **state)
{
    uint32_t self = la_holder_self(&life);
    pid_t child = spawn(show_id, NULL);

    (void)state;
    event_wait(&world->ready, 1);
    assert_int_not_equal(atomic_load(&world->id), self);
    assert_int_equal(la_holder_alive(&life, atomic_load(&world->id)), 1);
    event_set(&world->done);
    assert_int_equal(reap(child), 0);
    assert_int_equal(la_holder_alive(&life, atomic_load(&world->id)), 0);
    assert_int_equal(la_holder_self(&life), self);
}

/* kill(pid, 0) would still find it. */
static void test_zombie_is_dead(void **state)
{
    pid_t child = spawn(show_id, NULL);

    (void)state;
    event_wait(&world->ready, 1);
    kill_unreaped(child);
    assert_int_equal(la_holder_alive(&life, atomic_load(&world->id)), 0);
    assert_int_equal(kill(child, 0), 0);
    assert_int_equal(reap(child), -SIGKILL);
}

static void test_stopped_is_alive(void **state)
{
    pid_t child = spawn(show_id, NULL);

    (void)state;
    event_wait(&world->ready, 1);
    kill(child, SIGSTOP);
    wait_state(child, WSTOPPED);
    assert_int_equal(la_holder_alive(&life, atomic_load(&world->id)), 1);
    kill_unreaped(child);
    reap(child);
}

/* Forks a child that lives on, and ends. */
static int leave_orphan(void *unused)
{
    (void)unused;
    atomic_store(&world->parent_id, la_holder_self(&life));
    if (fork() == 0) {
        alarm(HANG_SECONDS);
        _exit(show_id(NULL));
    }
    event_wait(&world->ready, 1);
    return 0;
}

static void test_orphan_does_not_keep_it_alive(void **state)
{
    pid_t child = spawn(leave_orphan, NULL);

    (void)state;
    assert_int_equal(reap(child), 0);
    assert_int_equal(la_holder_alive(&life, atomic_load(&world->parent_id)), 0);
    assert_int_equal(la_holder_alive(&life, atomic_load(&world->id)), 1);
    event_set(&world->done);
    wait_until(!la_holder_alive(&life, atomic_load(&world->id)));
}

static void test_no_file(void **state)
{
    la_holder_t broken;
    uint32_t index;

    (void)state;
    la_holder_init(&broken, -1);
    assert_int_equal(la_holder_self(&broken), 0);
    assert_int_equal(la_holder_alive(&broken, 77), 1);
    assert_int_equal(la_place_take(&broken, world->places, PLACES, 1, &index), 0);
    assert_int_equal(la_place_leave(&broken, &world->places[0], 0), 0);
    assert_int_equal(count_places(world->places, PLACES, 0), 0);
}

static void test_take_and_leave(void **state)
{
    uint32_t index[PLACES + 1];
    uint32_t seen = 0;

    (void)state;
    for (uint32_t i = 0; i < PLACES; i++) {
        assert_int_equal(la_place_take(&life, world->places, PLACES, i % 2 + 1, &index[i]), 1);
        seen |= 1u << index[i];
    }
    assert_int_equal(seen, (1u << PLACES) - 1);
    assert_int_equal(la_place_take(&life, world->places, PLACES, 1, &index[PLACES]), 0);
    assert_int_equal(count_places(world->places, PLACES, 0), PLACES);
    assert_int_equal(count_places(world->places, PLACES, 2), PLACES / 2);

    assert_int_equal(la_place_leave(&life, &world->places[index[0]], 2), 0);
    assert_int_equal(la_place_leave(&life, &world->places[index[0]], 1), 1);
    assert_int_equal(la_place_leave(&life, &world->places[index[0]], 1), 0);
    assert_int_equal(count_places(world->places, PLACES, 0), PLACES - 1);
    la_place_sweep(&life, world->places, PLACES);
    assert_int_equal(count_places(world->places, PLACES, 0), PLACES - 1);
    assert_int_equal(la_place_take(&life, world->places, PLACES, 1, &index[PLACES]), 1);
    assert_int_equal(index[PLACES], index[0]);
}

static void test_no_places(void **state)
{
    uint32_t index;

    (void)state;
    assert_int_equal(la_place_take(&life, world->places, 0, 1, &index), 0);
}

/* Takes all places and waits to be killed. */
static int take_all(void *unused)
{
    uint32_t index;

    (void)unused;
    while (la_place_take(&life, world->places, PLACES, 5, &index)) {}
    event_set(&world->ready);
    event_wait(&world->done, 1);
    return 0;
}

static void test_dead_hold_nothing(void **state)
{
    uint32_t index;
    pid_t child = spawn(take_all, NULL);

    (void)state;
    event_wait(&world->ready, 1);
    assert_int_equal(la_place_take(&life, world->places, PLACES, 5, &index), 0);
    la_place_sweep(&life, world->places, PLACES);
    assert_int_equal(count_places(world->places, PLACES, 5), PLACES);

    kill_unreaped(child);
    assert_int_equal(la_place_take(&life, world->places, PLACES, 6, &index), 1);
    assert_int_equal(count_places(world->places, PLACES, 5), PLACES - 1);
    la_place_sweep(&life, world->places, PLACES);
    assert_int_equal(count_places(world->places, PLACES, 0), 1);
    reap(child);
}

static void test_garbage_is_free(void **state)
{
    uint64_t seed = 11;
    uint32_t index;

    (void)state;
    for (uint32_t i = 0; i < PLACES; i++)
        atomic_store(&world->places[i], i == 0 ? 99 : next_random(&seed));
    for (uint32_t i = 0; i < PLACES; i++)
        assert_int_equal(la_place_take(&life, world->places, PLACES, 1, &index), 1);
    assert_int_equal(la_place_take(&life, world->places, PLACES, 1, &index), 0);
}

static void *crowd(void *unused)
{
    for (int i = 0; i < 300; i++) {
        uint32_t index;
        uint32_t now;
        uint32_t most = atomic_load(&world->most);

        if (!la_place_take(&life, world->places, 3, 1, &index))
            continue;
        now = atomic_fetch_add(&world->inside, 1) + 1;
        while (now > most && !atomic_compare_exchange_weak(&world->most, &most, now)) {}
        atomic_fetch_sub(&world->inside, 1);
        if (!la_place_leave(&life, &world->places[index], 1))
            atomic_store(&world->most, 1000);
    }
    return unused;
}

static int crowd_in_child(void *unused)
{
    (void)unused;
    run_threads(4, crowd, NULL);
    return 0;
}

static void test_never_more_than_places(void **state)
{
    pid_t child = spawn(crowd_in_child, NULL);

    (void)state;
    run_threads(4, crowd, NULL);
    assert_int_equal(reap(child), 0);
    assert_in_range(atomic_load(&world->most), 1, 3);
    assert_int_equal(count_places(world->places, PLACES, 0), 0);
}

static void *join_at_once(void *fresh)
{
    uint32_t self = la_holder_self(fresh);
    uint32_t none = 0;

    if (!atomic_compare_exchange_strong(&world->id, &none, self) && none != self)
        atomic_fetch_add(&world->inside, 1);
    return NULL;
}

static void test_threads_share_an_id(void **state)
{
    la_holder_t fresh;

    (void)state;
    la_holder_init(&fresh, life.fd);
    run_threads(8, join_at_once, &fresh);
    assert_int_equal(atomic_load(&world->inside), 0);
    assert_int_not_equal(atomic_load(&world->id), 0);
}

/* ---- locks ---------------------------------------------------------------------- */

#define LONG_US (HANG_SECONDS * APR_USEC_PER_SEC)

static void test_lock_and_release(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(la_lock_take(&life, &world->lock, 0), LA_LOCK_TAKEN);
        assert_int_equal(la_lock_take(&life, &world->lock, 0), LA_LOCK_BUSY);
        assert_int_equal(la_lock_take(&life, &world->lock, 3000), LA_LOCK_BUSY);
        la_lock_release(&world->lock);
    }
}

static void test_lock_without_proof(void **state)
{
    la_holder_t broken;

    (void)state;
    la_holder_init(&broken, -1);
    assert_int_equal(la_lock_take(&broken, &world->lock, LONG_US), LA_LOCK_BUSY);
}

static int hold_lock(void *unused)
{
    (void)unused;
    if (la_lock_take(&life, &world->lock, LONG_US) != LA_LOCK_TAKEN)
        return 1;
    event_set(&world->ready);
    event_wait(&world->done, 1);
    la_lock_release(&world->lock);
    return 0;
}

static void test_lock_of_the_dead(void **state)
{
    pid_t child = spawn(hold_lock, NULL);

    (void)state;
    event_wait(&world->ready, 1);
    assert_int_equal(la_lock_take(&life, &world->lock, 3000), LA_LOCK_BUSY);
    kill_unreaped(child);
    assert_int_equal(la_lock_take(&life, &world->lock, 0), LA_LOCK_INHERITED);
    la_lock_release(&world->lock);
    assert_int_equal(la_lock_take(&life, &world->lock, 0), LA_LOCK_TAKEN);
    reap(child);
}

static void test_lock_of_the_stopped(void **state)
{
    pid_t child = spawn(hold_lock, NULL);

    (void)state;
    event_wait(&world->ready, 1);
    kill(child, SIGSTOP);
    wait_state(child, WSTOPPED);
    assert_int_equal(la_lock_take(&life, &world->lock, 5000), LA_LOCK_BUSY);
    event_set(&world->done);
    kill(child, SIGCONT);
    assert_int_equal(la_lock_take(&life, &world->lock, LONG_US), LA_LOCK_TAKEN);
    assert_int_equal(reap(child), 0);
}

/* Who waits notices a death as well. */
static int inherit_lock(void *unused)
{
    (void)unused;
    event_set(&world->ready);
    return (int)la_lock_take(&life, &world->lock, LONG_US);
}

static void test_lock_dies_under_a_waiter(void **state)
{
    pid_t holder = spawn(hold_lock, NULL);
    pid_t heir;

    (void)state;
    event_wait(&world->ready, 1);
    heir = spawn(inherit_lock, NULL);
    event_wait(&world->ready, 2);
    wait_until(atomic_load(&world->lock.sleeper) != 0);
    kill_unreaped(holder);
    assert_int_equal(reap(heir), LA_LOCK_INHERITED);
    reap(holder);
}

static void test_lock_of_garbage(void **state)
{
    uint64_t seed = 12;

    (void)state;
    for (int i = 0; i < 100; i++) {
        uint64_t garbage = i == 0 ? 99 : next_random(&seed);

        atomic_store(&world->lock.holder, garbage);
        atomic_store(&world->lock.sleeper, (uint32_t)garbage);
        assert_int_equal(la_lock_take(&life, &world->lock, 0), LA_LOCK_INHERITED);
        la_lock_release(&world->lock);
        assert_int_equal(la_lock_take(&life, &world->lock, 0), LA_LOCK_TAKEN);
        atomic_fetch_xor(&world->lock.holder, 1 << 5); /* mended by the release */
        la_lock_release(&world->lock);
    }
}

#define LOCK_ROUNDS 2000

/* Not an atomic, so that ThreadSanitizer sees what the lock is worth. */
static void *count_guarded(void *unused)
{
    for (int i = 0; i < LOCK_ROUNDS; i++) {
        if (la_lock_take(&life, &world->lock, LONG_US) != LA_LOCK_TAKEN)
            atomic_fetch_add(&world->most, 1);
        world->guarded++;
        la_lock_release(&world->lock);
    }
    return unused;
}

static int count_in_child(void *unused)
{
    (void)unused;
    run_threads(4, count_guarded, NULL);
    return 0;
}

static void test_one_at_a_time(void **state)
{
    pid_t child = spawn(count_in_child, NULL);

    (void)state;
    run_threads(4, count_guarded, NULL);
    assert_int_equal(reap(child), 0);
    assert_int_equal(atomic_load(&world->most), 0);
    assert_int_equal(world->guarded, 8 * LOCK_ROUNDS);
}

static void add_here(const char *name, CMUnitTestFunction function)
{
    add(name, function, NULL);
    tests[test_count - 1].setup_func = make_world;
    tests[test_count - 1].teardown_func = drop_world;
}

int main(void)
{
    int fd;

    if (la_holder_open(&fd) != APR_SUCCESS)
        return 1;
    la_holder_init(&life, fd);
    add_here("an id of one's own", test_self);
    add_here("nobody", test_nobody);
    add_here("a child has its own id", test_child_has_its_own);
    add_here("a zombie is dead", test_zombie_is_dead);
    add_here("a stopped process lives", test_stopped_is_alive);
    add_here("an orphan does not keep its parent alive", test_orphan_does_not_keep_it_alive);
    add_here("threads share an id", test_threads_share_an_id);
    add_here("no file: no proof", test_no_file);
    add_here("take and leave", test_take_and_leave);
    add_here("no places", test_no_places);
    add_here("the dead hold nothing", test_dead_hold_nothing);
    add_here("garbage is free", test_garbage_is_free);
    add_here("never more than the places", test_never_more_than_places);
    add_here("lock: take and release", test_lock_and_release);
    add_here("lock: no file", test_lock_without_proof);
    add_here("lock: of the dead", test_lock_of_the_dead);
    add_here("lock: of the stopped", test_lock_of_the_stopped);
    add_here("lock: its holder dies under a waiter", test_lock_dies_under_a_waiter);
    add_here("lock: garbage", test_lock_of_garbage);
    add_here("lock: one at a time", test_one_at_a_time);
    return run_added("life");
}

/* What the tests of shared memory share: memory and processes of a test's own, and events between
 * them. Included by one .c per program. Nothing here measures time: a test waits for what must
 * come, and the alarm ends a program that waits in vain.
 */
#ifndef LA_TEST_PROCS_H
#define LA_TEST_PROCS_H

#include "shm/futex.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_pools.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* A program that is not done by then hangs. */
#define HANG_SECONDS 240

/* A sanitizer's threads need more than the least. */
#define THREAD_STACK (512u * 1024)

typedef _Atomic uint32_t event_t;

/* Zeroed memory that forked children share. */
static inline void *shared_alloc(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert(memory != MAP_FAILED);
    return memory;
}

static inline void shared_free(void *memory, size_t bytes)
{
    munmap(memory, bytes);
}

static inline void event_set(event_t *event)
{
    atomic_fetch_add(event, 1);
    la_futex_wake(event, 1 << 30);
}

/* Waits until the event was set `count` times. */
static inline void event_wait(event_t *event, uint32_t count)
{
    uint32_t seen;

    while ((seen = atomic_load(event)) < count)
        la_futex_wait(event, seen, 1000000);
}

/* For what has no event of its own. */
#define wait_until(condition)                                                                      \
    do {                                                                                           \
        event_t nothing = 0;                                                                       \
        while (!(condition))                                                                       \
            la_futex_wait(&nothing, 0, 1000);                                                      \
    } while (0)

/* Runs `job` in a child process that dies with this one; its result is the exit code. */
static inline pid_t spawn(int (*job)(void *), void *argument)
{
    pid_t child = fork();

    assert(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(HANG_SECONDS);
        _exit(job(argument));
    }
    return child;
}

/* The child's exit code, or minus the signal that ended it. */
static inline int reap(pid_t child)
{
    int status;

    while (waitpid(child, &status, 0) != child) {}
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Waits until a stopped or ended child is that, without reaping it. */
static inline void wait_state(pid_t child, int what)
{
    siginfo_t info;

    while (waitid(P_PID, (id_t)child, &info, what | WNOWAIT) != 0) {}
}

/* Kills a child and leaves it a zombie. */
static inline void kill_unreaped(pid_t child)
{
    kill(child, SIGKILL);
    wait_state(child, WEXITED);
}

/* Runs `count` threads of one function in this process, and waits for their ends. */
static inline void run_threads(unsigned int count, void *(*run)(void *), void *argument)
{
    pthread_t threads[512];
    pthread_attr_t attributes;

    assert(count <= ROWS(threads));
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK);
    for (unsigned int i = 0; i < count; i++) {
        int failed = pthread_create(&threads[i], &attributes, run, argument);

        assert(failed == 0);
        (void)failed;
    }
    for (unsigned int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    pthread_attr_destroy(&attributes);
}

/* A generator for tests that repeat: the same seed gives the same numbers. */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t mixed = *state += 0x9e3779b97f4a7c15u;

    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

#define MAX_TESTS 128

static struct CMUnitTest tests[MAX_TESTS];
static size_t test_count;

static inline void add(const char *name, CMUnitTestFunction function, void *row)
{
    assert(test_count < MAX_TESTS);
    tests[test_count++] = (struct CMUnitTest){name, function, NULL, NULL, row};
}

static inline int run_added(const char *group)
{
    int failed;

    alarm(HANG_SECONDS);
    apr_initialize();
    failed = _cmocka_run_group_tests(group, tests, test_count, NULL, NULL);
    apr_terminate();
    return failed;
}

#endif

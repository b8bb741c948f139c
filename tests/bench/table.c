/* Measures look-ups in the shared-memory table alone: values of 200 bytes, among 1,000 and
 * 1,000,000 entries in 512 MB, by 1 to 8 processes, and prints `name value unit` a line.
 *
 * Every figure is CPU time, so that other work on the machine counts as little as it can, and the
 * median of rounds in which all cases take turns. Each look-up depends on the result of the one
 * before: nothing overlaps, as nothing does between requests. What the choice of the next key costs
 * is measured too and taken off.
 *
 *   gcc -std=gnu11 -O2 -D_GNU_SOURCE -Isrc $(apr-1-config --includes --cppflags)
 * tests/bench/table.c \ src/shm/table.c src/shm/table_lock.c src/shm/table_write.c src/shm/holder.c
 * src/shm/futex.c src/base/clock.c -lapr-1 -lpthread -o table
 */
#include "shm/table.h"

#include <apr_general.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SEGMENT_BYTES ((size_t)512 << 20)
#define VALUE_BYTES   200
#define FEW           1000u
#define MANY          1000000u
#define ROUNDS        7
#define LOOKUPS       250000u
#define MAX_PROCESSES 8
#define NOW_US        ((apr_time_t)1700000000 * APR_USEC_PER_SEC)

typedef struct shared_t {
    double ns[MAX_PROCESSES];
} shared_t;

static la_holder_t life;
static la_table_t *few_table, *many_table;
static const volatile unsigned char *many_bytes;
static shared_t *shared;

/* ---- keys and entries --------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static void key_of(uint64_t number, unsigned char *key)
{
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t word = mix(number * 4 + i);

        memcpy(key + 8 * i, &word, 8);
    }
}

static void *room(void *context, apr_size_t len)
{
    return len <= VALUE_BYTES ? context : NULL;
}

static void put(la_table_t *table, uint64_t number)
{
    unsigned char key[LA_TABLE_KEY_BYTES];
    unsigned char value[VALUE_BYTES] = {0};
    la_table_meta_t meta = {.stored_us = NOW_US, .expires_us = NOW_US + 3600 * APR_USEC_PER_SEC};

    key_of(number, key);
    memcpy(value, &number, sizeof(number));
    if (la_table_put(table, key, &meta, (la_slice_t){(char *)value, sizeof(value)}, NULL) !=
        APR_SUCCESS) {
        exit(1);
    }
}

static la_table_t *make_table(apr_pool_t *pool, uint64_t entries)
{
    la_table_t *table;
    void *bytes =
        mmap(NULL, SEGMENT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (bytes == MAP_FAILED || la_table_format(bytes, SEGMENT_BYTES) != APR_SUCCESS ||
        la_table_attach(bytes, SEGMENT_BYTES, &life, pool, &table) != APR_SUCCESS) {
        perror("table");
        exit(1);
    }
    for (uint64_t i = 0; i < entries; i++) {
        put(table, i);
    }
    many_bytes = bytes;
    return table;
}

/* ---- measuring ------------------------------------------------------------------ */

static double cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

typedef struct case_t {
    const char *name;
    la_table_t **table; /* NULL: only choose keys */
    uint64_t from, entries;
    int processes;
    int hit;
    int lines_only;
    double ns[ROUNDS];
} case_t;

/* What a look-up in a large table cannot do without: the lines of one entry, somewhere in the
 * segment. */
static uint64_t read_lines(uint64_t seed)
{
    size_t at = (size_t)((seed & 0xffffffff) * (SEGMENT_BYTES / 384) >> 32) * 384;
    uint64_t sum = 0;

    for (size_t i = 0; i < 128 + VALUE_BYTES && at + i < SEGMENT_BYTES; i += 64) {
        sum += many_bytes[at + i];
    }
    return sum;
}

/* CPU nanoseconds per step of a chain of look-ups. */
static double chain(const case_t *c, uint64_t seed, unsigned steps)
{
    unsigned char key[LA_TABLE_KEY_BYTES];
    unsigned char value[VALUE_BYTES + 8] = {0};
    la_table_entry_t entry;
    uint64_t found = 0;
    unsigned hits = 0;
    double start = cpu_ns();
    double ns;

    for (unsigned i = 0; i < steps; i++) {
        seed = mix(seed + found);
        key_of(c->from + ((seed & 0xffffffff) * c->entries >> 32), key);
        if (c->lines_only) { /* keys are chosen for nothing, as their cost is taken off below */
            found = read_lines(seed);
            continue;
        }
        if (!c->table) {
            memcpy(&found, key, sizeof(found));
            continue;
        }
        if (la_table_get(*c->table, key, NOW_US, room, value, &entry) == LA_TABLE_FRESH) {
            hits++;
        }
        memcpy(&found, value, sizeof(found));
    }
    ns = (cpu_ns() - start) / steps;
    /* A few of a million have been evicted where their part of the table was full. */
    if (c->table && !c->lines_only && (c->hit ? hits < steps - steps / 1000 : hits > 0)) {
        fprintf(stderr, "%s: %u of %u look-ups were hits\n", c->name, hits, steps);
        _exit(1);
    }
    return ns;
}

/* Maps the pages of the table into this process and warms the caches. */
static void warm_up(const case_t *c, uint64_t seed)
{
    if (c->table == &many_table) {
        for (size_t i = 0; i < SEGMENT_BYTES; i += 4096) {
            (void)many_bytes[i];
        }
    }
    chain(c, seed, LOOKUPS / 10);
}

/* The mean over the processes, all of which run at the same time. */
static double measure(const case_t *c, uint64_t seed)
{
    double sum = 0;

    for (int i = 0; i < c->processes; i++) {
        if (fork() == 0) {
            warm_up(c, mix(seed + (uint64_t)i));
            shared->ns[i] = chain(c, mix(seed * 31 + (uint64_t)i), LOOKUPS);
            _exit(0);
        }
    }
    for (int i = 0; i < c->processes; i++) {
        int status;

        if (wait(&status) < 0 || status != 0) {
            exit(1);
        }
    }
    for (int i = 0; i < c->processes; i++) {
        sum += shared->ns[i];
    }
    return sum / c->processes;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;

    return (*x > *y) - (*x < *y);
}

static double median(case_t *c)
{
    qsort(c->ns, ROUNDS, sizeof(c->ns[0]), by_value);
    return c->ns[ROUNDS / 2];
}

/* ---- cases ---------------------------------------------------------------------- */

/* The first is the choice of keys alone; the figures of the others are without it. */
static case_t cases[] = {
    {"keys_alone", NULL, 0, MANY, 1, 0, 0, {0}},
    {"lookup_1000_entries_1_process", &few_table, 0, FEW, 1, 1, 0, {0}},
    {"lookup_1000_entries_2_processes", &few_table, 0, FEW, 2, 1, 0, {0}},
    {"lookup_1000_entries_4_processes", &few_table, 0, FEW, 4, 1, 0, {0}},
    {"lookup_1000_entries_8_processes", &few_table, 0, FEW, 8, 1, 0, {0}},
    {"lookup_1000000_entries_1_process", &many_table, 0, MANY, 1, 1, 0, {0}},
    {"lookup_1000000_entries_2_processes", &many_table, 0, MANY, 2, 1, 0, {0}},
    {"lookup_1000000_entries_4_processes", &many_table, 0, MANY, 4, 1, 0, {0}},
    {"lookup_1000000_entries_8_processes", &many_table, 0, MANY, 8, 1, 0, {0}},
    {"lookup_1000_in_use_of_1000000", &many_table, 0, FEW, 1, 1, 0, {0}},
    {"lookup_5000_in_use_of_1000000", &many_table, 0, 5000, 1, 1, 0, {0}},
    {"memory_of_one_entry_in_512_MB", &many_table, 0, MANY, 1, 0, 1, {0}},
    {"miss_1000_entries", &few_table, MANY, MANY, 1, 0, 0, {0}},
    {"miss_1000000_entries", &many_table, MANY, MANY, 1, 0, 0, {0}},
};
#define CASES (sizeof(cases) / sizeof(cases[0]))

static double ns_of(const char *name)
{
    for (size_t i = 0; i < CASES; i++) {
        if (strcmp(cases[i].name, name) == 0) {
            return median(&cases[i]) - median(&cases[0]);
        }
    }
    exit(1);
}

static void print_cases(void)
{
    for (size_t i = 1; i < CASES; i++) {
        printf("%s %.1f ns\n", cases[i].name, ns_of(cases[i].name));
    }
    printf("lookup_1000000_over_1000 %.2f ratio\n",
           ns_of("lookup_1000000_entries_1_process") / ns_of("lookup_1000_entries_1_process"));
    printf("lookup_1000_in_use_of_1000000_over_1000 %.2f ratio\n",
           ns_of("lookup_1000_in_use_of_1000000") / ns_of("lookup_1000_entries_1_process"));
    printf("rate_per_core_8_processes_1000_entries %.2f ratio\n",
           ns_of("lookup_1000_entries_1_process") / ns_of("lookup_1000_entries_8_processes"));
    printf("rate_per_core_8_processes_1000000_entries %.2f ratio\n",
           ns_of("lookup_1000000_entries_1_process") / ns_of("lookup_1000000_entries_8_processes"));
}

int main(void)
{
    la_table_stats_t stats;
    apr_pool_t *pool;
    double start;
    int fd;

    if (la_holder_open(&fd) != APR_SUCCESS) {
        return 1;
    }
    la_holder_init(&life, fd);
    setvbuf(stdout, NULL, _IOLBF, 0);
    apr_initialize();
    apr_pool_create(&pool, NULL);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    few_table = make_table(pool, FEW);
    start = cpu_ns();
    many_table = make_table(pool, MANY);
    printf("store_filling_to_1000000 %.0f ns\n", (cpu_ns() - start) / MANY);
    la_table_stats(many_table, &stats);
    printf("entries_of_1000000_in_512_MB %llu entries\n", (unsigned long long)stats.entries);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < CASES; i++) {
            cases[i].ns[round] = measure(&cases[i], round * 1000 + i);
        }
    }
    print_cases();
    start = cpu_ns();
    for (uint64_t i = 0; i < LOOKUPS / 4; i++) {
        put(few_table, i % FEW);
    }
    printf("store_in_place %.0f ns\n", (cpu_ns() - start) / (LOOKUPS / 4));
    apr_terminate();
    return 0;
}

/* What the provider floor's tests share: a server that does not exist, files in a directory of
 * their own, and a list of tests that tables add their rows to. Included by one .c per program.
 */
#ifndef LA_TEST_SUPPORT_H
#define LA_TEST_SUPPORT_H

#include "base/slice.h"
#include "io/server.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <apr_fnmatch.h>
#include <apr_general.h>
#include <apr_pools.h>
#include <apr_strings.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static inline apr_pool_t *new_pool(void)
{
    apr_pool_t *pool;

    assert_int_equal(apr_pool_create(&pool, NULL), APR_SUCCESS);
    return pool;
}

static inline la_slice_t slice_of_text(const char *text)
{
    return la_slice_of(text);
}

/* ---- the server ---- */

static char logged[4096]; /* the last line */
static int log_lines;     /* how many came */
static la_log_e log_level;

static char directory[] = "/tmp/la_unit_XXXXXX"; /* ServerRoot */

static inline void host_log(la_log_e level, const char *line)
{
    apr_cpystrn(logged, line, sizeof(logged));
    log_level = level;
    log_lines++;
}

static inline const char *host_path(apr_pool_t *pool, const char *path)
{
    return *path == '/' ? apr_pstrdup(pool, path) : apr_pstrcat(pool, directory, "/", path, NULL);
}

static inline int host_threads(void)
{
    return 4;
}

static inline void forget_log(void)
{
    logged[0] = '\0';
    log_lines = 0;
}

/* ---- files ---- */

static inline const char *file_path(apr_pool_t *pool, const char *name)
{
    return host_path(pool, name);
}

/* Writes a file in place and gives it a time of its own: two versions may come in one tick of the
 * clock. */
static inline const char *write_file(apr_pool_t *pool, const char *name, la_slice_t content)
{
    static int age;
    const char *path = file_path(pool, name);
    FILE *out = fopen(path, "wb");
    struct timeval times[2] = {{1000000001 + age, 0}, {1000000001 + age, 0}};

    age++;
    assert_non_null(out);
    assert_int_equal(fwrite(content.data, 1, content.len, out), content.len);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(utimes(path, times), 0);
    return path;
}

static inline const char *write_text(apr_pool_t *pool, const char *name, const char *text)
{
    return write_file(pool, name, slice_of_text(text));
}

/* ---- running ---- */

#define MAX_TESTS 256

static struct CMUnitTest tests[MAX_TESTS];
static size_t test_count;

static inline void add(const char *name, CMUnitTestFunction function, void *row)
{
    assert(test_count < MAX_TESTS);
    tests[test_count++] = (struct CMUnitTest){name, function, NULL, NULL, row};
}

static inline void start(void)
{
    static const la_server_t host = {.log = host_log, .path = host_path, .threads = host_threads};

    apr_initialize();
    la_server_set(&host);
    assert(mkdtemp(directory));
}

/* Runs what was added, and removes the directory with its files. */
static inline int finish(const char *group)
{
    int failed = _cmocka_run_group_tests(group, tests, test_count, NULL, NULL);
    apr_pool_t *pool;
    apr_array_header_t *names;

    apr_pool_create(&pool, NULL);
    if (apr_match_glob(apr_pstrcat(pool, directory, "/*", NULL), &names, pool) == APR_SUCCESS) {
        for (int i = 0; i < names->nelts; i++)
            remove(host_path(pool, APR_ARRAY_IDX(names, i, const char *)));
    }
    rmdir(directory);
    apr_terminate();
    return failed;
}

#endif

/* file.c: what counts as another version of a file, how it is read, and secrets with their reloads.
 */
#include "support.h"

#include "io/file.h"
#include "io/secret.h"

#include "io/reload.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#define START (APR_TIME_C(1800000000) * APR_USEC_PER_SEC)

/* ---- reading ---- */

static void test_read(void **state)
{
    apr_pool_t *pool = new_pool();
    la_file_t *file = la_file_make(pool, write_file(pool, "read", LA_SLICE("a\0b\n")), 4);
    la_slice_t content;

    (void)state;
    assert_null(la_file_read(file, pool, &content));
    assert_int_equal(content.len, 4);
    assert_memory_equal(content.data, "a\0b\n", 5);
    assert_string_equal(la_file_path(file), file_path(pool, "read"));
    apr_pool_destroy(pool);
}

static void test_read_empty(void **state)
{
    apr_pool_t *pool = new_pool();
    la_file_t *file = la_file_make(pool, write_text(pool, "empty", ""), 4);
    la_slice_t content;

    (void)state;
    assert_null(la_file_read(file, pool, &content));
    assert_int_equal(content.len, 0);
    apr_pool_destroy(pool);
}

static void expect_failure(const char *path, apr_size_t limit, const char *expected)
{
    apr_pool_t *pool = new_pool();
    la_file_t *file = la_file_make(pool, path, limit);
    la_slice_t content = LA_SLICE("stale");

    assert_string_equal(la_file_read(file, pool, &content), expected);
    assert_int_equal(content.len, 0);
    /* What failed is a version too: it is not reported again until it changes. */
    assert_int_equal(la_file_changed(file), 0);
    apr_pool_destroy(pool);
}

static void test_read_failures(void **state)
{
    apr_pool_t *pool = new_pool();
    const char *pipe_path = file_path(pool, "pipe");

    (void)state;
    expect_failure(file_path(pool, "absent"), 9, "open: No such file or directory");
    expect_failure(directory, 9, "not a regular file");
    expect_failure(write_text(pool, "large", "12345"), 4, "larger than 4 bytes");
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    expect_failure(pipe_path, 9, "not a regular file");
    expect_failure("/dev/zero", 9, "not a regular file");
    apr_pool_destroy(pool);
}

static void test_read_byte_order_mark(void **state)
{
    apr_pool_t *pool = new_pool();
    la_slice_t content;

    (void)state;
    assert_null(la_file_read(la_file_make(pool, write_text(pool, "mark", "\xef\xbb\xbf{}"), 9),
                             pool, &content));
    assert_int_equal(content.len, 2);
    assert_string_equal(content.data, "{}");
    assert_null(
        la_file_read(la_file_make(pool, write_text(pool, "mark", "\xef\xbb"), 9), pool, &content));
    assert_int_equal(content.len, 2);
    apr_pool_destroy(pool);
}

static void test_open(void **state)
{
    apr_pool_t *pool = new_pool();
    int fd;

    (void)state;
    assert_null(la_file_open(pool, write_text(pool, "opened", "x"), &fd));
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(close(fd), 0);
    assert_string_equal(la_file_open(pool, directory, &fd), "not a regular file");
    assert_int_equal(fd, -1);
    assert_string_equal(la_file_open(pool, file_path(pool, "absent"), &fd),
                        "open: No such file or directory");
    apr_pool_destroy(pool);
}

/* ---- a file that others write meanwhile ---- */

#define VERSION_BYTES 30000 /* of the long one; the short one has one byte */

static atomic_int stop_writing;

/* Puts a long and a short version in place by turns, as an administrator does: written beside, then
 * renamed. */
static void *replace_versions(void *unused)
{
    apr_pool_t *pool = new_pool();
    const char *path = file_path(pool, "replaced");
    const char *next = file_path(pool, "replaced.new");
    const char *text = memset(apr_palloc(pool, VERSION_BYTES), 'l', VERSION_BYTES);

    (void)unused;
    for (int i = 0; !atomic_load(&stop_writing); i++) {
        write_file(pool, "replaced.new", i % 2 ? LA_SLICE("s") : (la_slice_t){text, VERSION_BYTES});
        assert_int_equal(rename(next, path), 0);
    }
    apr_pool_destroy(pool);
    return NULL;
}

static void test_read_replaced(void **state)
{
    apr_pool_t *pool = new_pool();
    la_file_t *file = la_file_make(pool, write_text(pool, "replaced", "s"), VERSION_BYTES);
    pthread_t writer;
    int seen[2] = {0};

    (void)state;
    atomic_store(&stop_writing, 0);
    assert_int_equal(pthread_create(&writer, NULL, replace_versions, NULL), 0);
    for (int i = 0; i < 20000 || !seen[0] || !seen[1]; i++) {
        apr_pool_t *version = new_pool();
        la_slice_t content;

        assert_null(la_file_read(file, version, &content));
        assert_int_equal(content.len, content.data[0] == 's' ? 1 : VERSION_BYTES);
        seen[content.len == 1] = 1;
        apr_pool_destroy(version);
    }
    atomic_store(&stop_writing, 1);
    pthread_join(writer, NULL);
    apr_pool_destroy(pool);
}

/* Makes a new version of the file each time, without an end. */
static void *touch_versions(void *path)
{
    struct timeval times[2] = {{0, 0}, {0, 0}};

    while (!atomic_load(&stop_writing)) {
        times[1].tv_sec++;
        assert_int_equal(utimes(path, times), 0);
    }
    return NULL;
}

static void test_read_written(void **state)
{
    apr_pool_t *pool = new_pool();
    apr_size_t bytes = (apr_size_t)1024 * 1024;
    const char *path = write_file(pool, "written",
                                  (la_slice_t){memset(apr_palloc(pool, bytes), 'x', bytes), bytes});
    la_file_t *file = la_file_make(pool, path, bytes);
    const char *error = NULL;
    pthread_t writer;
    la_slice_t content;

    (void)state;
    atomic_store(&stop_writing, 0);
    assert_int_equal(pthread_create(&writer, NULL, touch_versions, (void *)(uintptr_t)path), 0);
    while (!error) {
        apr_pool_t *version = new_pool();

        error = la_file_read(file, version, &content);
        assert_int_equal(content.len, error ? 0 : bytes);
        apr_pool_destroy(version);
    }
    atomic_store(&stop_writing, 1);
    pthread_join(writer, NULL);
    assert_string_equal(error, "it is being written to");
    /* Nothing else changes it, and still it is read again. */
    assert_int_equal(la_file_changed(file), 1);
    assert_null(la_file_read(file, pool, &content));
    apr_pool_destroy(pool);
}

/* ---- versions ---- */

static void put_same_size(apr_pool_t *pool)
{
    write_text(pool, "watched", "two");
}

static void put_longer(apr_pool_t *pool)
{
    write_text(pool, "watched", "three");
}

static void put_nothing(apr_pool_t *pool)
{
    (void)pool;
}

static void put_by_rename(apr_pool_t *pool)
{
    struct stat before;
    const char *next = write_text(pool, "watched.new", "two");
    struct timeval times[2] = {{0, 0}, {0, 0}};

    assert_int_equal(stat(file_path(pool, "watched"), &before), 0);
    times[0].tv_sec = times[1].tv_sec = before.st_mtime;
    assert_int_equal(utimes(next, times), 0);
    assert_int_equal(rename(next, file_path(pool, "watched")), 0);
}

static void take_away(apr_pool_t *pool)
{
    assert_int_equal(unlink(file_path(pool, "watched")), 0);
}

/* As Kubernetes mounts secrets: the file's name is a link, which is made to lead elsewhere. */
static void put_link(apr_pool_t *pool)
{
    const char *target = write_text(pool, "watched.target", "two");

    take_away(pool);
    assert_int_equal(symlink(target, file_path(pool, "watched")), 0);
}

static void put_directory(apr_pool_t *pool)
{
    take_away(pool);
    assert_int_equal(mkdir(file_path(pool, "watched"), 0700), 0);
}

typedef struct change_case_t {
    const char *name;
    void (*change)(apr_pool_t *);
    int expected;
} change_case_t;

static change_case_t change_cases[] = {
    {"change: none", put_nothing, 0},
    {"change: same size, other time", put_same_size, 1},
    {"change: other size", put_longer, 1},
    {"change: another file of the same name, size and time", put_by_rename, 1},
    {"change: vanished", take_away, 1},
    {"change: a link now", put_link, 1},
    {"change: a directory now", put_directory, 1},
};

static void test_change(void **state)
{
    const change_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_file_t *file;
    la_slice_t content;

    remove(file_path(pool, "watched"));
    file = la_file_make(pool, write_text(pool, "watched", "one"), 100);
    assert_null(la_file_read(file, pool, &content));
    assert_int_equal(la_file_changed(file), 0);
    row->change(pool);
    assert_int_equal(la_file_changed(file), row->expected);
    /* It stays so until it is read again. */
    assert_int_equal(la_file_changed(file), row->expected);
    (void)la_file_read(file, pool, &content);
    assert_int_equal(la_file_changed(file), 0);
    apr_pool_destroy(pool);
}

/* A second write within a tick of the file system's clock does not show in what stat() says. */
static void test_just_written(void **state)
{
    apr_pool_t *pool = new_pool();
    la_file_t *file;
    la_slice_t content;

    (void)state;
    remove(file_path(pool, "watched"));
    file = la_file_make(pool, write_text(pool, "watched", "one"), 100);
    assert_int_equal(utimes(la_file_path(file), NULL), 0);
    assert_null(la_file_read(file, pool, &content));
    assert_int_equal(la_file_changed(file), 1);
    write_text(pool, "watched", "two"); /* with a time long ago */
    assert_null(la_file_read(file, pool, &content));
    assert_int_equal(la_file_changed(file), 0);
    apr_pool_destroy(pool);
}

/* ---- secrets ---- */

typedef struct secret_case_t {
    const char *name;
    const char *spec;
    la_slice_t content; /* of the file "secret" */
    const char *value;  /* NULL: refused */
    const char *error;
} secret_case_t;

static secret_case_t secret_cases[] = {
    {"secret: literal", "s3cret word", {"", 0}, "s3cret word", NULL},
    {"secret: literal, white space kept", " x ", {"", 0}, " x ", NULL},
    {"secret: literal, empty", "", {"", 0}, NULL, "is empty"},
    {"secret: literal, line feed", "x\ny", {"", 0}, NULL, "control character"},
    {"secret: literal, DEL", "x\177", {"", 0}, NULL, "control character"},
    {"secret: literal, not ASCII", "\xc3\xa9", {"", 0}, "\xc3\xa9", NULL},
    {"secret: environment", "env:LA_TEST_SET", {"", 0}, "from the environment", NULL},
    {"secret: environment, unset", "env:LA_TEST_UNSET", {"", 0}, NULL, "no variable LA_TEST_UNSET"},
    {"secret: environment, empty", "env:LA_TEST_EMPTY", {"", 0}, NULL, "LA_TEST_EMPTY is empty"},
    {"secret: environment, tab", "env:LA_TEST_TAB", {"", 0}, NULL, "control character"},
    {"secret: environment, no name", "env:", {"", 0}, NULL, "no variable"},
    {"secret: file", "file:secret", {"abc", 3}, "abc", NULL},
    {"secret: file, closing white space", "file:secret", {"a c \t\r\n\n", 8}, "a c", NULL},
    {"secret: file, blanks around",
     "file:secret",
     {" \t\r\n\v\fa\xc2\xa0 c \f", 13},
     "a\xc2\xa0 c",
     NULL},
    {"secret: file, byte order mark",
     "file:secret",
     {"\xef\xbb\xbf"
      "abc\r\n",
      8},
     "abc",
     NULL},
    {"secret: file, byte order mark and blanks",
     "file:secret",
     {"\xef\xbb\xbf abc", 7},
     "abc",
     NULL},
    {"secret: file, byte order mark only", "file:secret", {"\xef\xbb\xbf\n", 4}, NULL, "is empty"},
    {"secret: file, UTF-16",
     "file:secret",
     {"\xff\xfe"
      "a\0b\0",
      6},
     NULL,
     "control character"},
    {"secret: file, empty", "file:secret", {"", 0}, NULL, "is empty"},
    {"secret: file, white space only", "file:secret", {"\r\n", 2}, NULL, "is empty"},
    {"secret: file, two lines", "file:secret", {"a\nb\n", 4}, NULL, "control character"},
    {"secret: file, NUL", "file:secret", {"a\0b", 3}, NULL, "control character"},
    {"secret: file, NUL at the end", "file:secret", {"ab\0", 3}, NULL, "control character"},
    {"secret: file, absent", "file:absent", {"", 0}, NULL, "No such file"},
    {"secret: file, no path", "file:", {"", 0}, NULL, "names no path"},
};

static void test_secret(void **state)
{
    const secret_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_secret_t *secret = (void *)pool;
    const char *error;

    write_file(pool, "secret", row->content);
    error = la_secret_make(pool, row->spec, &secret);
    if (row->value) {
        assert_null(error);
        assert_string_equal(la_secret_get(secret, START, pool), row->value);
    } else {
        assert_null(secret);
        assert_non_null(strstr(error, row->error));
    }
    apr_pool_destroy(pool);
}

static void test_secret_too_large(void **state)
{
    apr_pool_t *pool = new_pool();
    la_slice_t content = {memset(apr_palloc(pool, 65537), 'x', 65537), 65537};
    la_secret_t *secret;

    (void)state;
    write_file(pool, "secret", content);
    assert_non_null(strstr(la_secret_make(pool, "file:secret", &secret), "larger than 65536"));
    content.len--;
    write_file(pool, "secret", content);
    assert_null(la_secret_make(pool, "file:secret", &secret));
    apr_pool_destroy(pool);
}

static void expect_secret(la_secret_t *secret, apr_time_t now, const char *expected, int lines)
{
    apr_pool_t *request = new_pool();

    assert_string_equal(la_secret_get(secret, now, request), expected);
    assert_int_equal(log_lines, lines);
    apr_pool_destroy(request);
}

static void test_secret_reload(void **state)
{
    apr_pool_t *pool = new_pool();
    la_secret_t *secret;
    apr_time_t now = START;

    (void)state;
    forget_log();
    write_text(pool, "secret", "first");
    assert_null(la_secret_make(pool, "file:secret", &secret));
    expect_secret(secret, now, "first", 0);
    write_text(pool, "secret", "second\n");
    expect_secret(secret, now + LA_RELOAD_INTERVAL_US - 1, "first", 0);
    expect_secret(secret, now += LA_RELOAD_INTERVAL_US, "second", 1);
    assert_non_null(strstr(logged, "secret: read again"));
    write_text(pool, "secret", "bro\nken");
    expect_secret(secret, now += LA_RELOAD_INTERVAL_US, "second", 2);
    assert_int_equal(log_level, LA_LOG_ERROR);
    assert_null(strstr(logged, "bro"));
    expect_secret(secret, now += LA_RELOAD_INTERVAL_US, "second", 2);
    write_text(pool, "secret", " \n");
    expect_secret(secret, now += LA_RELOAD_INTERVAL_US, "second", 3);
    assert_non_null(strstr(logged, "is empty"));
    expect_secret(secret, now += LA_RELOAD_INTERVAL_US, "second", 3);
    assert_int_equal(unlink(file_path(pool, "secret")), 0);
    expect_secret(secret, now += LA_RELOAD_INTERVAL_US, "second", 4);
    expect_secret(secret, now += LA_RELOAD_INTERVAL_US, "second", 4);
    write_text(pool, "secret", "third");
    expect_secret(secret, now += LA_RELOAD_INTERVAL_US, "third", 5);
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    setenv("LA_TEST_SET", "from the environment", 1);
    setenv("LA_TEST_EMPTY", "", 1);
    setenv("LA_TEST_TAB", "a\tb", 1);
    unsetenv("LA_TEST_UNSET");
    add("read", test_read, NULL);
    add("read: an empty file", test_read_empty, NULL);
    add("read: failures", test_read_failures, NULL);
    add("read: a byte order mark", test_read_byte_order_mark, NULL);
    add("open", test_open, NULL);
    add("read: a file that is replaced meanwhile", test_read_replaced, NULL);
    add("read: a file that is written to meanwhile", test_read_written, NULL);
    for (size_t i = 0; i < ROWS(change_cases); i++)
        add(change_cases[i].name, test_change, &change_cases[i]);
    add("change: just written, so nobody knows", test_just_written, NULL);
    for (size_t i = 0; i < ROWS(secret_cases); i++)
        add(secret_cases[i].name, test_secret, &secret_cases[i]);
    add("secret: too large", test_secret_too_large, NULL);
    add("secret: reload", test_secret_reload, NULL);
    return finish("file");
}

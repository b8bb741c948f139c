/* io/replace.c: what others do to the file and beside it while it is being changed. */
#include "support.h"

#include "io/replace.h"

#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define BEFORE "before"
#define AFTER  "after, and longer"

/* What somebody does between reading and writing. */
typedef void act_fn(apr_pool_t *pool, const char *path);

typedef struct replace_case_t {
    const char *name;
    const char *before; /* NULL: no file */
    act_fn *act;
    const char *error; /* a part of it; NULL: replaced */
    const char *after; /* what the file holds then; NULL: no file */
} replace_case_t;

static const char *beside(apr_pool_t *pool, const char *path)
{
    const char *slash = strrchr(path, '/');

    return apr_psprintf(pool, "%.*s/.%s.new", (int)(slash - path), path, slash + 1);
}

static void write_at(const char *path, const char *text, const char *mode)
{
    FILE *file = fopen(path, mode);

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static void nothing(apr_pool_t *pool, const char *path)
{
    (void)pool;
    (void)path;
}

static void edit(apr_pool_t *pool, const char *path)
{
    (void)pool;
    write_at(path, "edited", "r+");
}

static void append(apr_pool_t *pool, const char *path)
{
    (void)pool;
    write_at(path, "+", "a");
}

static void replace(apr_pool_t *pool, const char *path)
{
    const char *other = apr_pstrcat(pool, path, ".other", NULL);

    write_at(other, "others", "w");
    assert_int_equal(rename(other, path), 0);
}

static void take_away(apr_pool_t *pool, const char *path)
{
    (void)pool;
    assert_int_equal(unlink(path), 0);
}

static void make(apr_pool_t *pool, const char *path)
{
    (void)pool;
    write_at(path, "made", "w");
}

static void leave_file(apr_pool_t *pool, const char *path)
{
    write_at(beside(pool, path), "left by a process that was killed", "w");
}

static void leave_link(apr_pool_t *pool, const char *path)
{
    assert_int_equal(symlink("/dev/null", beside(pool, path)), 0);
}

static void leave_folder(apr_pool_t *pool, const char *path)
{
    assert_int_equal(mkdir(beside(pool, path), 0700), 0);
}

static replace_case_t replace_cases[] = {
    {"replace: nobody", BEFORE, nothing, NULL, AFTER},
    {"replace: a new file", NULL, nothing, NULL, AFTER},
    {"replace: edited meanwhile, as long as before", BEFORE, edit, "changed it meanwhile",
     "edited"},
    {"replace: appended to meanwhile", BEFORE, append, "changed it meanwhile", "before+"},
    {"replace: replaced meanwhile", BEFORE, replace, "changed it meanwhile", "others"},
    {"replace: removed meanwhile", BEFORE, take_away, "No such file", NULL},
    {"replace: made meanwhile", NULL, make, "changed it meanwhile", "made"},
    {"replace: a file was left beside it", BEFORE, leave_file, NULL, AFTER},
    {"replace: a link lies beside it", BEFORE, leave_link, NULL, AFTER},
    {"replace: a folder lies beside it", BEFORE, leave_folder, ".new beside it", BEFORE},
};

static void test_replace(void **state)
{
    const replace_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    char folder[] = "/tmp/la-replace-XXXXXX";
    la_replace_t file;
    const char *path;
    const char *error;
    const struct timeval long_ago[2] = {{1, 0}, {1, 0}}; /* so that each change is seen */
    char held[64];

    assert_non_null(mkdtemp(folder));
    path = apr_pstrcat(pool, folder, "/file", NULL);
    if (row->before) {
        write_at(path, row->before, "w");
        assert_int_equal(utimes(path, long_ago), 0);
    }
    assert_null(la_replace_open(pool, path, 0, &file));
    assert_int_equal(file.exists, row->before != NULL);
    row->act(pool, path);
    error = la_replace_write(&file, pool, slice_of_text(AFTER), (gid_t)-1);
    if (!row->error) {
        assert_null(error);
    } else {
        assert_non_null(error);
        assert_non_null(strstr(error, row->error));
    }
    if (row->after) {
        FILE *in = fopen(path, "r");

        assert_non_null(in);
        held[fread(held, 1, sizeof(held) - 1, in)] = '\0';
        fclose(in);
        assert_string_equal(held, row->after);
        unlink(path);
    }
    rmdir(beside(pool, path));
    assert_int_equal(rmdir(folder), 0); /* nothing else is left there */
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(replace_cases); i++)
        add(replace_cases[i].name, test_replace, &replace_cases[i]);
    return finish("replace");
}

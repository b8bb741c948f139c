/* Watched files and the secrets that may be in them. Owns the reading, the telling of versions and
 * a secret's value; what a file means is left to who asked for it.
 *
 * Made while the configuration is read, in one thread; from then on each child process has its own
 * copy, used by its request threads under their owner's lock (a secret brings its own).
 *
 * A version is told by what fstat() says of the file that is read, so a file that takes its place
 * meanwhile shows as a newer version next time; only a second write in place, of the same size and
 * within the same tick of the file system's clock (some milliseconds), goes unseen.
 */
#include "io/file.h"

#include "io/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_thread_mutex.h>

/* Longest secret in a file. */
#define SECRET_LIMIT_BYTES ((apr_size_t)64 * 1024)

/* How often a file is read that is written to meanwhile. */
#define READ_TRIES 3

/* What editors put in front of UTF-8. */
#define BYTE_ORDER_MARK "\xEF\xBB\xBF"

#define WHITE_SPACE " \t\n\v\f\r"

/* What stat() said, or how it failed. */
typedef struct version_t {
    int error; /* errno; 0: none */
    mode_t type;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
    struct timespec changed;
} version_t;

struct la_file_t {
    const char *path;
    apr_size_t limit_bytes;
    version_t version;  /* of what was read last */
    apr_time_t checked; /* when la_file_changed() looked last; 0 before the first look */
};

struct la_secret_t {
    const char *value;
    la_file_t *file;          /* NULL for a literal or the environment's */
    apr_pool_t *version;      /* holds the value of a file; destroyed with it */
    apr_thread_mutex_t *lock; /* guards all of the above; NULL before the child exists */
};

/* ---- files ---- */

static version_t version_of(int result, const struct stat *info)
{
    if (result != 0) {
        return (version_t){.error = errno};
    }
    return (version_t){0,
                       info->st_mode & S_IFMT,
                       info->st_dev,
                       info->st_ino,
                       info->st_size,
                       info->st_mtim,
                       info->st_ctim};
}

/* The version that the path names now. */
static version_t look(const char *path)
{
    struct stat info;
    int result = stat(path, &info);

    return version_of(result, &info);
}

/* The version of an open file. */
static version_t look_at(int fd)
{
    struct stat info;
    int result = fstat(fd, &info);

    return version_of(result, &info);
}

static int same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static int same_version(const version_t *a, const version_t *b)
{
    return a->error == b->error && a->type == b->type && a->device == b->device &&
           a->inode == b->inode && a->size == b->size && same_time(&a->modified, &b->modified) &&
           same_time(&a->changed, &b->changed);
}

la_file_t *la_file_make(apr_pool_t *pool, const char *path, apr_size_t limit_bytes)
{
    la_file_t *file = apr_pcalloc(pool, sizeof(*file));

    file->path = apr_pstrdup(pool, path);
    file->limit_bytes = limit_bytes;
    return file;
}

const char *la_file_path(const la_file_t *file)
{
    return file->path;
}

static const char *failure(apr_pool_t *pool, const char *what, int error)
{
    char text[120];

    return apr_psprintf(pool, "%s: %s", what, apr_strerror(error, text, sizeof(text)));
}

/* Opens the file and tells its version; that of the path where it cannot be opened. fd: -1 on
 * failure. */
static const char *open_regular(apr_pool_t *pool, const char *path, int *fd, version_t *version)
{
    int opened = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    const char *error = opened < 0 ? failure(pool, "open", errno) : NULL;

    *fd = -1;
    *version = opened < 0 ? look(path) : look_at(opened);
    if (error) {
        return error;
    }
    if (version->error == 0 && version->type == S_IFREG) {
        *fd = opened;
        return NULL;
    }
    close(opened);
    return version->error ? failure(pool, "stat", version->error) : "not a regular file";
}

const char *la_file_open(apr_pool_t *pool, const char *path, int *fd)
{
    version_t version;

    return open_regular(pool, path, fd, &version);
}

/* Reads `len` bytes from the beginning; `done` says how many there were. Returns 0, or errno. */
static int read_bytes(int fd, char *data, apr_size_t len, apr_size_t *done)
{
    *done = 0;
    while (*done < len) {
        ssize_t taken = pread(fd, data + *done, len - *done, (off_t)*done);

        if (taken == 0) {
            break;
        }
        if (taken > 0) {
            *done += (apr_size_t)taken;
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

/* Reads one version of the file whole. */
static const char *read_version(const la_file_t *file, int fd, apr_pool_t *pool,
                                la_slice_t *content)
{
    apr_size_t size = (apr_size_t)file->version.size;
    apr_size_t len;
    char *data;
    int error;

    if (size > file->limit_bytes) {
        return apr_psprintf(pool, "larger than %" APR_SIZE_T_FMT " bytes", file->limit_bytes);
    }
    data = apr_palloc(pool, size + 1);
    error = read_bytes(fd, data, size, &len);
    if (error) {
        return failure(pool, "read", error);
    }
    data[len] = '\0';
    *content = (la_slice_t){data, len};
    return NULL;
}

/* Reads the file until what was read is one version of it. */
static const char *read_open(la_file_t *file, int fd, apr_pool_t *pool, la_slice_t *content)
{
    for (int tries = 0; tries < READ_TRIES; tries++) {
        const char *error = read_version(file, fd, pool, content);
        version_t now = look_at(fd);

        if (error || same_version(&now, &file->version)) {
            return error;
        }
        file->version = now;
    }
    file->version = (version_t){.error = EBUSY}; /* none: it is looked at again */
    return "it is being written to";
}

static int starts_with_mark(la_slice_t text)
{
    return text.len >= strlen(BYTE_ORDER_MARK) &&
           memcmp(text.data, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0;
}

const char *la_file_read(la_file_t *file, apr_pool_t *pool, la_slice_t *content)
{
    la_slice_t text = {"", 0};
    int fd;
    const char *error = open_regular(pool, file->path, &fd, &file->version);

    if (!error) {
        error = read_open(file, fd, pool, &text);
        close(fd);
    }
    if (!error && starts_with_mark(text)) {
        text.data += strlen(BYTE_ORDER_MARK);
        text.len -= strlen(BYTE_ORDER_MARK);
    }
    *content = error ? (la_slice_t){"", 0} : text;
    return error;
}

int la_file_changed(la_file_t *file, apr_time_t now)
{
    version_t version;

    /* The distance, not the order: the clock may jump, and threads bring times that are a little
     * old. */
    if (llabs((long long)(now - file->checked)) < LA_FILE_CHECK_INTERVAL_US) {
        return 0;
    }
    version = look(file->path);
    file->checked = now;
    return !same_version(&version, &file->version);
}

apr_pool_t *la_file_version_pool(apr_pool_t *like)
{
    apr_pool_t *pool = NULL;
    apr_abortfunc_t out_of_memory = apr_pool_abort_get(like);

    if (apr_pool_create_unmanaged_ex(&pool, out_of_memory, NULL) != APR_SUCCESS) {
        abort();
    }
    return pool;
}

/* ---- secrets ---- */

/* What no header field could carry: it would be cut, or become two. */
static const char *check_value(la_slice_t value)
{
    apr_size_t i;

    for (i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];

        if (c < 0x20 || c == 0x7f) {
            return "holds a control character";
        }
    }
    return value.len > 0 ? NULL : "is empty";
}

static int is_blank(char c)
{
    return memchr(WHITE_SPACE, c, sizeof(WHITE_SPACE) - 1) != NULL;
}

static const char *read_value(la_file_t *file, apr_pool_t *pool, const char **value)
{
    la_slice_t content;
    const char *error = la_file_read(file, pool, &content);

    if (error) {
        return error;
    }
    while (content.len > 0 && is_blank(content.data[content.len - 1])) {
        content.len--;
    }
    while (content.len > 0 && is_blank(content.data[0])) {
        content.data++;
        content.len--;
    }
    *value = apr_pstrmemdup(pool, content.data, content.len);
    return check_value(content);
}

/* Reads the file into a version of its own, which replaces the present one if it is sound. The text
 * of an error is in `pool`. */
static const char *load_secret(la_secret_t *secret, apr_pool_t *pool)
{
    apr_pool_t *version = la_file_version_pool(pool);
    const char *value = NULL;
    const char *error = read_value(secret->file, version, &value);

    if (error) {
        error = apr_pstrdup(pool, error);
        apr_pool_destroy(version);
        return error;
    }
    if (secret->version) {
        apr_pool_destroy(secret->version);
    }
    secret->version = version;
    secret->value = value;
    return NULL;
}

static apr_status_t drop_version(void *data)
{
    la_secret_t *secret = data;

    if (secret->version) {
        apr_pool_destroy(secret->version);
        secret->version = NULL;
    }
    return APR_SUCCESS;
}

static const char *from_file(apr_pool_t *pool, const char *name, la_secret_t *secret)
{
    const char *path = *name ? la_host()->path(pool, name) : NULL;
    const char *error;

    if (!path) {
        return "file: names no path";
    }
    secret->file = la_file_make(pool, path, SECRET_LIMIT_BYTES);
    apr_pool_cleanup_register(pool, secret, drop_version, apr_pool_cleanup_null);
    error = load_secret(secret, pool);
    return error ? apr_psprintf(pool, "%s: %s", path, error) : NULL;
}

static const char *from_text(apr_pool_t *pool, const char *text, la_secret_t *secret)
{
    secret->value = apr_pstrdup(pool, text);
    return check_value(la_slice_of(text));
}

static const char *from_environment(apr_pool_t *pool, const char *name, la_secret_t *secret)
{
    const char *text = *name ? getenv(name) : NULL;
    const char *error;

    if (!text) {
        return apr_psprintf(pool, "the environment has no variable %s", name);
    }
    error = from_text(pool, text, secret);
    return error ? apr_psprintf(pool, "the variable %s %s", name, error) : NULL;
}

const char *la_secret_make(apr_pool_t *pool, const char *spec, la_secret_t **secret)
{
    la_secret_t *made = apr_pcalloc(pool, sizeof(*made));
    const char *error;

    if (strncmp(spec, "file:", 5) == 0) {
        error = from_file(pool, spec + 5, made);
    } else if (strncmp(spec, "env:", 4) == 0) {
        error = from_environment(pool, spec + 4, made);
    } else {
        error = from_text(pool, spec, made);
        error = error ? apr_psprintf(pool, "the value %s", error) : NULL;
    }
    *secret = error ? NULL : made;
    return error;
}

apr_status_t la_secret_child_init(la_secret_t *secret, apr_pool_t *pchild)
{
    return apr_thread_mutex_create(&secret->lock, APR_THREAD_MUTEX_DEFAULT, pchild);
}

/* Reads a file again that has changed. The lock is held. */
static void refresh(la_secret_t *secret, apr_time_t now, apr_pool_t *pool)
{
    const char *error;

    if (!secret->file || !la_file_changed(secret->file, now)) {
        return;
    }
    error = load_secret(secret, pool);
    if (error) {
        la_log(LA_LOG_ERROR, LA_LOGNO(0002) "%s: %s; the secret read before stays in force",
               la_file_path(secret->file), error);
    }
}

const char *la_secret_get(la_secret_t *secret, apr_time_t now, apr_pool_t *pool)
{
    const char *value;

    if (secret->lock) {
        apr_thread_mutex_lock(secret->lock);
    }
    refresh(secret, now, pool);
    value = apr_pstrdup(pool, secret->value);
    if (secret->lock) {
        apr_thread_mutex_unlock(secret->lock);
    }
    return value;
}

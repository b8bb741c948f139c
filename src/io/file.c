/* Reads files and tells their versions apart. A version is what fstat() says of the open file, so a
 * file that replaces it meanwhile is seen as another version later. The configuration's files are
 * read while the configuration is read, in one thread; reload.c reads them again in request
 * threads, one thread at a time. */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_time.h>

/* How often to read a file that somebody writes to meanwhile. */
#define READ_TRIES 3

/* The coarsest clock of a file system (FAT). */
#define FILE_CLOCK_US (2 * APR_USEC_PER_SEC)

/* What editors put in front of UTF-8. */
#define BYTE_ORDER_MARK "\xEF\xBB\xBF"

/* What stat() said, or how it failed. */
typedef struct version_t {
    int error; /* errno; 0: none */
    struct stat info;
} version_t;

struct la_file_t {
    const char *path;
    apr_size_t limit_bytes;
    version_t version; /* of what was read last */
    int is_young;      /* it was modified just before it was read */
};

/* The version of an open file, or if `fd` is negative of the path. */
static version_t version_of(const char *path, int fd)
{
    version_t version = {0};

    if ((fd >= 0 ? fstat(fd, &version.info) : stat(path, &version.info)) != 0) {
        version = (version_t){.error = errno};
    }
    return version;
}

static int same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static int same_version(const version_t *one, const version_t *other)
{
    const struct stat *a = &one->info;
    const struct stat *b = &other->info;

    return one->error == other->error && a->st_mode == b->st_mode && a->st_dev == b->st_dev &&
           a->st_ino == b->st_ino && a->st_size == b->st_size &&
           same_time(&a->st_mtim, &b->st_mtim) && same_time(&a->st_ctim, &b->st_ctim);
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

static const char *describe_failure(apr_pool_t *pool, const char *what, int error)
{
    char text[120];

    return apr_psprintf(pool, "%s: %s", what, apr_strerror(error, text, sizeof(text)));
}

/* Opens the file and says its version, or that of the path if it cannot be opened. */
static const char *open_regular(apr_pool_t *pool, const char *path, int *fd, version_t *version)
{
    const char *error;

    *fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    error = *fd < 0 ? describe_failure(pool, "open", errno) : NULL;
    *version = version_of(path, *fd);
    if (!error && version->error) {
        error = describe_failure(pool, "stat", version->error);
    }
    if (!error && !S_ISREG(version->info.st_mode)) {
        error = "not a regular file";
    }
    if (error && *fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    return error;
}

const char *la_file_open(apr_pool_t *pool, const char *path, int *fd)
{
    version_t version;

    return open_regular(pool, path, fd, &version);
}

/* Reads `len` bytes from the beginning, or up to the end; `done` says how many. Returns 0, or
 * errno. */
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

static const char *read_version(const la_file_t *file, int fd, apr_pool_t *pool,
                                la_slice_t *content)
{
    apr_size_t size = (apr_size_t)file->version.info.st_size;
    apr_size_t len;
    char *data;
    int error;

    if (size > file->limit_bytes) {
        return apr_psprintf(pool, "larger than %" APR_SIZE_T_FMT " bytes", file->limit_bytes);
    }
    data = apr_palloc(pool, size + 1);
    error = read_bytes(fd, data, size, &len);
    if (error) {
        return describe_failure(pool, "read", error);
    }
    data[len] = '\0';
    *content = (la_slice_t){data, len};
    return NULL;
}

/* Reads the file until all that was read is of one version. */
static const char *read_open(la_file_t *file, int fd, apr_pool_t *pool, la_slice_t *content)
{
    for (int tries = 0; tries < READ_TRIES; tries++) {
        const char *error = read_version(file, fd, pool, content);
        version_t now = version_of(file->path, fd);

        if (error || same_version(&now, &file->version)) {
            return error;
        }
        file->version = now;
    }
    file->version = (version_t){.error = EBUSY}; /* no version: la_file_changed() says yes */
    return "it is being written to";
}

static int was_just_modified(const version_t *version)
{
    apr_time_t modified = apr_time_from_sec(version->info.st_mtim.tv_sec);

    return llabs((long long)(apr_time_now() - modified)) <= FILE_CLOCK_US + APR_USEC_PER_SEC;
}

const char *la_file_read(la_file_t *file, apr_pool_t *pool, la_slice_t *content)
{
    la_slice_t text = {"", 0};
    apr_size_t mark = strlen(BYTE_ORDER_MARK);
    int fd;
    const char *error = open_regular(pool, file->path, &fd, &file->version);

    if (!error) {
        error = read_open(file, fd, pool, &text);
        close(fd);
    }
    file->is_young = !error && was_just_modified(&file->version);
    if (error) {
        text = (la_slice_t){"", 0};
    } else if (text.len >= mark && memcmp(text.data, BYTE_ORDER_MARK, mark) == 0) {
        text = (la_slice_t){text.data + mark, text.len - mark};
    }
    *content = text;
    return error;
}

int la_file_changed(const la_file_t *file)
{
    version_t version = version_of(file->path, -1);

    return file->is_young || !same_version(&version, &file->version);
}

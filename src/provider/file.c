/* Watched files and the secrets that may be in them. Owns the reading, the telling of versions and a
 * secret's value; what a file means is left to who asked for it.
 *
 * Made while the configuration is read, in one thread; from then on each child process has its own
 * copy, used by its request threads under their owner's lock (a secret brings its own).
 *
 * A version is told by what stat() says. It is taken before the content is read, so that a change in
 * between shows as a newer version next time; only a second write in place, of the same size and within the same
 * tick of the file system's clock (some milliseconds), goes unseen.
 */
#include "provider/file.h"

#include "provider/host.h"

#include <stdlib.h>
#include <string.h>

#include <apr_file_info.h>
#include <apr_file_io.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

/* Longest secret in a file. */
#define SECRET_LIMIT_BYTES ((apr_size_t)64 * 1024)

#define WHITE_SPACE " \t\r\n"

/* What stat() said, or how it failed. */
typedef struct version_t {
    apr_status_t status;
    apr_filetype_e type;
    apr_dev_t device;
    apr_ino_t inode;
    apr_off_t size;
    apr_time_t modified;
    apr_time_t changed;
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

static version_t look(const char *path, apr_pool_t *scratch)
{
    version_t version = {0};
    apr_finfo_t info;

    version.status = apr_stat(&info, path,
                              APR_FINFO_TYPE | APR_FINFO_IDENT | APR_FINFO_SIZE | APR_FINFO_MTIME |
                                  APR_FINFO_CTIME,
                              scratch);
    if (version.status == APR_SUCCESS) {
        version.type = info.filetype;
        version.device = info.device;
        version.inode = info.inode;
        version.size = info.size;
        version.modified = info.mtime;
        version.changed = info.ctime;
    }
    return version;
}

static int same_version(const version_t *a, const version_t *b)
{
    return a->status == b->status && a->type == b->type && a->device == b->device &&
           a->inode == b->inode && a->size == b->size && a->modified == b->modified &&
           a->changed == b->changed;
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

static const char *failure(apr_pool_t *pool, const char *what, apr_status_t rv)
{
    char text[120];

    return apr_psprintf(pool, "%s: %s", what, apr_strerror(rv, text, sizeof(text)));
}

/* Reads an open file of `size` bytes; one that has shrunk meanwhile is shorter. */
static const char *read_open(apr_file_t *handle, apr_size_t size, apr_pool_t *pool,
                             la_slice_t *content)
{
    char *data = apr_palloc(pool, size + 1);
    apr_size_t len = 0;
    apr_status_t rv = size > 0 ? apr_file_read_full(handle, data, size, &len) : APR_SUCCESS;

    if (rv != APR_SUCCESS && !APR_STATUS_IS_EOF(rv)) {
        return failure(pool, "read", rv);
    }
    data[len] = '\0';
    *content = (la_slice_t){data, len};
    return NULL;
}

const char *la_file_read(la_file_t *file, apr_pool_t *pool, la_slice_t *content)
{
    apr_file_t *handle;
    const char *error;
    apr_status_t rv;

    *content = (la_slice_t){"", 0};
    file->version = look(file->path, pool);
    if (file->version.status != APR_SUCCESS) {
        return failure(pool, "open", file->version.status);
    }
    /* Before it is opened: opening a named pipe would wait for a writer. */
    if (file->version.type != APR_REG) {
        return "not a regular file";
    }
    if (file->version.size > (apr_off_t)file->limit_bytes) {
        return apr_psprintf(pool, "larger than %" APR_SIZE_T_FMT " bytes", file->limit_bytes);
    }
    rv = apr_file_open(&handle, file->path, APR_FOPEN_READ | APR_FOPEN_BINARY, APR_FPROT_OS_DEFAULT,
                       pool);
    if (rv != APR_SUCCESS) {
        return failure(pool, "open", rv);
    }
    error = read_open(handle, (apr_size_t)file->version.size, pool, content);
    apr_file_close(handle);
    return error;
}

int la_file_changed(la_file_t *file, apr_time_t now, apr_pool_t *scratch)
{
    version_t version;

    /* The distance, not the order: the clock may jump, and threads bring times that are a little old. */
    if (llabs((long long)(now - file->checked)) < LA_FILE_CHECK_INTERVAL_US) {
        return 0;
    }
    version = look(file->path, scratch);
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

static const char *read_value(la_file_t *file, apr_pool_t *pool, const char **value)
{
    la_slice_t content;
    const char *error = la_file_read(file, pool, &content);

    if (error) {
        return error;
    }
    while (content.len > 0 &&
           memchr(WHITE_SPACE, content.data[content.len - 1], sizeof(WHITE_SPACE) - 1)) {
        content.len--;
    }
    *value = apr_pstrmemdup(pool, content.data, content.len);
    return check_value(content);
}

/* Reads the file into a version of its own, which replaces the present one if it is sound. The text of
 * an error is in `pool`. */
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
    return check_value((la_slice_t){text, strlen(text)});
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

    if (!secret->file || !la_file_changed(secret->file, now, pool)) {
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

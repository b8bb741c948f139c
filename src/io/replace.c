/* Replaces files. For programs beside httpd: it waits for locks. */
#include "io/replace.h"

#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_time.h>

#define NEW_MODE 0640

/* Between two tries to lock. */
#define LOCK_PAUSE_US ((apr_interval_time_t)10000)

const char la_replace_busy[] = "another process has locked its folder";

static const char *describe(apr_pool_t *pool, const char *what)
{
    char text[120];

    return apr_psprintf(pool, "%s: %s", what, apr_strerror(errno, text, sizeof(text)));
}

static apr_status_t close_folder(void *fd)
{
    close((int)(intptr_t)fd);
    return APR_SUCCESS;
}

/* Finds the file that `path` leads to, or where a new one goes. */
static const char *resolve(apr_pool_t *pool, const char *path, char real[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    const char *folder = slash ? apr_pstrmemdup(pool, path, (apr_size_t)(slash - path) + 1) : ".";
    struct stat info;
    apr_size_t len;

    if (realpath(path, real)) {
        return NULL;
    }
    if (errno != ENOENT) {
        return describe(pool, "open");
    }
    if (lstat(path, &info) == 0) {
        return "a symbolic link that leads to no file";
    }
    if (!realpath(folder, real)) {
        return describe(pool, "its folder");
    }
    len = strlen(real);
    apr_snprintf(real + len, PATH_MAX - len, "/%s", slash ? slash + 1 : path);
    return NULL;
}

static const char *lock_folder(apr_pool_t *pool, const char *folder,
                               apr_interval_time_t patience_us, la_replace_t *file)
{
    file->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file->folder < 0) {
        return describe(pool, "its folder");
    }
    apr_pool_cleanup_register(pool, (void *)(intptr_t)file->folder, close_folder,
                              apr_pool_cleanup_null);
    while (flock(file->folder, patience_us < 0 ? LOCK_EX : LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK && patience_us == 0) {
            return la_replace_busy;
        }
        if (errno == EWOULDBLOCK) {
            apr_sleep(LOCK_PAUSE_US);
            patience_us = patience_us > LOCK_PAUSE_US ? patience_us - LOCK_PAUSE_US : 0;
        } else if (errno != EINTR) {
            return describe(pool, "lock its folder");
        }
    }
    return NULL;
}

/* Whether the path leads to the file still: a link may change while we wait for the lock. stat()
 * also obeys the kernel's rules for links of other users, which realpath() does not. */
static int is_led_to(const la_replace_t *file, const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && info.st_dev == file->info.st_dev &&
           info.st_ino == file->info.st_ino;
}

const char *la_replace_open(apr_pool_t *pool, const char *path, apr_interval_time_t patience_us,
                            la_replace_t *file)
{
    char real[PATH_MAX];
    const char *error = resolve(pool, path, real);
    char *slash;

    *file = (la_replace_t){.folder = -1};
    if (error) {
        return error;
    }
    file->path = apr_pstrdup(pool, real);
    slash = strrchr(real, '/');
    file->name = file->path + (slash - real) + 1;
    if (!*file->name) {
        return "not a regular file";
    }
    slash[slash == real] = '\0';
    error = lock_folder(pool, real, patience_us, file);
    if (error) {
        return error;
    }
    file->exists = fstatat(file->folder, file->name, &file->info, AT_SYMLINK_NOFOLLOW) == 0;
    if (!file->exists && (errno != ENOENT || fstat(file->folder, &file->info) != 0)) {
        return describe(pool, "stat");
    }
    if (file->exists && !is_led_to(file, path)) {
        return "a link on the way to it is not allowed, or has just changed";
    }
    return file->exists && !S_ISREG(file->info.st_mode) ? "not a regular file" : NULL;
}

const char *la_replace_read(la_replace_t *file, apr_pool_t *pool, apr_size_t limit_bytes,
                            la_slice_t *text)
{
    return la_file_read(la_file_make(pool, file->path, limit_bytes), pool, text);
}

static const char *write_all(apr_pool_t *pool, int fd, la_slice_t text)
{
    while (text.len > 0) {
        ssize_t done = write(fd, text.data, text.len);

        if (done > 0) {
            text.data += done;
            text.len -= (apr_size_t)done;
        } else if (done == 0 || errno != EINTR) {
            return describe(pool, "write");
        }
    }
    return NULL;
}

/* Copies an extended attribute, or makes sure that there is none. Returns 0, or -1 and errno. */
static int copy_attribute(const la_replace_t *file, apr_pool_t *pool, int fd, const char *name)
{
    ssize_t len = getxattr(file->path, name, NULL, 0);
    void *value = len > 0 ? apr_palloc(pool, (apr_size_t)len) : NULL;

    if (len > 0) {
        len = getxattr(file->path, name, value, (size_t)len);
        return len < 0 ? -1 : fsetxattr(fd, name, value, (size_t)len, 0);
    }
    return len == 0 || errno == ENOTSUP || fremovexattr(fd, name) == 0 || errno == ENODATA ? 0 : -1;
}

/* The mode comes last, because a change of owner takes bits from it. */
static const char *set_owner(const la_replace_t *file, apr_pool_t *pool, int fd, gid_t group)
{
    int demanded = file->exists || group != (gid_t)-1;
    uid_t owner = file->exists ? file->info.st_uid : (uid_t)-1;
    struct stat now;

    group = demanded && !file->exists ? group : file->info.st_gid;
    if (fstat(fd, &now) != 0) {
        return describe(pool, "stat");
    }
    owner = owner == now.st_uid ? (uid_t)-1 : owner;
    if ((owner != (uid_t)-1 || group != now.st_gid) && fchown(fd, owner, group) != 0 && demanded) {
        return describe(pool, "keep its owner and group");
    }
    if (file->exists) {
        if (copy_attribute(file, pool, fd, LA_REPLACE_ACL) != 0) {
            return describe(pool, "keep its access control list");
        }
        (void)copy_attribute(file, pool, fd, "security.selinux"); /* not ours to decide */
    }
    if (fchmod(fd, file->exists ? file->info.st_mode & 07777 : NEW_MODE) != 0) {
        return describe(pool, "keep its mode");
    }
    return NULL;
}

/* Whether somebody who knows no lock has written to the file meanwhile. */
static int is_changed(const la_replace_t *file)
{
    const struct stat *then = &file->info;
    struct stat now;

    if (fstatat(file->folder, file->name, &now, AT_SYMLINK_NOFOLLOW) != 0) {
        return file->exists || errno != ENOENT;
    }
    return !file->exists || now.st_ino != then->st_ino || now.st_size != then->st_size ||
           memcmp(&now.st_mtim, &then->st_mtim, sizeof(now.st_mtim)) != 0 ||
           memcmp(&now.st_ctim, &then->st_ctim, sizeof(now.st_ctim)) != 0;
}

static const char *fill(const la_replace_t *file, apr_pool_t *pool, int fd, la_slice_t text,
                        gid_t group)
{
    const char *error = write_all(pool, fd, text);

    error = error ? error : set_owner(file, pool, fd, group);
    if (!error && fsync(fd) != 0) {
        error = describe(pool, "write");
    }
    if (close(fd) != 0 && !error) {
        error = describe(pool, "write");
    }
    return error;
}

const char *la_replace_write(const la_replace_t *file, apr_pool_t *pool, la_slice_t text,
                             gid_t group)
{
    const char *beside = apr_pstrcat(pool, ".", file->name, ".new", NULL);
    const char *error;
    int fd;

    if (file->exists && faccessat(file->folder, file->name, W_OK, AT_EACCESS) != 0) {
        return describe(pool, "write");
    }
    /* What a killed process left: nobody else writes there while we hold the lock. */
    (void)unlinkat(file->folder, beside, 0);
    fd = openat(file->folder, beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return describe(pool, apr_pstrcat(pool, "write ", beside, " beside it", NULL));
    }
    error = fill(file, pool, fd, text, group);
    if (!error && is_changed(file)) {
        error = "somebody changed it meanwhile";
    }
    if (!error && renameat(file->folder, beside, file->folder, file->name) != 0) {
        error = describe(pool, "rename");
    }
    if (error) {
        (void)unlinkat(file->folder, beside, 0);
        return error;
    }
    (void)fsync(file->folder);
    return NULL;
}

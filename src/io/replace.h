/* Files that are replaced in one step, by one program at a time. */
#pragma once

#include "base/slice.h"

#include <apr_pools.h>
#include <apr_time.h>
#include <sys/stat.h>
#include <sys/types.h>

/* The extended attribute of a file that has an access control list. */
#define LA_REPLACE_ACL "system.posix_acl_access"

/* A file that this process alone may replace: it holds the lock of the file's folder, which the
 * kernel takes back however the process ends. */
typedef struct la_replace_t {
    const char *path; /* of the file itself, where links lead to */
    const char *name; /* in the folder */
    int folder;       /* the folder, open and locked */
    int exists;
    struct stat info; /* of the file, or of the folder if there is no file */
} la_replace_t;

/* Follows links, and waits for the lock. The file need not exist, but its folder must. pool: the
 * lock is given back with it. patience_us: how long to wait; -1: until it is free. Returns NULL, or
 * what is wrong, in `pool`: la_replace_busy if the time was too short. */
const char *la_replace_open(apr_pool_t *pool, const char *path, apr_interval_time_t patience_us,
                            la_replace_t *file);

extern const char la_replace_busy[];

/* Reads the file as la_file_read() does. */
const char *la_replace_read(la_replace_t *file, apr_pool_t *pool, apr_size_t limit_bytes,
                            la_slice_t *text);

/* Replaces the content: writes it beside the file, makes sure that the disk has it, and renames. A
 * file that exists keeps owner, group, mode and access control list; a new one gets mode 0640 and
 * the group. After a failure, and after a kill at any moment, the file is as it was.
 *
 * group: of a new file; -1: its folder's, if this process may give it.
 * Returns NULL, or what is wrong, in `pool`.
 */
const char *la_replace_write(const la_replace_t *file, apr_pool_t *pool, la_slice_t text,
                             gid_t group);

/* Files that are read at startup and again when they change: key files and secrets.
 * A process looks at a file at most once a second, on the request path, with one stat();
 * APR's pools in the interface belong to the caller, the rest is locked inside.
 */
#ifndef LA_FILE_H
#define LA_FILE_H

#include "base/slice.h"

#include <apr_pools.h>
#include <apr_time.h>

/* How often a process looks whether a file has changed. */
#define LA_FILE_CHECK_INTERVAL_US APR_USEC_PER_SEC

/* Opens a regular file for reading, or a link to one. Nothing is waited for (a named pipe would be
 * opened for ever), and no program that is executed meanwhile inherits it.
 *
 * fd: -1 on failure; the caller closes it. Returns NULL, or the reason, in `pool`.
 */
const char *la_file_open(apr_pool_t *pool, const char *path, int *fd);

/* A file that is watched. Not locked: its owner serialises the calls. */
typedef struct la_file_t la_file_t;

/* Describes a file without touching it.
 *
 * path: absolute; copied into `pool`. limit_bytes: a larger file is an error.
 */
la_file_t *la_file_make(apr_pool_t *pool, const char *path, apr_size_t limit_bytes);

const char *la_file_path(const la_file_t *file);

/* Reads the file whole and remembers which version that was, also when it fails, so that one
 * broken version is reported once.
 *
 * content: in `pool`, closed with a NUL that is not counted; a UTF-8 byte order mark at the
 * beginning is left out. Returns NULL, or the reason ("open: No such file or directory", "not a
 * regular file", "larger than 65536 bytes").
 */
const char *la_file_read(la_file_t *file, apr_pool_t *pool, la_slice_t *content);

/* Whether the file now is another version than the one read last (device, inode, size, times), a
 * vanished file included. Costs one stat(), and none within the check interval.
 */
int la_file_changed(la_file_t *file, apr_time_t now);

/* A pool for one version of a file's content, that goes with it and not with a parent: what is read
 * again and again must not add up. Its memory goes back to the system with apr_pool_destroy(). It
 * is not locked.
 *
 * like: its abort function is taken over.
 */
apr_pool_t *la_file_version_pool(apr_pool_t *like);

/* A secret as it is configured: `file:PATH`, `env:NAME` or literal. */
typedef struct la_secret_t la_secret_t;

/* Reads a secret for the first time; ASCII white space around it in a file, or a byte order mark
 * before it, is no part of it.
 *
 * secret: lives in `pool`, NULL on failure.
 * Returns NULL, or the reason (empty, unset variable, unreadable file, control characters inside),
 * which never holds the value.
 */
const char *la_secret_make(apr_pool_t *pool, const char *spec, la_secret_t **secret);

/* Readies a secret for use in a child process (its lock). */
apr_status_t la_secret_child_init(la_secret_t *secret, apr_pool_t *pchild);

/* The secret's value now, NUL-terminated, copied into `pool`. A file that changed is read again; a
 * broken new version leaves the old value in force and is logged once. Any thread.
 */
const char *la_secret_get(la_secret_t *secret, apr_time_t now, apr_pool_t *pool);

#endif

/* Files that are read whole, and which version of a file was read. */
#pragma once

#include "base/slice.h"

#include <apr_pools.h>

/* Opens a regular file for reading, or a link to one. It does not wait (opening a named pipe would
 * block), and programs that are executed meanwhile do not inherit it. fd: -1 on failure; the caller
 * closes it. Returns NULL, or the reason, in `pool`. */
const char *la_file_open(apr_pool_t *pool, const char *path, int *fd);

/* A file and the version of it that was read last. Not locked. */
typedef struct la_file_t la_file_t;

/* Describes a file without touching it. path: absolute; copied into `pool`. limit_bytes: reading a
 * larger file is an error. */
la_file_t *la_file_make(apr_pool_t *pool, const char *path, apr_size_t limit_bytes);

const char *la_file_path(const la_file_t *file);

/* Reads the whole file and remembers which version that was, also when it fails. content: in
 * `pool`, followed by a NUL that is not counted; without a leading UTF-8 byte order mark. Returns
 * NULL, or the reason ("open: No such file or directory", "not a regular file", "larger than 65536
 * bytes"). */
const char *la_file_read(la_file_t *file, apr_pool_t *pool, la_slice_t *content);

/* Whether the file may differ from the version read last; a missing file differs too. One stat(). A
 * file that was written moments before it was read always may: a second write within one tick of
 * the file system's clock leaves size and times as they are. */
int la_file_changed(const la_file_t *file);

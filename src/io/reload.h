/* Values made of a text that changes while requests use them: secrets, key files, key sets. One
 * thread makes a new version; the others go on with the old one and take no lock. The old version
 * stays until the last request that uses it is done. A text that is broken changes nothing. */
#pragma once

#include "base/slice.h"

#include <apr_pools.h>
#include <apr_time.h>

/* How often a process looks whether a file has changed. */
#define LA_RELOAD_INTERVAL_US APR_USEC_PER_SEC

typedef struct la_reload_t la_reload_t;

/* Makes a value of a text. Called by one thread at a time. pool: holds the value. scratch:
 * destroyed afterwards, with the text. Returns NULL, or what is wrong, in either pool or a literal;
 * never with a secret in it. */
typedef const char *la_reload_parse_fn(void *context, la_slice_t text, apr_pool_t *pool,
                                       apr_pool_t *scratch, const void **value);

/* Makes a value without a version yet. Children inherit it, its versions too. path: of the file to
 * follow, absolute; NULL: the caller brings the texts (la_reload_text()). limit_bytes: of the file.
 * context: for `parse`. pool: all versions end with it. */
la_reload_t *la_reload_make(apr_pool_t *pool, const char *path, apr_size_t limit_bytes,
                            la_reload_parse_fn *parse, void *context);

/* Reads the file for the first time. Returns NULL, or "path: what is wrong" in `pool`. */
const char *la_reload_read(la_reload_t *reload, apr_pool_t *pool);

/* Logs a warning if this process, which runs as httpd's User, cannot read the file. */
void la_reload_check_readable(const la_reload_t *reload, apr_pool_t *pool);

/* For a file that only the parent may be able to read, in a child before its threads: as long as
 * this process cannot open it, its last version is used, and nothing is logged. Once it can, it
 * follows the file as any other. Returns NULL, or why it cannot open it now, in `pool`. */
const char *la_reload_may_be_hidden(la_reload_t *reload, apr_pool_t *pool);

/* Reads the file again if it has changed; at most one stat() in LA_RELOAD_INTERVAL_US. What is used
 * afterwards was the file's content less than two intervals ago, or is the last good version; the
 * log says why. now: the wall clock. Any thread. */
void la_reload_look(la_reload_t *reload, apr_time_t now);

/* The same, even if somebody looked just before: what is used afterwards is at least as new as what
 * any other process used when this was called. */
void la_reload_look_now(la_reload_t *reload, apr_time_t now);

/* Makes a new version of a text, unless it is the text of the last call. Returns NULL, or what is
 * wrong, in `pool`. Any thread. */
const char *la_reload_text(la_reload_t *reload, la_slice_t text, apr_pool_t *pool);

/* Takes hold of the current version; it stays whole until la_reload_release(). NULL while there is
 * none, to be released all the same. Nobody may wait for anything while holding one. held: for
 * la_reload_release(). Any thread. */
const void *la_reload_hold(la_reload_t *reload, unsigned *held);

void la_reload_release(la_reload_t *reload, unsigned held);

/* When the version that is held was read, by this process or by the one it was forked from. */
apr_time_t la_reload_read_at(const la_reload_t *reload, unsigned held);

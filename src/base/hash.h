/* A hash for keys that strangers choose. */
#ifndef LA_HASH_H
#define LA_HASH_H

#include <apr_hash.h>

/* For apr_hash_make_custom(). APR's own hash can be made to collide at will, and then a
 * megabyte of names costs 15 s; this one depends on a number drawn at random in each process
 * (inherited through fork), so it must not leave the process either. Thread-safe.
 *
 * klen: length of `key`, or APR_HASH_KEY_STRING, which is replaced by the length.
 */
unsigned int la_hash_keyed(const char *key, apr_ssize_t *klen);

#endif

/* A hash for keys that strangers choose. */
#ifndef LA_HASH_H
#define LA_HASH_H

#include <apr_hash.h>

/* For apr_hash_make_custom(). Strangers can make APR's own hash collide, and then a megabyte of
 * names costs 15 s. This one depends on a random number of the process (inherited through fork), so
 * its values must not leave the process. Any thread.
 *
 * klen: length of `key`, or APR_HASH_KEY_STRING, which is replaced by the length.
 */
unsigned int la_hash_keyed(const char *key, apr_ssize_t *klen);

#endif

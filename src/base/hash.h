/* A hash for keys that strangers choose. */
#pragma once

#include "base/slice.h"

#include <apr_hash.h>
#include <stdint.h>

/* For apr_hash_make_custom(). Strangers can make APR's own hash collide, and then a megabyte of
 * names costs 15 s. This one depends on a random number of the process (inherited through fork), so
 * its values must not leave the process. Any thread. klen: length of `key`, or APR_HASH_KEY_STRING,
 * which is replaced by the length. */
unsigned int la_hash_keyed(const char *key, apr_ssize_t *klen);

/* A point for la_hash_under(), of 8 random bytes. */
uint64_t la_hash_point(const unsigned char random[8]);

/* The same hash at a point of the caller's, in whole: below 2^62. What is hashed in parts is given
 * the result for the parts before as `seed`, which starts at 0. */
uint64_t la_hash_under(uint64_t point, uint64_t seed, la_slice_t bytes);

/* A keyed checksum that tells whether bytes are the same as before, for a tenth of what SHA-256
 * costs and without keeping the bytes. */
#pragma once

#include "base/slice.h"

#include <stdint.h>

/* Zeroed, it is the checksum of nothing. */
typedef struct la_checksum_t {
    uint64_t sums[4];
    uint64_t blocks;
} la_checksum_t;

/* Computes the checksum of the parts, each with its length; a part with data NULL is absent, not
 * empty. Takes a time that depends on the lengths only.
 *
 * Two different lists of parts have the same checksum with a probability of at most 2^-128, also
 * when a stranger chooses both: the key is drawn at random in each process and never shown. Nor may
 * a checksum be shown to strangers.
 *
 * Returns 1, or 0 when the parts are longer than about 8 KB or there is no random key. Any thread.
 */
int la_checksum_make(const la_slice_t *parts, apr_size_t count, la_checksum_t *checksum);

/* Returns 1 when both are of the same parts. Takes the same time for all. */
int la_checksum_equals(const la_checksum_t *a, const la_checksum_t *b);

/* When keys were used last: a table in shared memory, of a fixed size. */
#pragma once

#include <apr.h>
#include <apr_time.h>
#include <stdint.h>

/* Bytes of the table, which starts zeroed and is 64-byte aligned. */
apr_size_t la_key_uses_bytes(void);

/* Notes that a key was used now, in whole seconds, at most once in each. A use may push the oldest
 * out of its bucket. mark: a hash of the key. Any thread of any process; takes no lock. */
void la_key_uses_note(void *table, uint64_t mark, apr_time_t now);

/* When the key was used last, 0 if nothing is known of it. */
apr_time_t la_key_uses_last(void *table, uint64_t mark);

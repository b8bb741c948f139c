/* A set of numbers above 0, such as minutes, in shared memory: a few spans of numbers that follow
 * each other. What is noted stays in the set; when there is no room for another span, the set grows
 * by the numbers between the two that are closest. Life cycle: zeroed words are an empty set. Any
 * process may die at any time. Only one at a time may call a function of these: the caller has a
 * lock that dead holders lose. */
#pragma once

#include "shm/seqlock.h"

#define LA_SPANS_MAX ((size_t)16)

/* Words of a set: la_seqlock_word_t spans[LA_SPANS_WORDS]. */
#define LA_SPANS_WORDS LA_SEQLOCK_WORDS(2 * LA_SPANS_MAX)

/* Spans that are no farther apart than that become one. */
#define LA_SPANS_GAP 10u

/* Whether the set has the number. newest: the highest that may be in the set; for the case that
 * process after process was killed while it wrote, and the set is lost: then it has all up to that.
 */
int la_spans_has(const la_seqlock_word_t *spans, uint64_t number, uint64_t newest);

/* Adds a number. newest: as above. */
void la_spans_note(la_seqlock_word_t *spans, uint64_t number, uint64_t newest);

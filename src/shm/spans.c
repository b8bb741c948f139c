/* Spans of numbers, in one record of seqlock.h:
 *
 *   first | last   LA_SPANS_MAX times, in no order; last 0: no span
 *
 * Memory order: the caller's lock. */
#include "shm/spans.h"

#include <string.h>

typedef struct span_t {
    uint64_t first;
    uint64_t last;
} span_t;

_Static_assert(sizeof(span_t) == 16, "two words of the record");

/* The set, and room for one more. */
typedef span_t set_t[LA_SPANS_MAX + 1];

static void read_set(const la_seqlock_word_t *words, uint64_t newest, set_t spans)
{
    if (!la_seqlock_read(words, (uint64_t *)spans, 2 * LA_SPANS_MAX)) {
        memset(spans, 0, sizeof(set_t));
        if (atomic_load(&words[0]) != 0) {
            spans[0] = (span_t){1, newest};
        }
    }
}

int la_spans_has(const la_seqlock_word_t *words, uint64_t number, uint64_t newest)
{
    set_t spans;

    read_set(words, newest, spans);
    for (size_t i = 0; i < LA_SPANS_MAX; i++) {
        if (spans[i].last != 0 && spans[i].first <= number && number <= spans[i].last) {
            return 1;
        }
    }
    return 0;
}

/* How far it is from one span to the other; 0 when they meet. */
static uint64_t gap_between(const span_t *a, const span_t *b)
{
    return a->last < b->first ? b->first - a->last : b->last < a->first ? a->first - b->last : 0;
}

/* Joins the two spans that are closest, if they are no farther apart than that. Returns 1 then. */
static int join_closest(set_t spans, uint64_t gap_max)
{
    span_t *to = NULL;
    span_t *from = NULL;

    for (size_t i = 0; i <= LA_SPANS_MAX; i++) {
        for (size_t j = 0; j < i && spans[i].last != 0; j++) {
            uint64_t gap = gap_between(&spans[i], &spans[j]);

            if (spans[j].last != 0 && gap <= gap_max) {
                gap_max = gap;
                to = &spans[j];
                from = &spans[i];
            }
        }
    }
    if (!to) {
        return 0;
    }
    to->first = from->first < to->first ? from->first : to->first;
    to->last = from->last > to->last ? from->last : to->last;
    *from = (span_t){0, 0};
    return 1;
}

/* The first place without a span; LA_SPANS_MAX + 1: there is none. */
static size_t find_room(const set_t spans)
{
    size_t i = 0;

    while (i <= LA_SPANS_MAX && spans[i].last != 0) {
        i++;
    }
    return i;
}

void la_spans_note(la_seqlock_word_t *words, uint64_t number, uint64_t newest)
{
    set_t spans;

    read_set(words, newest, spans);
    spans[LA_SPANS_MAX] = (span_t){number, number};
    while (join_closest(spans, LA_SPANS_GAP)) {}
    if (find_room(spans) > LA_SPANS_MAX) {
        join_closest(spans, UINT64_MAX);
    }
    spans[find_room(spans)] = spans[LA_SPANS_MAX];
    la_seqlock_write(words, (const uint64_t *)spans, 2 * LA_SPANS_MAX);
}

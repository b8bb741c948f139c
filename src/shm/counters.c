/* Counters in shared memory. Any thread of any process.
 *
 *   +-------------------+---------------------------+---------------------------+-----
 *   | requests          | provider 0                | provider 1                | ...
 *   | LANES x 128 bytes | look-ups: LANES x 256     |                           |
 *   |                   | calls, error, tokens      |                           |
 *   +-------------------+---------------------------+---------------------------+-----
 *
 * What each request counts has lanes, so that threads on different cores rarely write the same
 * line. All threads share the histogram and the tokens: a call or an answer costs far more than a
 * count.
 *
 * The tokens of a minute are one word: 16 bits of the minute's number, 48 of the count. The minutes
 * are a ring.
 *
 * Memory order: counters and the bits of `told` are relaxed and pair with nothing. The last error
 * is a record of seqlock.h. */
#include "shm/counters.h"

#include "shm/seqlock.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define LANES        16
#define MOST         65536
#define ERROR_WORDS  ((LA_COUNTERS_ERROR_BYTES + 1) / 8)
#define RECORD_WORDS (1 + ERROR_WORDS) /* of the last error: its time, its text */

typedef _Atomic uint64_t counter_t;
_Static_assert(sizeof(counter_t) == 8, "a counter is one word in shared memory");

typedef struct requests_t {
    _Alignas(LA_COUNTERS_ALIGN) counter_t outcomes[LA_COUNTERS_OUTCOMES];
} requests_t;

enum { INPUT, OUTPUT, KINDS };

typedef struct usage_t {
    counter_t answers[LA_COUNTERS_USAGES];
    counter_t tokens[KINDS];
    counter_t minutes[LA_COUNTERS_MINUTES][KINDS];
} usage_t;

typedef struct lookups_t {
    _Alignas(LA_COUNTERS_ALIGN) counter_t counts[LA_COUNTERS_VERDICTS][LA_COUNTERS_SOURCES];
} lookups_t;

typedef struct provider_t {
    lookups_t lanes[LANES];
    _Alignas(LA_COUNTERS_ALIGN) counter_t buckets[LA_COUNTERS_BUCKETS + 1];
    counter_t sum_us;
    counter_t told; /* one bit for each matter that was logged */
    la_seqlock_word_t error[LA_SEQLOCK_WORDS(RECORD_WORDS)];
    usage_t usage;
} provider_t;

_Static_assert((LA_COUNTERS_ERROR_BYTES + 1) % 8 == 0, "an error is a number of words");
_Static_assert(sizeof(requests_t) % LA_COUNTERS_ALIGN == 0 &&
                   sizeof(provider_t) % LA_COUNTERS_ALIGN == 0,
               "lanes and providers are whole lines");

struct la_counters_t {
    requests_t *requests; /* LANES of them */
    provider_t *providers;
    uint32_t count;
};

#define MS APR_TIME_C(1000)
const apr_interval_time_t la_counters_bounds_us[LA_COUNTERS_BUCKETS] = {
    250,      500,      1 * MS,   2500,      5 * MS,    10 * MS,   25 * MS,   50 * MS,
    100 * MS, 250 * MS, 500 * MS, 1000 * MS, 2500 * MS, 5000 * MS, 10000 * MS};

apr_size_t la_counters_bytes(uint32_t providers)
{
    return providers > MOST ? 0 : LANES * sizeof(requests_t) + providers * sizeof(provider_t);
}

la_counters_t *la_counters_attach(void *bytes, uint32_t providers, apr_pool_t *pool)
{
    la_counters_t *stats = apr_palloc(pool, sizeof(*stats));

    stats->requests = bytes;
    stats->providers = (provider_t *)(void *)((char *)bytes + LANES * sizeof(requests_t));
    stats->count = providers;
    return stats;
}

void la_counters_copy(la_counters_t *to, uint32_t index, const la_counters_t *from,
                      uint32_t from_index)
{
    if (index < to->count && from_index < from->count) {
        memcpy(&to->providers[index], &from->providers[from_index], sizeof(provider_t));
    }
}

void la_counters_copy_requests(la_counters_t *to, const la_counters_t *from)
{
    memcpy(to->requests, from->requests, LANES * sizeof(requests_t));
}

static void add(counter_t *counter, uint64_t count)
{
    atomic_fetch_add_explicit(counter, count, memory_order_relaxed);
}

static uint64_t get(const counter_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* The lane of this thread: threads are numbered as they first count, and processes start apart. */
static unsigned find_lane(void)
{
    static atomic_uint next;
    static _Thread_local unsigned number;

    if (number == 0) {
        number = atomic_fetch_add(&next, 1) + (unsigned)getpid() + 1;
        number = number ? number : 1;
    }
    return number % LANES;
}

void la_counters_request(la_counters_t *stats, unsigned outcome)
{
    if (outcome < LA_COUNTERS_OUTCOMES) {
        add(&stats->requests[find_lane()].outcomes[outcome], 1);
    }
}

void la_counters_lookup(la_counters_t *stats, uint32_t provider, unsigned verdict, unsigned source)
{
    if (provider < stats->count && verdict < LA_COUNTERS_VERDICTS && source < LA_COUNTERS_SOURCES) {
        add(&stats->providers[provider].lanes[find_lane()].counts[verdict][source], 1);
    }
}

static unsigned bucket(apr_interval_time_t us)
{
    unsigned i = 0;

    while (i < LA_COUNTERS_BUCKETS && us > la_counters_bounds_us[i]) {
        i++;
    }
    return i;
}

void la_counters_call(la_counters_t *stats, uint32_t provider, apr_interval_time_t duration_us)
{
    apr_interval_time_t us = duration_us > 0 ? duration_us : 0;

    if (provider < stats->count) {
        add(&stats->providers[provider].buckets[bucket(us)], 1);
        add(&stats->providers[provider].sum_us, (uint64_t)us);
    }
}

/* ---- tokens ---- */

#define COUNT_BITS 48
#define COUNT_MOST (((uint64_t)1 << COUNT_BITS) - 1)

static uint64_t minute_of(apr_time_t now)
{
    return (uint64_t)(now / (60 * APR_USEC_PER_SEC));
}

/* What a word counts of that minute. */
static uint64_t count_of(uint64_t word, uint64_t minute)
{
    return word >> COUNT_BITS == (minute & 0xffff) ? word & COUNT_MOST : 0;
}

static void add_in_minute(counter_t *counter, uint64_t minute, uint64_t count)
{
    uint64_t seen = get(counter);
    uint64_t sum;

    do {
        sum = count_of(seen, minute);
        sum = count < COUNT_MOST - sum ? sum + count : COUNT_MOST;
    } while (!atomic_compare_exchange_weak(counter, &seen, (minute & 0xffff) << COUNT_BITS | sum));
}

void la_counters_tokens(la_counters_t *stats, uint32_t provider, unsigned usage,
                        la_counters_tokens_t tokens, apr_time_t now)
{
    const uint64_t counts[KINDS] = {tokens.input, tokens.output};
    uint64_t minute = minute_of(now);
    usage_t *to;

    if (provider >= stats->count || usage >= LA_COUNTERS_USAGES) {
        return;
    }
    to = &stats->providers[provider].usage;
    add(&to->answers[usage], 1);
    for (int i = 0; i < KINDS; i++) {
        if (counts[i] > 0) {
            add(&to->tokens[i], counts[i]);
            add_in_minute(&to->minutes[minute % LA_COUNTERS_MINUTES][i], minute, counts[i]);
        }
    }
}

void la_counters_read_usage(const la_counters_t *stats, uint32_t provider, apr_time_t now,
                            la_counters_usage_t *read)
{
    const usage_t *from;

    memset(read, 0, sizeof(*read));
    if (provider >= stats->count) {
        return;
    }
    from = &stats->providers[provider].usage;
    for (int i = 0; i < LA_COUNTERS_USAGES; i++) {
        read->answers[i] = get(&from->answers[i]);
    }
    read->all = (la_counters_tokens_t){get(&from->tokens[INPUT]), get(&from->tokens[OUTPUT])};
    for (uint64_t i = 0; i < LA_COUNTERS_MINUTES; i++) {
        uint64_t minute = minute_of(now) + i + 1 - LA_COUNTERS_MINUTES;
        const counter_t *words = from->minutes[minute % LA_COUNTERS_MINUTES];

        read->minutes[i] = (la_counters_tokens_t){count_of(get(&words[INPUT]), minute),
                                                  count_of(get(&words[OUTPUT]), minute)};
    }
}

/* ---- the last error ---- */

static void pack(const char *text, uint64_t words[ERROR_WORDS])
{
    char bytes[LA_COUNTERS_ERROR_BYTES + 1] = {0};

    for (int i = 0; i < LA_COUNTERS_ERROR_BYTES && text[i]; i++) {
        bytes[i] = text[i];
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            bytes[i] = ' ';
        }
    }
    memcpy(words, bytes, sizeof(bytes));
}

void la_counters_error(la_counters_t *stats, uint32_t provider, const char *text, apr_time_t now)
{
    uint64_t record[RECORD_WORDS] = {(uint64_t)now};

    if (provider < stats->count) {
        pack(text, record + 1);
        la_seqlock_write(stats->providers[provider].error, record, RECORD_WORDS);
    }
}

int la_counters_first(la_counters_t *stats, uint32_t provider, unsigned matter)
{
    uint64_t bit = (uint64_t)1 << matter % 64;

    return provider < stats->count &&
           !(atomic_fetch_or_explicit(&stats->providers[provider].told, bit, memory_order_relaxed) &
             bit);
}

static void read_error(const provider_t *provider, la_counters_provider_t *read)
{
    uint64_t record[RECORD_WORDS];

    if (la_seqlock_read(provider->error, record, RECORD_WORDS)) {
        read->error_at = (apr_time_t)record[0];
        memcpy(read->error, record + 1, sizeof(read->error));
        read->error[LA_COUNTERS_ERROR_BYTES] = '\0';
    }
}

static void sum_lookups(const provider_t *provider, la_counters_provider_t *read)
{
    for (int i = 0; i < LANES; i++) {
        for (int verdict = 0; verdict < LA_COUNTERS_VERDICTS; verdict++) {
            for (int source = 0; source < LA_COUNTERS_SOURCES; source++) {
                read->lookups[verdict][source] += get(&provider->lanes[i].counts[verdict][source]);
            }
        }
    }
}

uint64_t la_counters_requests(const la_counters_t *stats, unsigned outcome)
{
    uint64_t sum = 0;

    for (int i = 0; i < LANES && outcome < LA_COUNTERS_OUTCOMES; i++) {
        sum += get(&stats->requests[i].outcomes[outcome]);
    }
    return sum;
}

void la_counters_read(const la_counters_t *stats, uint32_t provider, la_counters_provider_t *read)
{
    const provider_t *from;

    memset(read, 0, sizeof(*read));
    if (provider >= stats->count) {
        return;
    }
    from = &stats->providers[provider];
    sum_lookups(from, read);
    for (int i = 0; i <= LA_COUNTERS_BUCKETS; i++) {
        read->calls.buckets[i] = get(&from->buckets[i]);
        read->calls.count += read->calls.buckets[i];
    }
    read->calls.sum_us = get(&from->sum_us);
    read_error(from, read);
}

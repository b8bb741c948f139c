/* Decides when an outage is logged; the caller writes the line. Any thread of any process. */
#include "shm/outage.h"

/* A continuing outage is logged again after this time. */
#define INTERVAL_S 60u

/* Lost races after which the winners write the line. */
#define ATTEMPTS 8

#define TOLD ((uint64_t)1)

static uint32_t mix(uint32_t hash, uint32_t value)
{
    return (hash ^ value) * 16777619u; /* FNV-1a */
}

/* A hash of the reason, never 0. epoch: how many outages have ended. */
static uint32_t hash_of(const la_outage_reason_t *reason, uint64_t epoch)
{
    uint32_t hash = mix(2166136261u, (uint32_t)reason->status);

    for (const char *p = reason->text; *p; p++) {
        if (*p < '0' || *p > '9') {
            hash = mix(hash, (unsigned char)*p);
        }
    }
    hash = mix(hash, reason->of_caller ? 0 : (uint32_t)epoch + 1);
    return hash ? hash : 1;
}

/* Seconds since a reason was logged; a future time counts as long ago. */
static uint32_t age_of(uint64_t word, uint32_t now_s)
{
    return word ? now_s - (uint32_t)word : UINT32_MAX;
}

/* The place of that reason, or the oldest one to replace. */
static int find_place(const la_outage_t *outage, uint32_t hash, uint32_t now_s, uint64_t *word)
{
    uint64_t words[LA_OUTAGE_REASONS];
    int place = 0;

    for (int i = 0; i < LA_OUTAGE_REASONS; i++) {
        words[i] = atomic_load(&outage->reasons[i]);
        if (words[i] >> 32 == hash) {
            *word = words[i];
            return i;
        }
        if (age_of(words[i], now_s) > age_of(words[place], now_s)) {
            place = i;
        }
    }
    *word = words[place];
    return place;
}

static int is_due(la_outage_t *outage, uint32_t hash, uint32_t now_s)
{
    uint64_t told = (uint64_t)hash << 32 | now_s;

    for (int i = 0; i < ATTEMPTS; i++) {
        uint64_t word;
        int place = find_place(outage, hash, now_s, &word);

        if (word >> 32 == hash && age_of(word, now_s) < INTERVAL_S) {
            return 0;
        }
        if (atomic_compare_exchange_strong(&outage->reasons[place], &word, told)) {
            return 1;
        }
    }
    return 0;
}

int la_outage_begin(la_outage_t *outage, const la_outage_reason_t *reason, apr_time_t now)
{
    uint64_t state = atomic_load(&outage->state);

    if (!is_due(outage, hash_of(reason, state >> 1), (uint32_t)apr_time_sec(now))) {
        return 0;
    }
    if (!reason->of_caller) {
        atomic_fetch_or(&outage->state, TOLD);
    }
    return 1;
}

int la_outage_end(la_outage_t *outage)
{
    uint64_t state = atomic_load_explicit(&outage->state, memory_order_relaxed);

    /* Adding one clears the bit TOLD and counts the end. */
    return (state & TOLD) && atomic_compare_exchange_strong(&outage->state, &state, state + 1);
}

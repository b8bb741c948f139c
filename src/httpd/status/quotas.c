/* Reads quotas: one walk over all counters, of which each quota keeps the fullest ones. In request
 * threads. */
#include "httpd/status/quotas.h"

#include "base/clock.h"
#include "httpd/config/collected.h"
#include "httpd/quota_memory.h"

#include <apr_strings.h>

#include <stdlib.h>
#include <string.h>

/* Where the counters of one kind belong. */
typedef struct kind_t {
    uint64_t kind;
    la_status_quota_t *quota;
    la_status_limit_t *limit;
} kind_t;

/* The kinds of all limits, in order. */
typedef struct kinds_t {
    kind_t *kinds;
    apr_size_t count;
} kinds_t;

static int compare_kinds(const void *a, const void *b)
{
    uint64_t first = ((const kind_t *)a)->kind;
    uint64_t second = ((const kind_t *)b)->kind;

    return (first > second) - (first < second);
}

static const kind_t *find_kind(const kinds_t *kinds, uint64_t kind)
{
    kind_t wanted = {.kind = kind};

    return bsearch(&wanted, kinds->kinds, kinds->count, sizeof(wanted), compare_kinds);
}

/* ---- the fullest counters ---- */

static int is_fuller(const la_status_counter_t *a, const la_status_counter_t *b)
{
    double first = (double)a->used / (double)(a->most ? a->most : 1);
    double second = (double)b->used / (double)(b->most ? b->most : 1);

    return first > second || (!(first < second) && a->refusals > b->refusals);
}

/* Puts a counter in its place among the fullest ones, if it is one of them. */
static void show_counter(la_status_quota_t *quota, const la_status_counter_t *counter)
{
    int at = quota->shown;

    while (at > 0 && is_fuller(counter, &quota->fullest[at - 1])) {
        at--;
    }
    if (at == LA_STATUS_FULLEST) {
        return;
    }
    quota->shown += quota->shown < LA_STATUS_FULLEST;
    memmove(&quota->fullest[at + 1], &quota->fullest[at],
            sizeof(*counter) * (apr_size_t)(quota->shown - 1 - at));
    quota->fullest[at] = *counter;
}

static void read_meter(void *baton, const la_meter_entry_t *entry)
{
    const kind_t *kind = find_kind(baton, entry->kind);
    la_status_counter_t counter = {.used = entry->used,
                                   .most = entry->limit,
                                   .refusals = entry->refusals,
                                   .reset_us = entry->reset_us};

    if (!kind) { /* of a quota that is no longer configured */
        return;
    }
    counter.limit = kind->limit->limit;
    memcpy(counter.name, entry->name, sizeof(counter.name));
    counter.is_cut = strlen(entry->name) == LA_METER_NAME_BYTES;
    kind->quota->counters++;
    show_counter(kind->quota, &counter);
}

/* ---- requests in flight ---- */

static int compare_permits(const void *a, const void *b)
{
    const la_permit_entry_t *first = a;
    const la_permit_entry_t *second = b;

    return first->kind != second->kind
               ? (first->kind > second->kind ? 1 : -1)
               : (first->mark > second->mark) - (first->mark < second->mark);
}

/* Shows permits of one caller. */
static void read_caller(const kinds_t *kinds, const la_permit_entry_t *entry, uint64_t count)
{
    const kind_t *kind = find_kind(kinds, entry->kind);
    la_status_counter_t counter = {.used = count, .most = entry->limit};

    if (kind) {
        counter.limit = kind->limit->limit;
        memcpy(counter.name, entry->name, sizeof(entry->name));
        counter.is_cut = strlen(entry->name) == LA_PERMIT_NAME_BYTES;
        kind->limit->in_flight += count;
        show_counter(kind->quota, &counter);
    }
}

static void read_permits(const kinds_t *kinds, const la_permits_t *permits, apr_pool_t *pool)
{
    apr_array_header_t *taken = apr_array_make(pool, 16, sizeof(la_permit_entry_t));
    const la_permit_entry_t *entries;
    la_permit_entry_t entry;
    int first = 0;

    la_place_sweep(permits->life, permits->places, permits->count);
    for (uint32_t i = 0; i < permits->count; i++) {
        if (la_permits_read(permits, i, &entry)) {
            APR_ARRAY_PUSH(taken, la_permit_entry_t) = entry;
        }
    }
    entries = (const la_permit_entry_t *)(const void *)taken->elts;
    qsort(taken->elts, (apr_size_t)taken->nelts, sizeof(entry), compare_permits);
    for (int i = 1; i <= taken->nelts; i++) {
        if (i == taken->nelts || compare_permits(&entries[first], &entries[i]) != 0) {
            read_caller(kinds, &entries[first], (uint64_t)(i - first));
            first = i;
        }
    }
}

/* ---- all of it ---- */

static void read_limits(la_status_quota_t *quota, const la_quota_memory_t *memory, kinds_t *kinds,
                        apr_pool_t *pool)
{
    const apr_array_header_t *limits = quota->quota->limits;

    quota->limits = apr_pcalloc(pool, sizeof(*quota->limits) * (apr_size_t)limits->nelts);
    for (int i = 0; i < limits->nelts; i++) {
        la_status_limit_t *limit = &quota->limits[i];
        kind_t *kind = &kinds->kinds[kinds->count++];

        limit->limit = &APR_ARRAY_IDX(limits, i, la_limit_t);
        limit->kind = limit->limit->name + strlen(quota->quota->name) + 1;
        *kind = (kind_t){.quota = quota, .limit = limit};
        la_admission_key(memory, limit->limit, LA_SLICE(""), &kind->kind);
        limit->refusals = la_tally_get(memory->refusals, kind->kind);
    }
}

const la_status_quotas_t *la_status_quotas_read(apr_pool_t *pool)
{
    const apr_array_header_t *entries = la_collected.quotas;
    const la_quota_memory_t *memory = la_quota_memory_get();
    la_meter_now_t now = {la_clock_us(), apr_time_now()};
    la_status_quotas_t *quotas = apr_pcalloc(pool, sizeof(*quotas));
    kinds_t kinds = {NULL, 0};

    if (!memory) {
        return NULL;
    }
    for (int i = 0; i < entries->nelts; i++) {
        kinds.count += (apr_size_t)APR_ARRAY_IDX(entries, i, la_quota_entry_t).quota->limits->nelts;
    }
    kinds.kinds = apr_pcalloc(pool, sizeof(*kinds.kinds) * kinds.count);
    kinds.count = 0;
    quotas->count = entries->nelts;
    quotas->quotas = apr_pcalloc(pool, sizeof(*quotas->quotas) * (apr_size_t)entries->nelts);
    for (int i = 0; i < entries->nelts; i++) {
        const la_quota_entry_t *entry = &APR_ARRAY_IDX(entries, i, la_quota_entry_t);

        quotas->quotas[i].label = entry->label;
        quotas->quotas[i].quota = entry->quota;
        read_limits(&quotas->quotas[i], memory, &kinds, pool);
    }
    qsort(kinds.kinds, kinds.count, sizeof(*kinds.kinds), compare_kinds);
    la_meters_visit(memory->meters, &now, read_meter, &kinds, &quotas->memory);
    read_permits(&kinds, &memory->permits, pool);
    return quotas;
}

double la_status_quota_fill(const la_status_quotas_t *quotas)
{
    return (double)quotas->memory.used / (double)quotas->memory.capacity;
}

const char *la_status_limit_words(apr_pool_t *pool, const la_limit_t *limit)
{
    static const char *const tokens[] = {"tokens", "input tokens", "output tokens"};

    if (limit->kind == LA_LIMIT_CONCURRENT) {
        return apr_psprintf(pool, "%" APR_INT64_T_FMT " requests at once", limit->number);
    }
    return apr_psprintf(pool, "%" APR_INT64_T_FMT " %s per %s", limit->number,
                        limit->kind == LA_LIMIT_TOKENS ? tokens[limit->tokens] : "requests",
                        limit->period);
}

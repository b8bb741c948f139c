/* What concerns all meters: the status page reads them, an administrator has some forgotten, a new
 * segment takes them over (in the parent), and another machine's store says how far they are. Any
 * thread of any process. */
#include "shm/meter_layout.h"

#include <string.h>

/* How often la_meter_set() looks again when others count at the same time. */
#define SET_TRIES 8

/* Ends of one window, as two answers of another store tell them, are no farther apart. */
#define SAME_WINDOW_MS 1000

#define TELL_AGAIN_US (60 * UINT64_C(1000000))

apr_status_t la_meters_format(void *bytes, apr_size_t len)
{
    la_meter_header_t *header = bytes;

    if (len < LA_METERS_BYTES_MIN) {
        return APR_EINVAL;
    }
    memset(bytes, 0, len);
    la_meter_store(&header->bytes, len);
    la_meter_store(&header->layout, LA_METER_LAYOUT);
    return APR_SUCCESS;
}

apr_status_t la_meters_attach(void *bytes, apr_size_t len, la_holder_t *life, apr_pool_t *pool,
                              la_meters_t **made)
{
    la_meter_header_t *header = bytes;
    la_meters_t *meters;

    *made = NULL;
    if (len < LA_METERS_BYTES_MIN || la_meter_load(&header->layout) != LA_METER_LAYOUT ||
        la_meter_load(&header->bytes) != len) {
        return APR_EGENERAL;
    }
    meters = apr_palloc(pool, sizeof(*meters));
    meters->header = header;
    meters->groups = (la_meter_group_t *)(void *)(header + 1);
    meters->count = (len - sizeof(la_meter_header_t)) / sizeof(la_meter_group_t);
    meters->apart = meters->count - meters->count / 4;
    meters->life = life;
    *made = meters;
    return APR_SUCCESS;
}

static uint64_t forget_in(la_meters_t *meters, la_meter_group_t *group, const la_meter_key_t *key,
                          uint64_t kind)
{
    la_lock_e locked = la_lock_take(meters->life, &group->lock, LA_METER_LOCK_US);
    uint64_t count = 0;

    for (unsigned i = 0; i < LA_METER_GROUP; i++) {
        la_meter_t *meter = &group->meters[i];

        if (la_meter_load(&meter->tag) != 0 && (!key || la_meter_is_owned(meter, key)) &&
            (kind == 0 || la_meter_load(&meter->kind) == kind)) {
            la_meter_clear(meter);
            count++;
        }
    }
    if (locked != LA_LOCK_BUSY) {
        la_lock_release(&group->lock);
    }
    return count;
}

uint64_t la_meters_forget(la_meters_t *meters, const la_meter_key_t *key, uint64_t kind)
{
    uint64_t count = 0;

    if (key) {
        return forget_in(meters, la_meter_group(meters, key, 0), key, kind) +
               forget_in(meters, la_meter_group(meters, key, 1), key, kind);
    }
    for (uint64_t i = 0; i < meters->count; i++) {
        count += forget_in(meters, &meters->groups[i], NULL, kind);
    }
    return count;
}

/* The figures of a meter that is not as new; 0 for others, and for one that changed hands. */
static int read_entry(const la_meter_t *meter, const la_meter_now_t *now, la_meter_entry_t *entry)
{
    uint64_t words[LA_METER_WORDS];
    uint64_t steady = (uint64_t)now->steady_us;
    uint64_t ends = la_meter_load(&meter->ends);
    uint64_t unit = la_meter_load(&meter->unit);
    uint64_t first = la_meter_load(&meter->first);

    entry->key = (la_meter_key_t){{la_meter_load(&meter->tag), la_meter_load(&meter->check)}};
    if (entry->key.tag[0] == 0 || ends <= steady) {
        return 0;
    }
    entry->kind = la_meter_load(&meter->kind);
    entry->limit = la_meter_load(&meter->limit);
    entry->refusals = la_meter_load(&meter->refusals);
    entry->reset_us = (apr_interval_time_t)(ends - steady);
    entry->used = unit == 0               ? la_meter_used(first, la_meter_load(&meter->second))
                  : first > steady * 1000 ? (first - steady * 1000 + unit - 1) / unit
                                          : 0;
    for (unsigned i = 0; i < LA_METER_WORDS; i++) {
        words[i] = la_meter_load(&meter->name[i]);
    }
    memset(entry->name, 0, sizeof(entry->name));
    memcpy(entry->name, words, sizeof(words));
    return la_meter_is_owned(meter, &entry->key);
}

void la_meters_visit(const la_meters_t *meters, const la_meter_now_t *now, la_meter_visit_fn *visit,
                     void *baton, la_meters_state_t *state)
{
    la_meter_entry_t entry;

    *state = (la_meters_state_t){.capacity = meters->count * LA_METER_GROUP,
                                 .evictions = la_meter_load(&meters->header->evictions)};
    for (uint64_t i = 0; i < meters->count; i++) {
        for (unsigned j = 0; j < LA_METER_GROUP; j++) {
            if (read_entry(&meters->groups[i].meters[j], now, &entry)) {
                state->used++;
                visit(baton, &entry);
            }
        }
    }
}

int la_meters_tell(la_meters_t *meters, const la_meter_now_t *now, uint64_t *evictions)
{
    la_meter_header_t *header = meters->header;
    uint64_t at = la_meter_load(&header->told_us);

    *evictions = la_meter_load(&header->evictions);
    if (*evictions == la_meter_load(&header->told) ||
        (at != 0 && (uint64_t)now->steady_us - at < TELL_AGAIN_US) ||
        !atomic_compare_exchange_strong(&header->told_us, &at, (uint64_t)now->steady_us)) {
        return 0;
    }
    la_meter_store(&header->told, *evictions);
    return 1;
}

/* Takes the window that the other store tells of. An answer that is late never lowers what a newer
 * one said of the same window. */
static void set_window(la_meter_t *meter, const la_meter_terms_t *terms, uint64_t at,
                       const la_meter_reading_t *told, la_meter_receipt_t *receipt)
{
    uint64_t end = at + (uint64_t)told->full_us / 1000;

    for (int i = 0; i < SET_TRIES; i++) {
        uint64_t first = la_meter_open(meter, &receipt->key, terms, at);
        uint64_t second = la_meter_load(&meter->second);
        uint64_t known = first >> LA_METER_NUMBER_BITS;
        int is_same = (known > end ? known - end : end - known) <= SAME_WINDOW_MS;
        uint64_t number = (first + !is_same) & 0xffff;
        uint64_t used = is_same ? la_meter_used(first, second) : 0;

        used = used > told->used ? used : told->used;
        used = used < LA_METER_MOST ? used : LA_METER_MOST;
        receipt->serial = (uint16_t)number;
        if (!la_meter_is_owned(meter, &receipt->key) ||
            ((is_same || atomic_compare_exchange_strong(&meter->first, &first,
                                                        end << LA_METER_NUMBER_BITS | number)) &&
             atomic_compare_exchange_strong(&meter->second, &second, number << 48 | used))) {
            return;
        }
    }
}

static void set_rate(la_meter_t *meter, const la_meter_key_t *key, uint64_t arrival)
{
    uint64_t first = la_meter_load(&meter->first);

    while (first < arrival && la_meter_is_owned(meter, key) &&
           !atomic_compare_exchange_strong(&meter->first, &first, arrival)) {}
}

la_meter_receipt_t la_meter_set(la_meters_t *meters, const la_meter_key_t *key,
                                const la_meter_terms_t *terms, const la_meter_now_t *now,
                                const la_meter_reading_t *told)
{
    la_meter_t *meter = la_meter_get(meters, key, terms, now);
    la_meter_receipt_t receipt = {
        .key = *key, .is_rate = terms->burst > 0, .amount = terms->burst > 0 ? 0 : terms->cost};

    receipt.place = (uint64_t)((char *)meter - (char *)meters->groups) + 1;
    la_meter_store(&meter->limit, terms->burst > 0 ? terms->burst : terms->limit);
    la_meter_store(&meter->unit, terms->burst > 0 ? la_meter_unit(terms) : 0);
    la_meter_store(&meter->ends, (uint64_t)(now->steady_us + told->full_us));
    if (terms->burst > 0) {
        set_rate(meter, key, (uint64_t)now->steady_us * 1000 + told->used);
    } else {
        set_window(meter, terms, la_meter_ms(terms, now), told, &receipt);
    }
    return receipt;
}

static void copy_meter(la_meters_t *to, const la_meter_t *meter, int apart,
                       const la_meter_now_t *now)
{
    la_meter_terms_t terms = {.apart = apart};
    la_meter_entry_t entry;
    la_meter_t *made;

    if (!read_entry(meter, now, &entry)) {
        return;
    }
    terms.kind = entry.kind;
    terms.name = la_slice_of(entry.name);
    made = la_meter_get(to, &entry.key, &terms, now);
    la_meter_store(&made->first, la_meter_load(&meter->first));
    la_meter_store(&made->second, la_meter_load(&meter->second));
    la_meter_store(&made->ends, la_meter_load(&meter->ends));
    la_meter_store(&made->unit, la_meter_load(&meter->unit));
    la_meter_store(&made->alone, la_meter_load(&meter->alone));
    la_meter_store(&made->limit, entry.limit);
    la_meter_store(&made->refusals, entry.refusals);
}

void la_meters_copy(la_meters_t *to, const la_meters_t *from, const la_meter_now_t *now)
{
    for (uint64_t i = 0; i < from->count; i++) {
        for (unsigned j = 0; j < LA_METER_GROUP; j++) {
            copy_meter(to, &from->groups[i].meters[j], i >= from->apart, now);
        }
    }
}

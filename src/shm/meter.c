/* Charging, reading and settling meters, and making them. meter_layout.h draws the memory and says
 * in which order its words are read and written; meter_all.c does what concerns all meters. Any
 * thread of any process. */
#include "shm/meter_layout.h"

#include <string.h>

/* How often a charge looks again when its meter went to another key meanwhile. */
#define TRIES 8

/* How far the clocks of threads may be apart: each read it at the beginning of its request. */
#define CLOCK_SLACK_NS UINT64_C(1000000000)

typedef enum try_e { TRY_GONE, TRY_REFUSED, TRY_CHARGED } try_e;

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

la_meter_group_t *la_meter_group(const la_meters_t *meters, const la_meter_key_t *key, int apart)
{
    uint64_t count = apart ? meters->count - meters->apart : meters->apart;

    return &meters->groups[(apart ? meters->apart : 0) + key->tag[1] % count];
}

static la_meter_t *find(const la_meters_t *meters, const la_meter_key_t *key, int apart)
{
    la_meter_group_t *group = la_meter_group(meters, key, apart);

    for (unsigned i = 0; i < LA_METER_GROUP; i++) {
        if (la_meter_is_owned(&group->meters[i], key)) {
            return &group->meters[i];
        }
    }
    return NULL;
}

/* ---- making and forgetting, under the group's lock ---- */

void la_meter_clear(la_meter_t *meter)
{
    uint64_t number = la_meter_load(&meter->second) >> 48;
    uint64_t opened = la_meter_load(&meter->first) & 0xffff;

    /* Neither word keeps the value that a thread may have based a decision on. */
    number = (opened > number ? opened : number) + 1;
    la_meter_store(&meter->tag, 0);
    atomic_thread_fence(memory_order_seq_cst);
    la_meter_store(&meter->second, (number & 0xffff) << 48);
    la_meter_store(&meter->first, number & 0xffff);
    la_meter_store(&meter->alone, 0);
}

static void write_name(la_meter_t *meter, la_slice_t name)
{
    uint64_t words[LA_METER_WORDS] = {0};
    apr_size_t len = name.len < sizeof(words) ? name.len : sizeof(words);

    if (len > 0) {
        memcpy(words, name.data, len);
    }
    for (unsigned i = 0; i < LA_METER_WORDS; i++) {
        la_meter_store(&meter->name[i], words[i]);
    }
}

/* The meter that is free, or as new for the longest time, or ends soonest. */
static la_meter_t *choose(la_meters_t *meters, la_meter_group_t *group, const la_meter_now_t *now)
{
    la_meter_t *chosen = &group->meters[0];

    for (unsigned i = 0; i < LA_METER_GROUP; i++) {
        la_meter_t *meter = &group->meters[i];

        if (la_meter_load(&meter->tag) == 0) {
            return meter;
        }
        if (la_meter_load(&meter->ends) < la_meter_load(&chosen->ends)) {
            chosen = meter;
        }
    }
    if (la_meter_load(&chosen->ends) > (uint64_t)now->steady_us) {
        atomic_fetch_add_explicit(&meters->header->evictions, 1, memory_order_relaxed);
    }
    return chosen;
}

/* If the lock's holder is stopped it goes on without: what both may do then is lose a counter. */
static la_meter_t *make(la_meters_t *meters, const la_meter_key_t *key,
                        const la_meter_terms_t *terms, const la_meter_now_t *now)
{
    la_meter_group_t *group = la_meter_group(meters, key, terms->apart);
    la_lock_e locked = la_lock_take(meters->life, &group->lock, LA_METER_LOCK_US);
    la_meter_t *meter = find(meters, key, terms->apart);

    if (!meter) {
        meter = choose(meters, group, now);
        la_meter_clear(meter);
        la_meter_store(&meter->ends, (uint64_t)now->steady_us);
        la_meter_store(&meter->refusals, 0);
        la_meter_store(&meter->kind, terms->kind);
        write_name(meter, terms->name);
        la_meter_store(&meter->check, key->tag[1]);
        la_meter_store(&meter->tag, key->tag[0]);
    }
    if (locked != LA_LOCK_BUSY) {
        la_lock_release(&group->lock);
    }
    return meter;
}

la_meter_t *la_meter_get(la_meters_t *meters, const la_meter_key_t *key,
                         const la_meter_terms_t *terms, const la_meter_now_t *now)
{
    la_meter_t *meter = find(meters, key, terms->apart);

    return meter ? meter : make(meters, key, terms, now);
}

/* ---- rates ---- */

uint64_t la_meter_unit(const la_meter_terms_t *terms)
{
    uint64_t unit = (uint64_t)terms->period_us * 1000 / terms->limit;

    return unit > 0 ? unit : 1;
}

/* Nanoseconds of a full bucket. */
static uint64_t bucket_of(const la_meter_terms_t *terms)
{
    uint64_t unit = la_meter_unit(terms);

    return terms->burst > (UINT64_MAX >> 4) / unit ? UINT64_MAX >> 4 : terms->burst * unit;
}

/* What a bucket lacks until it is full: not below 0, and after a jump of the clock no more than
 * all. */
static uint64_t lack_of(uint64_t arrival, const la_meter_terms_t *terms, uint64_t now_ns)
{
    return arrival <= now_ns ? 0 : smaller(arrival - now_ns, bucket_of(terms));
}

la_meter_reading_t la_meter_reading_of_rate(const la_meter_terms_t *terms, uint64_t lack_ns)
{
    uint64_t unit = la_meter_unit(terms);
    uint64_t bucket = bucket_of(terms);
    uint64_t lack = smaller(lack_ns, bucket);
    la_meter_reading_t reading = {.left = (bucket - lack) / unit,
                                  .used = lack,
                                  .full_us = (apr_interval_time_t)(lack / 1000)};

    if (reading.left == 0) {
        reading.reset_us = (apr_interval_time_t)((lack + unit - bucket + 999) / 1000);
    }
    reading.retry_us = reading.reset_us;
    return reading;
}

static try_e try_rate(la_meter_t *meter, const la_meter_key_t *key, const la_meter_terms_t *terms,
                      const la_meter_now_t *now, la_meter_reading_t *reading)
{
    uint64_t now_ns = (uint64_t)now->steady_us * 1000;
    uint64_t unit = la_meter_unit(terms);
    uint64_t seen = la_meter_load(&meter->first);

    for (;;) {
        uint64_t lack = lack_of(seen, terms, now_ns);

        if (!la_meter_is_owned(meter, key)) {
            return TRY_GONE;
        }
        if (seen > now_ns + lack + CLOCK_SLACK_NS) {
            /* Of a clock that was put back: the bucket is empty, and fills from now on. */
            if (atomic_compare_exchange_strong(&meter->first, &seen, now_ns + lack)) {
                seen = now_ns + lack;
            }
            continue;
        }
        if (lack + unit > bucket_of(terms)) {
            *reading = la_meter_reading_of_rate(terms, lack);
            return TRY_REFUSED;
        }
        if (atomic_compare_exchange_strong(&meter->first, &seen, now_ns + lack + unit)) {
            la_meter_store(&meter->ends, (now_ns + lack + unit) / 1000);
            *reading = la_meter_reading_of_rate(terms, lack + unit);
            return TRY_CHARGED;
        }
    }
}

/* ---- windows ---- */

static uint64_t end_from(const la_meter_terms_t *terms, uint64_t at)
{
    uint64_t period = (uint64_t)terms->period_us / 1000;

    return terms->aligned ? at - at % period + period : at + period;
}

static apr_interval_time_t us_until(uint64_t end, uint64_t at)
{
    return (apr_interval_time_t)(end - at) * 1000;
}

/* Whether a window is over; one that ends later than any that begins now is one of a clock that was
 * put back, and ends then. */
static uint64_t current_end(uint64_t first, const la_meter_terms_t *terms, uint64_t at)
{
    uint64_t end = first >> LA_METER_NUMBER_BITS;

    return end <= at ? 0 : smaller(end, end_from(terms, at));
}

static int is_newer(uint64_t second, uint64_t first)
{
    return (int16_t)((uint16_t)(second >> 48) - (uint16_t)first) > 0;
}

/* A count of a window that is not open yet: the next one was opened after `first` was read, or, if
 * `first` is what it was, the numbers have run once around. */
static void catch_up(la_meter_t *meter, uint64_t first, uint64_t second)
{
    if (la_meter_load(&meter->first) == first) {
        atomic_compare_exchange_strong(&meter->second, &second, (first & 0xffff) << 48);
    }
}

la_meter_reading_t la_meter_reading_of_window(const la_meter_terms_t *terms, uint64_t used,
                                              apr_interval_time_t left_us)
{
    la_meter_reading_t reading = {.left = used < terms->limit ? terms->limit - used : 0,
                                  .reset_us = left_us,
                                  .used = used,
                                  .full_us = left_us};

    if (reading.left < terms->room) {
        reading.retry_us = left_us;
    }
    return reading;
}

uint64_t la_meter_open(la_meter_t *meter, const la_meter_key_t *key, const la_meter_terms_t *terms,
                       uint64_t at)
{
    uint64_t first = la_meter_load(&meter->first);

    for (;;) {
        uint64_t end = current_end(first, terms, at);
        uint64_t next = end == 0
                            ? end_from(terms, at) << LA_METER_NUMBER_BITS | ((first + 1) & 0xffff)
                            : end << LA_METER_NUMBER_BITS | (first & 0xffff);

        if (next == first || !la_meter_is_owned(meter, key) ||
            atomic_compare_exchange_strong(&meter->first, &first, next)) {
            return next;
        }
    }
}

static try_e try_window(la_meter_t *meter, const la_meter_key_t *key, const la_meter_terms_t *terms,
                        const la_meter_now_t *now, la_meter_receipt_t *receipt,
                        la_meter_reading_t *reading)
{
    uint64_t at = la_meter_ms(terms, now);

    for (;;) {
        uint64_t first = la_meter_load(&meter->first);
        uint64_t second = la_meter_load(&meter->second);
        uint64_t end = current_end(first, terms, at);
        uint64_t used = la_meter_used(first, second);

        if (!la_meter_is_owned(meter, key)) {
            return TRY_GONE;
        }
        if (is_newer(second, first)) {
            catch_up(meter, first, second);
            continue;
        }
        if (end == 0 || end != first >> LA_METER_NUMBER_BITS) {
            la_meter_open(meter, key, terms, at);
            continue;
        }
        if (terms->room > terms->limit || used > terms->limit - terms->room) {
            *reading = la_meter_reading_of_window(terms, used, us_until(end, at));
            return TRY_REFUSED;
        }
        used = smaller(used + terms->cost, LA_METER_MOST);
        if (atomic_compare_exchange_strong(&meter->second, &second,
                                           (first & 0xffff) << 48 | used)) {
            receipt->serial = (uint16_t)first;
            la_meter_store(&meter->ends, (uint64_t)now->steady_us + (end - at) * 1000);
            *reading = la_meter_reading_of_window(terms, used, us_until(end, at));
            return TRY_CHARGED;
        }
    }
}

/* ---- what was charged alone ---- */

void la_meter_change_alone(la_meter_t *meter, uint16_t number, int64_t change)
{
    uint64_t seen = la_meter_load(&meter->alone);
    uint64_t next;

    do {
        int64_t before = (uint16_t)(seen >> 48) == number ? (int64_t)(seen & LA_METER_MOST) : 0;
        int64_t after = before + change < 0 ? 0 : before + change;

        next = (uint64_t)number << 48 | smaller((uint64_t)after, LA_METER_MOST);
    } while (!atomic_compare_exchange_strong(&meter->alone, &seen, next));
}

static void note_alone(la_meter_t *meter, const la_meter_receipt_t *receipt)
{
    if (receipt->is_rate) {
        la_meter_store(&meter->alone, 1);
    } else {
        la_meter_change_alone(meter, receipt->serial, (int64_t)receipt->amount);
    }
}

uint64_t la_meter_take_alone(la_meters_t *meters, const la_meter_key_t *key,
                             const la_meter_terms_t *terms, const la_meter_now_t *now)
{
    la_meter_t *meter = find(meters, key, terms->apart);
    uint64_t taken = meter && la_meter_load(&meter->alone) ? atomic_exchange(&meter->alone, 0) : 0;
    uint64_t first = meter ? la_meter_load(&meter->first) : 0;

    if (terms->burst > 0) {
        return taken != 0;
    }
    return current_end(first, terms, la_meter_ms(terms, now)) ? la_meter_used(first, taken) : 0;
}

void la_meter_return_alone(la_meters_t *meters, const la_meter_key_t *key,
                           const la_meter_terms_t *terms, uint64_t alone)
{
    la_meter_t *meter = alone > 0 ? find(meters, key, terms->apart) : NULL;

    if (meter) {
        note_alone(meter, &(la_meter_receipt_t){.is_rate = terms->burst > 0,
                                                .serial = (uint16_t)la_meter_load(&meter->first),
                                                .amount = alone});
    }
}

/* ---- charging ---- */

la_meter_e la_meter_charge(la_meters_t *meters, const la_meter_key_t *key,
                           const la_meter_terms_t *terms, const la_meter_now_t *now,
                           la_meter_receipt_t *receipt, la_meter_reading_t *reading)
{
    *receipt =
        (la_meter_receipt_t){.key = *key,
                             .is_rate = terms->burst > 0,
                             .is_alone = terms->is_alone,
                             .amount = terms->burst > 0 ? la_meter_unit(terms) : terms->cost};
    *reading = (la_meter_reading_t){0};
    for (int i = 0; i < TRIES; i++) {
        la_meter_t *meter = la_meter_get(meters, key, terms, now);

        la_meter_store(&meter->limit, terms->burst > 0 ? terms->burst : terms->limit);
        la_meter_store(&meter->unit, terms->burst > 0 ? la_meter_unit(terms) : 0);
        switch (terms->burst > 0 ? try_rate(meter, key, terms, now, reading)
                                 : try_window(meter, key, terms, now, receipt, reading)) {
        case TRY_GONE:
            break;
        case TRY_REFUSED:
            atomic_fetch_add_explicit(&meter->refusals, 1, memory_order_relaxed);
            return LA_METER_REFUSED;
        case TRY_CHARGED:
            receipt->place = (uint64_t)((char *)meter - (char *)meters->groups) + 1;
            if (receipt->is_alone) {
                note_alone(meter, receipt);
            }
            return LA_METER_CHARGED;
        }
    }
    return LA_METER_FAILED;
}

void la_meter_count_refusal(la_meters_t *meters, const la_meter_key_t *key, int apart)
{
    la_meter_t *meter = find(meters, key, apart);

    if (meter) {
        atomic_fetch_add_explicit(&meter->refusals, 1, memory_order_relaxed);
    }
}

void la_meter_read(const la_meters_t *meters, const la_meter_key_t *key,
                   const la_meter_terms_t *terms, const la_meter_now_t *now,
                   la_meter_reading_t *reading)
{
    const la_meter_t *meter = find(meters, key, terms->apart);
    uint64_t first = meter ? la_meter_load(&meter->first) : 0;
    uint64_t second = meter ? la_meter_load(&meter->second) : 0;
    uint64_t at = la_meter_ms(terms, now);
    uint64_t end;

    if (terms->burst > 0) {
        *reading =
            la_meter_reading_of_rate(terms, lack_of(first, terms, (uint64_t)now->steady_us * 1000));
        return;
    }
    end = current_end(first, terms, at);
    *reading = la_meter_reading_of_window(terms, end ? la_meter_used(first, second) : 0,
                                          us_until(end ? end : end_from(terms, at), at));
}

/* ---- afterwards ---- */

static void give_back_rate(la_meter_t *meter, const la_meter_receipt_t *receipt)
{
    uint64_t seen = la_meter_load(&meter->first);

    while (la_meter_is_owned(meter, &receipt->key) && seen > receipt->amount &&
           !atomic_compare_exchange_strong(&meter->first, &seen, seen - receipt->amount)) {}
}

static void settle_window(la_meter_t *meter, const la_meter_receipt_t *receipt, uint64_t amount)
{
    uint64_t seen = la_meter_load(&meter->second);
    uint64_t next;

    do {
        uint64_t others =
            (seen & LA_METER_MOST) > receipt->amount ? (seen & LA_METER_MOST) - receipt->amount : 0;

        if ((uint16_t)(seen >> 48) != receipt->serial || !la_meter_is_owned(meter, &receipt->key)) {
            return;
        }
        next = (seen & ~LA_METER_MOST) |
               smaller(others + smaller(amount, LA_METER_MOST), LA_METER_MOST);
    } while (!atomic_compare_exchange_strong(&meter->second, &seen, next));
    if (receipt->is_alone) {
        la_meter_change_alone(meter, receipt->serial,
                              (int64_t)smaller(amount, LA_METER_MOST) - (int64_t)receipt->amount);
    }
}

void la_meter_settle(la_meters_t *meters, la_meter_receipt_t *receipt, uint64_t amount)
{
    la_meter_t *meter = (la_meter_t *)(void *)((char *)meters->groups + receipt->place - 1);

    if (receipt->place == 0) {
        return;
    }
    if (!receipt->is_rate) {
        settle_window(meter, receipt, amount);
    } else if (amount == 0) {
        give_back_rate(meter, receipt);
    }
    receipt->place = 0;
}

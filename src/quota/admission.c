/* Charges items one after another, and gives back what was charged as soon as one has no room. In
 * request threads. */
#include "quota/admission.h"

#include <string.h>

/* When a request that found too many at once may try again. */
#define CONCURRENT_RETRY_US APR_USEC_PER_SEC

static void label_permit(const la_quota_item_t *item, const la_quota_memory_t *memory)
{
    la_permit_entry_t entry = {
        .mark = (uint32_t)item->key.tag[0] | 1, .kind = item->terms.kind, .limit = item->number};

    memcpy(entry.name, item->name.data,
           item->name.len < LA_PERMIT_NAME_BYTES ? item->name.len : LA_PERMIT_NAME_BYTES);
    la_permits_label(&memory->permits, item->permit, &entry);
}

static la_meter_e charge_permit(la_quota_item_t *item, const la_quota_memory_t *memory)
{
    switch (la_permits_take(&memory->permits, (uint32_t)item->key.tag[0] | 1, item->number,
                            &item->permit)) {
    case LA_PERMITS_FULL:
        return LA_METER_FAILED;
    case LA_PERMITS_REFUSED:
        item->reading.retry_us = CONCURRENT_RETRY_US;
        return LA_METER_REFUSED;
    case LA_PERMITS_TAKEN:
        item->has_permit = 1;
        label_permit(item, memory);
        return LA_METER_CHARGED;
    }
    return LA_METER_FAILED;
}

static la_meter_e charge_here(la_quota_item_t *item, const la_quota_memory_t *memory,
                              const la_meter_now_t *now)
{
    return item->limit->kind == LA_LIMIT_CONCURRENT
               ? charge_permit(item, memory)
               : la_meter_charge(memory->meters, &item->key, &item->terms, now, &item->receipt,
                                 &item->reading);
}

void la_admission_leave(la_admission_t *admission, const la_quota_memory_t *memory)
{
    for (int i = 0; i < admission->count; i++) {
        la_quota_item_t *item = &admission->items[i];

        if (item->has_permit) {
            la_permits_leave(&memory->permits, (uint32_t)item->key.tag[0] | 1, item->permit);
            item->has_permit = 0;
        }
    }
}

/* Gives all of it back, and looks which limit will refuse for the longest time. */
static void give_back(la_admission_t *admission, const la_quota_memory_t *memory,
                      const la_meter_now_t *now)
{
    la_admission_leave(admission, memory);
    for (int i = 0; i < admission->count; i++) {
        la_meter_settle(memory->meters, &admission->items[i].receipt, 0);
    }
    for (int i = 0; i < admission->count; i++) {
        la_quota_item_t *item = &admission->items[i];

        if (item->limit->kind != LA_LIMIT_CONCURRENT && !item->is_told && !item->is_ignored) {
            la_meter_read(memory->meters, &item->key, &item->terms, now, &item->reading);
        }
        if (!item->is_ignored && admission->refused &&
            item->reading.retry_us > admission->refused->reading.retry_us) {
            admission->refused = item;
        }
    }
}

static la_admission_e refuse(la_admission_t *admission, const la_quota_item_t *item,
                             const la_quota_memory_t *memory, const la_meter_now_t *now)
{
    admission->refused = item;
    give_back(admission, memory, now);
    if (!item) {
        return LA_ADMISSION_FAILED;
    }
    la_tally_add(memory->refusals, admission->refused->terms.kind);
    return LA_ADMISSION_REFUSED;
}

static la_admission_e charge_all(la_admission_t *admission, const la_quota_memory_t *memory,
                                 const la_meter_now_t *now)
{
    for (int i = 0; i < admission->count; i++) {
        la_quota_item_t *item = &admission->items[i];

        if (item->is_remote || item->is_ignored || item->has_permit || item->receipt.place) {
            continue;
        }
        switch (charge_here(item, memory, now)) {
        case LA_METER_CHARGED:
            break;
        case LA_METER_REFUSED:
            return refuse(admission, item, memory, now);
        case LA_METER_FAILED:
            return refuse(admission, NULL, memory, now);
        }
    }
    return LA_ADMISSION_ADMITTED;
}

static int mark_remote(la_admission_t *admission, const la_quota_store_t *store)
{
    int marked = 0;

    for (int i = 0; i < admission->count; i++) {
        la_quota_item_t *item = &admission->items[i];

        item->is_remote = store && item->quota->shared && item->limit->kind != LA_LIMIT_CONCURRENT;
        marked += item->is_remote;
    }
    return marked;
}

/* What this machine goes on from if Redis goes away or loses it. */
static void remember(la_admission_t *admission, const la_quota_memory_t *memory,
                     const la_meter_now_t *now, int is_charged)
{
    for (int i = 0; i < admission->count; i++) {
        la_quota_item_t *item = &admission->items[i];

        if (item->is_remote) {
            la_meter_receipt_t receipt =
                la_meter_set(memory->meters, &item->key, &item->terms, now, &item->reading);

            if (is_charged) {
                item->receipt = receipt;
            }
        }
    }
}

/* Redis does not answer: each quota says what becomes of the request then. Returns 0 when one says
 * that it is refused. */
static int go_on_alone(la_admission_t *admission)
{
    int goes_on = 1;

    for (int i = 0; i < admission->count; i++) {
        la_quota_item_t *item = &admission->items[i];

        if (!item->is_remote) {
            continue;
        }
        item->is_remote = 0;
        item->is_told = 0;
        item->terms.is_alone = item->quota->outage == LA_QUOTA_OUTAGE_LOCAL;
        item->is_ignored = !item->terms.is_alone;
        goes_on &= item->quota->outage != LA_QUOTA_OUTAGE_DENY;
    }
    return goes_on;
}

la_admission_e la_admission_ask(la_admission_t *admission, const la_quota_memory_t *memory,
                                const la_quota_store_t *store, const la_meter_now_t *now,
                                apr_pool_t *pool)
{
    int is_shared = mark_remote(admission, store);
    la_admission_e result = charge_all(admission, memory, now);
    const la_quota_item_t *item;
    int refused = -1;

    if (result != LA_ADMISSION_ADMITTED || !is_shared) {
        return result;
    }
    if (la_quota_store_charge(store, memory, now, admission, &refused, pool)) {
        remember(admission, memory, now, refused < 0);
        if (refused < 0) {
            return LA_ADMISSION_ADMITTED;
        }
        item = &admission->items[refused];
        la_meter_count_refusal(memory->meters, &item->key, item->terms.apart);
        return refuse(admission, item, memory, now);
    }
    return go_on_alone(admission) ? charge_all(admission, memory, now)
                                  : refuse(admission, NULL, memory, now);
}

static uint64_t tokens_of(const la_quota_item_t *item, const la_usage_t *usage)
{
    uint64_t tokens = item->limit->tokens == LA_TOKENS_INPUT    ? usage->input
                      : item->limit->tokens == LA_TOKENS_OUTPUT ? usage->output
                                                                : usage->total;

    if (usage->source == LA_USAGE_NONE) {
        return 0;
    }
    return usage->source == LA_USAGE_ESTIMATE && tokens < item->terms.cost ? item->terms.cost
                                                                           : tokens;
}

void la_admission_settle(la_admission_t *admission, const la_quota_memory_t *memory,
                         const la_quota_store_t *store, const la_usage_t *usage, apr_pool_t *pool)
{
    uint64_t *amounts = apr_pcalloc(pool, sizeof(*amounts) * (apr_size_t)(admission->count + 1));
    int differs = 0;

    for (int i = 0; i < admission->count; i++) {
        la_quota_item_t *item = &admission->items[i];

        if (item->limit->kind == LA_LIMIT_TOKENS) {
            amounts[i] = tokens_of(item, usage);
            differs |= item->is_remote && amounts[i] != item->terms.cost;
            la_meter_settle(memory->meters, &item->receipt, amounts[i]);
        }
    }
    /* Here first: an answer of Redis that knows of it already must not be settled again here. */
    if (!differs || la_quota_store_settle(store, admission, amounts, pool)) {
        return;
    }
    for (int i = 0; i < admission->count; i++) {
        const la_quota_item_t *item = &admission->items[i];

        if (item->is_remote && amounts[i] > item->terms.cost) {
            la_meter_return_alone(memory->meters, &item->key, &item->terms,
                                  amounts[i] - item->terms.cost);
        }
    }
}

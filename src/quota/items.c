/* Collects what a request is charged to. No state; any thread. */
#include "quota/items.h"

#include "base/hash.h"

#include <string.h>

#include <apr_strings.h>

/* Of a caller's values in one category, how many are charged. */
#define VALUES_MAX 16

void la_quota_seed(la_quota_t *quota, const uint64_t *points)
{
    for (int i = 0; i < quota->limits->nelts; i++) {
        la_limit_t *limit = &APR_ARRAY_IDX(quota->limits, i, la_limit_t);

        for (int j = 0; j < 2; j++) {
            limit->seeds[j] = la_hash_under(points[j], 0, la_slice_of(limit->identity));
        }
    }
}

la_meter_key_t la_admission_key(const la_quota_memory_t *memory, const la_limit_t *limit,
                                la_slice_t name, uint64_t *kind)
{
    la_meter_key_t key;

    *kind = limit->seeds[0] | 1; /* 0 means any */
    for (unsigned i = 0; i < 2; i++) {
        key.tag[i] = la_hash_under(memory->points[i], limit->seeds[i], name) |
                     (uint64_t)1 << 63; /* 0 means free */
    }
    return key;
}

/* A whole number above 0, as text, at most LA_METER_MOST; else 0. */
static uint64_t number_in(la_slice_t text)
{
    uint64_t number = 0;

    for (apr_size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)(text.data[i] - '0');

        if (digit > 9) {
            return 0;
        }
        number = number > (LA_METER_MOST - digit) / 10 ? LA_METER_MOST : number * 10 + digit;
    }
    return number;
}

/* N for this caller. */
static uint64_t number_of(la_admission_t *admission, const la_limit_t *limit,
                          const la_identity_t *identity, apr_pool_t *pool)
{
    apr_size_t category;
    uint64_t number = 0;

    if (!limit->from) {
        return (uint64_t)limit->number;
    }
    if (identity) {
        category = la_identity_find(identity, la_slice_of(limit->from));
        if (la_identity_value_count(identity, category) == 1) {
            number = number_in(la_identity_value(identity, category, 0));
        }
    }
    if (number == 0) {
        APR_ARRAY_PUSH(admission->strange, const char *) =
            apr_psprintf(pool, "%s: the caller's attribute %s is not one whole number above 0",
                         limit->name, limit->from);
        return (uint64_t)limit->number;
    }
    return number;
}

/* What a meter is asked; of Concurrent only the name and the kind are used. */
static la_meter_terms_t terms_of(const la_quota_item_t *item, uint64_t reserve, uint64_t kind)
{
    const la_limit_t *limit = item->limit;
    la_meter_terms_t terms = {.limit = item->number,
                              .period_us = limit->period_us,
                              .aligned = limit->aligned,
                              .room = 1,
                              .cost = 1,
                              .kind = kind,
                              .apart = item->quota->by == LA_QUOTA_BY_CLIENT_IP,
                              .name = item->name};

    if (limit->kind == LA_LIMIT_RATE) {
        terms.burst = limit->burst > 0 ? (uint64_t)limit->burst : item->number;
    } else if (limit->kind == LA_LIMIT_TOKENS) {
        terms.cost = (uint64_t)item->quota->reserve;
        terms.cost = terms.cost > 0 && reserve > 0 ? reserve : terms.cost;
        terms.cost = terms.cost < item->number ? terms.cost : item->number;
        terms.room = terms.cost > 0 ? terms.cost : 1;
    }
    return terms;
}

/* The caller's values of By attribute; those of callers without one is "". Returns how many. */
static int values_of(const la_identity_t *identity, const char *category, la_slice_t *names)
{
    apr_size_t index = la_identity_find(identity, la_slice_of(category));
    apr_size_t count = la_identity_value_count(identity, index);

    count = count < VALUES_MAX ? count : VALUES_MAX;
    for (apr_size_t i = 0; i < count; i++) {
        names[i] = la_identity_value(identity, index, i);
    }
    return count > 0 ? (int)count : 1;
}

/* The caller's names for a quota. Returns how many; 0 where the quota does not hold for nobody. */
static int names_of(const la_quota_t *quota, const la_quota_caller_t *caller, la_slice_t *names)
{
    names[0] = LA_SLICE("");
    if (!caller->identity && quota->by != LA_QUOTA_BY_CLIENT_IP && quota->by != LA_QUOTA_BY_ALL) {
        return 0;
    }
    switch (quota->by) {
    case LA_QUOTA_BY_PRINCIPAL:
        names[0] = caller->principal;
        return 1;
    case LA_QUOTA_BY_CLIENT_ID:
        names[0] = caller->client_id;
        return 1;
    case LA_QUOTA_BY_PROVIDER:
        names[0] = caller->provider;
        return 1;
    case LA_QUOTA_BY_CLIENT_IP:
        names[0] = caller->address;
        return 1;
    case LA_QUOTA_BY_ALL:
        return 1;
    case LA_QUOTA_BY_ATTRIBUTE:
        return values_of(caller->identity, quota->category, names);
    }
    return 0;
}

static void add_items(apr_array_header_t *items, la_admission_t *admission,
                      const la_quota_memory_t *memory, const la_quota_t *quota,
                      const la_quota_caller_t *caller, uint64_t reserve)
{
    la_slice_t names[VALUES_MAX];
    int count = names_of(quota, caller, names);

    for (int i = 0; i < quota->limits->nelts; i++) {
        const la_limit_t *limit = &APR_ARRAY_IDX(quota->limits, i, la_limit_t);
        uint64_t number = number_of(admission, limit, caller->identity, items->pool);

        for (int j = 0; j < count; j++) {
            la_quota_item_t *item = apr_array_push(items);
            uint64_t kind;

            *item = (la_quota_item_t){
                .quota = quota, .limit = limit, .name = names[j], .number = number};
            item->key = la_admission_key(memory, limit, names[j], &kind);
            item->terms = terms_of(item, reserve, kind);
        }
    }
}

la_admission_t *la_admission_make(apr_pool_t *pool, const la_quota_memory_t *memory,
                                  const apr_array_header_t *quotas, const la_quota_caller_t *caller,
                                  uint64_t reserve)
{
    la_admission_t *admission = apr_pcalloc(pool, sizeof(*admission));
    apr_array_header_t *items = apr_array_make(pool, 4, sizeof(la_quota_item_t));

    admission->strange = apr_array_make(pool, 1, sizeof(const char *));
    for (int i = 0; i < quotas->nelts; i++) {
        add_items(items, admission, memory, APR_ARRAY_IDX(quotas, i, const la_quota_t *), caller,
                  reserve);
    }
    admission->items = (la_quota_item_t *)(void *)items->elts;
    admission->count = items->nelts;
    return admission;
}

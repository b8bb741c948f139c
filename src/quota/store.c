/* Counters of quotas in Redis: the scripts, their arguments and their answers.
 *
 * A counter that Redis has lost (it was emptied, or another took its place) goes on from what this
 * machine saw last, which comes with each charge; if another machine saw more of the same window,
 * from there. So a counter is never deleted while somebody may remember it: forgetting sets it to 0
 * and ends its window two seconds earlier, which makes it another one. What this machine charged
 * alone while Redis was away comes with the first charge afterwards, and is added. Any thread. */
#include "quota/store.h"

#include "base/units.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

/* Arguments of one counter. */
#define ARGUMENTS 9

/* Names that one SCAN is asked for. It may answer with more, but not with so many more that the
 * answer is too large (redis_reply.h). */
#define SCAN_COUNT 200

/* ARGV of a counter: N, burst (0: a window), period in microseconds, aligned, room, cost, what this
 * machine saw last: used (of a rate microseconds until the bucket is full), microseconds left, and
 * what it charged alone (of a rate 1). Answer: the counter that refuses (0: none), then for each
 * counter used and end of its window, or microseconds until its bucket is full and 0. */
static const char charge_script[] =
    "local t = redis.call('TIME') "
    "local now = t[1] * 1000000 + t[2] "
    "local refused, longest, state = 0, -1, {} "
    "for i = 1, #KEYS do "
    "  local a = {} "
    "  for j = 1, 9 do a[j] = tonumber(ARGV[(i - 1) * 9 + j]) end "
    "  local limit, burst, period, aligned, room, cost, used, left, alone = unpack(a) "
    "  local wait "
    "  if burst > 0 then "
    "    local unit = math.max(1, period / limit) "
    "    local bucket = unit * burst "
    "    local arrival = tonumber(redis.call('GET', KEYS[i]) or now + used) or 0 "
    "    if alone > 0 then arrival = math.max(arrival, now + used) end "
    "    local lack = math.min(math.max(arrival - now, 0), bucket) "
    "    wait = lack + unit - bucket "
    "    state[i] = {lack, 0, unit, alone} "
    "  else "
    "    local v = redis.call('HMGET', KEYS[i], 'e', 'u') "
    "    local stop = aligned == 1 and now - now % period + period or now + period "
    "    local e = tonumber(v[1] or (aligned == 1 and stop or now + left)) "
    "    local u = tonumber(v[2] or used) "
    "    if not e or not u or e <= now then e, u = stop, 0 end "
    "    if e > stop then e = stop end "
    "    local told = alone "
    "    if v[2] and cost <= 1 and used - alone > u and "
    "      math.abs(now + left - e) < math.min(1000000, period / 4) then "
    "      u, told = used - alone, 1 "
    "    end "
    "    if v[2] then u = u + alone end "
    "    wait = u + room > limit and e - now or 0 "
    "    state[i] = {u, e, cost, told} "
    "  end "
    "  if wait > 0 and wait > longest then refused, longest = i, wait end "
    "end "
    "local answer = {refused} "
    "for i = 1, #KEYS do "
    "  local s = state[i] "
    "  if refused == 0 then s[1] = s[1] + s[3] end "
    "  if refused == 0 or s[4] > 0 then "
    "    if s[2] == 0 then "
    "      redis.call('SET', KEYS[i], string.format('%.0f', now + s[1]), "
    "        'PX', string.format('%.0f', s[1] / 1000 + 1)) "
    "    else "
    "      redis.call('HSET', KEYS[i], 'e', string.format('%.0f', s[2]), "
    "        'u', string.format('%.0f', s[1])) "
    "      redis.call('PEXPIRE', KEYS[i], string.format('%.0f', (s[2] - now) / 1000 + 1)) "
    "    end "
    "  end "
    "  answer[#answer + 1] = string.format('%.0f', s[1]) "
    "  answer[#answer + 1] = string.format('%.0f', s[2] == 0 and 0 or s[2] - now) "
    "  answer[#answer + 1] = string.format('%.0f', s[2]) "
    "end "
    "return answer";

/* ARGV of a counter: the end of the window that was charged, and what is added. */
static const char settle_script[] =
    "for i = 1, #KEYS do "
    "  local v = redis.call('HMGET', KEYS[i], 'e', 'u') "
    "  if v[1] == ARGV[i * 2 - 1] and v[2] then "
    "    local u = math.max(0, tonumber(v[2]) + tonumber(ARGV[i * 2])) "
    "    redis.call('HSET', KEYS[i], 'u', string.format('%.0f', u)) "
    "  end "
    "end "
    "return 0";

/* KEYS: counters. Those that are there begin again, and stay for as long as a machine may remember
 * them. */
static const char forget_script[] =
    "for i = 1, #KEYS do "
    "  local kind = redis.call('TYPE', KEYS[i]).ok "
    "  if kind == 'hash' then "
    "    local e = tonumber(redis.call('HGET', KEYS[i], 'e')) or 0 "
    "    redis.call('HSET', KEYS[i], 'u', '0', 'e', string.format('%.0f', e - 2000000)) "
    "  end "
    "  if kind == 'string' then "
    "    redis.call('SET', KEYS[i], '0', 'PX', math.max(1, redis.call('PTTL', KEYS[i]))) "
    "  end "
    "end "
    "return #KEYS";

/* ---- a call ---- */

/* A script call that is being put together: EVAL, script, number of keys, keys, arguments. */
typedef struct call_t {
    la_slice_t *words;
    apr_size_t count;
    apr_pool_t *pool;
} call_t;

static call_t make_call(apr_pool_t *pool, const char *script, int keys, int arguments)
{
    call_t call = {
        apr_palloc(pool, sizeof(la_slice_t) * (3 + (apr_size_t)keys + (apr_size_t)arguments)), 3,
        pool};

    call.words[0] = LA_SLICE("EVAL");
    call.words[1] = la_slice_of(script);
    call.words[2] = la_slice_of(apr_itoa(pool, keys));
    return call;
}

static void add_number(call_t *call, apr_int64_t number)
{
    char *digits = apr_palloc(call->pool, LA_UNITS_DIGITS + 1);
    char *at = digits;
    uint64_t size = (uint64_t)number;

    if (number < 0) {
        *at++ = '-';
        size = 0 - size;
    }
    at = la_units_write(at, size);
    call->words[call->count++] = (la_slice_t){digits, (apr_size_t)(at - digits)};
}

static const char *name_of(const la_quota_store_t *store, const la_limit_t *limit,
                           const la_slice_t *name, apr_pool_t *pool)
{
    la_slice_t counter[2] = {la_slice_of(limit->identity), *name};

    return store->name(la_slice_of(limit->quota), counter, pool);
}

static int count_remote(const la_admission_t *admission)
{
    int count = 0;

    for (int i = 0; i < admission->count; i++) {
        count += admission->items[i].is_remote;
    }
    return count;
}

/* Adds the names of all items that are counted in Redis. Returns 0 when they cannot be made. */
static int add_names(call_t *call, const la_quota_store_t *store, const la_admission_t *admission)
{
    for (int i = 0; i < admission->count; i++) {
        const la_quota_item_t *item = &admission->items[i];

        if (item->is_remote) {
            const char *name = name_of(store, item->limit, &item->name, call->pool);

            if (!name) {
                return 0;
            }
            call->words[call->count++] = la_slice_of(name);
        }
    }
    return 1;
}

/* ---- charging ---- */

static void add_terms(call_t *call, const la_quota_item_t *item, const la_meter_reading_t *seen,
                      uint64_t alone)
{
    const la_meter_terms_t *terms = &item->terms;
    int is_rate = terms->burst > 0;

    add_number(call, (apr_int64_t)terms->limit);
    add_number(call, (apr_int64_t)terms->burst);
    add_number(call, terms->period_us);
    add_number(call, terms->aligned);
    add_number(call, (apr_int64_t)terms->room);
    add_number(call, (apr_int64_t)terms->cost);
    add_number(call, (apr_int64_t)(is_rate ? seen->used / 1000 : seen->used));
    add_number(call, seen->full_us);
    add_number(call, (apr_int64_t)alone);
}

static int read_number(const la_redis_answer_t *answer, apr_int64_t *number)
{
    char *end;

    if (answer->kind == LA_REDIS_INTEGER) {
        *number = answer->integer;
        return 1;
    }
    if (answer->kind != LA_REDIS_TEXT || answer->text.len == 0) {
        return 0;
    }
    *number = strtoll(answer->text.data, &end, 10);
    return end == answer->text.data + answer->text.len && *number >= 0;
}

/* What the answer says of one counter. */
static void set_reading(la_quota_item_t *item, apr_int64_t used, apr_int64_t left_us,
                        apr_int64_t window)
{
    item->window = window;
    item->is_told = 1;
    if (item->terms.burst > 0) {
        item->reading = la_meter_reading_of_rate(&item->terms, (uint64_t)used * 1000);
    } else {
        item->reading = la_meter_reading_of_window(&item->terms, (uint64_t)used, left_us);
    }
}

/* Returns 0 when the answer is of another kind. */
static int read_answer(const la_redis_answer_t *answer, la_admission_t *admission, int count,
                       int *refused)
{
    apr_int64_t index;
    apr_size_t at = 1;

    if (answer->kind != LA_REDIS_LIST || answer->count != 1 + 3 * (apr_size_t)count ||
        !read_number(&answer->items[0], &index) || index > count) {
        return 0;
    }
    *refused = -1;
    for (int i = 0; i < admission->count; i++) {
        la_quota_item_t *item = &admission->items[i];
        apr_int64_t numbers[3];

        if (!item->is_remote) {
            continue;
        }
        for (int j = 0; j < 3; j++) {
            if (!read_number(&answer->items[at++], &numbers[j])) {
                return 0;
            }
        }
        set_reading(item, numbers[0], numbers[1], numbers[2]);
        if (index > 0 && --index == 0) {
            *refused = i;
        }
    }
    return 1;
}

/* Adds what each counter is asked. alone: what each item was charged alone, from its meter. */
static void add_all_terms(call_t *call, const la_quota_memory_t *memory, const la_meter_now_t *now,
                          const la_admission_t *admission, uint64_t *alone)
{
    for (int i = 0; i < admission->count; i++) {
        const la_quota_item_t *item = &admission->items[i];
        la_meter_reading_t seen;

        if (item->is_remote) {
            la_meter_read(memory->meters, &item->key, &item->terms, now, &seen);
            alone[i] = la_meter_take_alone(memory->meters, &item->key, &item->terms, now);
            add_terms(call, item, &seen, alone[i]);
        }
    }
}

int la_quota_store_charge(const la_quota_store_t *store, const la_quota_memory_t *memory,
                          const la_meter_now_t *now, la_admission_t *admission, int *refused,
                          apr_pool_t *pool)
{
    int count = count_remote(admission);
    uint64_t *alone = apr_pcalloc(pool, sizeof(*alone) * ((apr_size_t)admission->count + 1));
    call_t call = make_call(pool, charge_script, count, ARGUMENTS * count);
    la_redis_answer_t answer;

    if (!add_names(&call, store, admission)) {
        return 0;
    }
    add_all_terms(&call, memory, now, admission, alone);
    if (store->command(call.count, call.words, pool, &answer) == LA_REDIS_OK &&
        read_answer(&answer, admission, count, refused)) {
        return 1;
    }
    for (int i = 0; i < admission->count; i++) {
        const la_quota_item_t *item = &admission->items[i];

        la_meter_return_alone(memory->meters, &item->key, &item->terms, alone[i]);
    }
    return 0;
}

/* ---- afterwards ---- */

int la_quota_store_settle(const la_quota_store_t *store, const la_admission_t *admission,
                          const uint64_t *amounts, apr_pool_t *pool)
{
    int count = count_remote(admission);
    call_t call = make_call(pool, settle_script, count, 2 * count);
    la_redis_answer_t answer;

    if (!add_names(&call, store, admission)) {
        return 0;
    }
    for (int i = 0; i < admission->count; i++) {
        const la_quota_item_t *item = &admission->items[i];
        uint64_t amount = amounts[i] < LA_METER_MOST ? amounts[i] : LA_METER_MOST;

        if (item->is_remote) {
            add_number(&call, item->limit->kind == LA_LIMIT_TOKENS ? item->window : -1);
            add_number(&call, (apr_int64_t)amount - (apr_int64_t)item->terms.cost);
        }
    }
    return store->command(call.count, call.words, pool, &answer) == LA_REDIS_OK;
}

static int forget_names(const la_quota_store_t *store, const la_slice_t *names, apr_size_t count,
                        apr_pool_t *pool)
{
    call_t call = make_call(pool, forget_script, (int)count, 0);
    la_redis_answer_t answer;

    if (count == 0) {
        return 1;
    }
    memcpy(call.words + call.count, names, count * sizeof(*names));
    return store->command(call.count + count, call.words, pool, &answer) == LA_REDIS_OK;
}

/* Walks over all names that fit the pattern. */
static int forget_pattern(const la_quota_store_t *store, const char *pattern, apr_pool_t *pool)
{
    la_slice_t cursor = LA_SLICE("0");
    apr_pool_t *scratch;
    int is_done = 0;
    int holds = 1;

    apr_pool_create(&scratch, pool);
    while (holds && !is_done) {
        la_slice_t words[] = {LA_SLICE("SCAN"),  cursor,
                              LA_SLICE("MATCH"), la_slice_of(pattern),
                              LA_SLICE("COUNT"), LA_SLICE("200")};
        la_redis_answer_t answer;
        la_slice_t names[SCAN_COUNT];
        apr_size_t count = 0;

        holds = store->command(6, words, scratch, &answer) == LA_REDIS_OK &&
                answer.kind == LA_REDIS_LIST && answer.count == 2 &&
                answer.items[0].kind == LA_REDIS_TEXT && answer.items[1].kind == LA_REDIS_LIST;
        for (apr_size_t i = 0; holds && i < answer.items[1].count; i++) {
            names[count++] = answer.items[1].items[i].text;
            if (count == SCAN_COUNT || i + 1 == answer.items[1].count) {
                holds = forget_names(store, names, count, scratch);
                count = 0;
            }
        }
        if (holds) {
            is_done = la_slice_is(answer.items[0].text, "0");
            cursor = la_slice_of(
                apr_pstrmemdup(pool, answer.items[0].text.data, answer.items[0].text.len));
        }
        apr_pool_clear(scratch);
    }
    apr_pool_destroy(scratch);
    return holds;
}

/* Forgets in Redis: one name (of a limit), one quota, or all (both NULL). Returns 0 when Redis does
 * not answer. */
static int forget_there(const la_quota_store_t *store, const la_limit_t *limit,
                        const la_slice_t *name, const char *quota, apr_pool_t *pool)
{
    const char *text = limit && name ? name_of(store, limit, name, pool)
                                     : store->name(la_slice_of(quota), NULL, pool);
    la_slice_t word = la_slice_of(text);

    if (!text) {
        return 0;
    }
    return limit ? forget_names(store, &word, 1, pool) : forget_pattern(store, text, pool);
}

static uint64_t forget_here(const la_limit_t *limit, const la_slice_t *principal,
                            const la_quota_memory_t *memory)
{
    la_slice_t name = principal ? *principal : LA_SLICE("");
    uint64_t kind;
    la_meter_key_t key = la_admission_key(memory, limit, name, &kind);

    return la_meters_forget(memory->meters, principal ? &key : NULL, kind);
}

static int forget_quota(const la_quota_reset_t *reset, const la_quota_t *quota,
                        const la_quota_memory_t *memory, const la_quota_store_t *store,
                        apr_pool_t *pool, uint64_t *counters)
{
    int is_shared = store && quota->shared;
    int is_told = 1;

    for (int i = 0; i < quota->limits->nelts; i++) {
        const la_limit_t *limit = &APR_ARRAY_IDX(quota->limits, i, la_limit_t);

        *counters += memory ? forget_here(limit, reset->principal, memory) : 0;
        if (is_shared && (reset->principal || i == 0)) {
            is_told &= forget_there(store, reset->principal ? limit : NULL, reset->principal,
                                    limit->quota, pool);
        }
    }
    return is_told;
}

int la_quota_reset(const la_quota_reset_t *reset, const la_quota_memory_t *memory,
                   const la_quota_store_t *store, apr_pool_t *pool, uint64_t *counters)
{
    int is_told = 1;

    *counters = 0;
    if (!reset->quotas) {
        *counters = memory ? la_meters_forget(memory->meters, NULL, 0) : 0;
        return !store || forget_there(store, NULL, NULL, NULL, pool);
    }
    for (int i = 0; i < reset->quotas->nelts; i++) {
        is_told &= forget_quota(reset, APR_ARRAY_IDX(reset->quotas, i, const la_quota_t *), memory,
                                store, pool, counters);
    }
    return is_told;
}

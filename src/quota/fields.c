/* What a client is told of its quotas: header fields (draft-ietf-httpapi-ratelimit-headers, and the
 * x-ratelimit fields that SDKs read), and the message of a refusal. No state; any thread. */
#include "quota/fields.h"

#include "base/units.h"

#include <string.h>

#include <apr_strings.h>

/* Fields of one answer: two of the draft, three for requests, three for tokens, each with a value,
 * and the end. */
#define FIELDS_MAX (2 * 8 + 1)

static apr_int64_t seconds_of(apr_interval_time_t us)
{
    return us <= 0 ? 0 : (us + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC;
}

static int is_shown(const la_quota_item_t *item)
{
    return !item->is_ignored && item->limit->kind != LA_LIMIT_CONCURRENT;
}

/* Whether a leaves less than b; of equal ones, for longer. */
static int is_tighter(const la_quota_item_t *a, const la_quota_item_t *b)
{
    return a->reading.left != b->reading.left ? a->reading.left < b->reading.left
                                              : a->reading.reset_us > b->reading.reset_us;
}

/* What a limit allows at once, and in which time that comes back. */
static uint64_t most_of(const la_quota_item_t *item)
{
    return item->limit->kind == LA_LIMIT_RATE ? item->terms.burst : item->number;
}

static apr_int64_t window_of(const la_quota_item_t *item)
{
    double share = item->limit->kind == LA_LIMIT_RATE
                       ? (double)item->terms.burst / (double)item->terms.limit
                       : 1;
    double seconds = (double)item->limit->period_us / APR_USEC_PER_SEC * share;
    apr_int64_t whole = seconds < 1e15 ? (apr_int64_t)seconds : APR_INT64_C(1000000000000000);

    return (double)whole < seconds ? whole + 1 : whole;
}

/* Of the items of one limit (a caller's values), whether this one is the tightest. */
static int speaks_for_limit(const la_admission_t *admission, int index)
{
    const la_quota_item_t *item = &admission->items[index];

    for (int i = 0; i < admission->count; i++) {
        const la_quota_item_t *other = &admission->items[i];

        if (other->limit == item->limit && i != index &&
            (is_tighter(other, item) || (i < index && !is_tighter(item, other)))) {
            return 0;
        }
    }
    return is_shown(item);
}

static const char **add_field(const char **at, const char *name, const char *value)
{
    *at++ = name;
    *at++ = value;
    return at;
}

static char *put(char *at, const char *text)
{
    while (*text) {
        *at++ = *text++;
    }
    return at;
}

/* The name of an item of a list, quoted. */
static char *put_name(char *at, const char *list, const char *name)
{
    return put(put(put(at, at > list ? ", \"" : "\""), name), "\"");
}

static char *put_number(char *at, const char *text, uint64_t number)
{
    return la_units_write(put(at, text), number);
}

/* Bytes of an item beside its name. */
#define ITEM_BYTES (sizeof(", \"\";q=;w=") + 2 * (apr_size_t)LA_UNITS_DIGITS)

static const char **add_draft_fields(const la_admission_t *admission, apr_pool_t *pool,
                                     const char **fields)
{
    apr_size_t len = 1;
    char *policies;
    char *states;
    char *policy;
    char *state;

    for (int i = 0; i < admission->count; i++) {
        len += strlen(admission->items[i].limit->name) + ITEM_BYTES;
    }
    policy = policies = apr_palloc(pool, 2 * len);
    state = states = policies + len;
    for (int i = 0; i < admission->count; i++) {
        const la_quota_item_t *item = &admission->items[i];

        if (!speaks_for_limit(admission, i)) {
            continue;
        }
        policy = put_name(policy, policies, item->limit->name);
        policy = put_number(policy, ";q=", most_of(item));
        policy = put_number(policy, ";w=", (uint64_t)window_of(item));
        state = put_name(state, states, item->limit->name);
        state = put_number(state, ";r=", item->reading.left);
        state = put_number(state, ";t=", (uint64_t)seconds_of(item->reading.reset_us));
    }
    *policy = '\0';
    *state = '\0';
    return policy == policies
               ? fields
               : add_field(add_field(fields, "RateLimit-Policy", policies), "RateLimit", states);
}

/* The tightest of all limits on tokens, or on requests. */
static const la_quota_item_t *tightest(const la_admission_t *admission, int of_tokens)
{
    const la_quota_item_t *found = NULL;

    for (int i = 0; i < admission->count; i++) {
        const la_quota_item_t *item = &admission->items[i];

        if (is_shown(item) && (item->limit->kind == LA_LIMIT_TOKENS) == of_tokens &&
            (!found || is_tighter(item, found))) {
            found = item;
        }
    }
    return found;
}

static const char **add_number(const char **fields, const char *name, uint64_t number,
                               const char *unit, apr_pool_t *pool)
{
    char *value = apr_palloc(pool, LA_UNITS_DIGITS + 2);

    *put(la_units_write(value, number), unit) = '\0';
    return add_field(fields, name, value);
}

/* names: of the fields for the limit, what is left and the reset. */
static const char **add_sdk_fields(const la_quota_item_t *item, const char *const *names,
                                   apr_pool_t *pool, const char **fields)
{
    if (!item) {
        return fields;
    }
    fields = add_number(fields, names[0], most_of(item), "", pool);
    fields = add_number(fields, names[1], item->reading.left, "", pool);
    return add_number(fields, names[2], (uint64_t)seconds_of(item->reading.reset_us), "s", pool);
}

const char *const *la_admission_fields(const la_admission_t *admission, apr_pool_t *pool)
{
    static const char *const of_requests[] = {"x-ratelimit-limit-requests",
                                              "x-ratelimit-remaining-requests",
                                              "x-ratelimit-reset-requests"};
    static const char *const of_tokens[] = {
        "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"};
    const char **fields = apr_pcalloc(pool, sizeof(*fields) * FIELDS_MAX);
    const char **at = add_draft_fields(admission, pool, fields);

    at = add_sdk_fields(tightest(admission, 0), of_requests, pool, at);
    add_sdk_fields(tightest(admission, 1), of_tokens, pool, at);
    return fields;
}

const char *la_admission_message(const la_admission_t *admission, apr_pool_t *pool,
                                 apr_int64_t *seconds)
{
    const la_quota_item_t *item = admission->refused;

    *seconds = seconds_of(item->reading.retry_us);
    *seconds = *seconds > 0 ? *seconds : 1;
    if (item->limit->kind == LA_LIMIT_CONCURRENT) {
        return apr_psprintf(pool,
                            "Quota exceeded: %s allows %" APR_UINT64_T_FMT " requests at once",
                            item->quota->name, item->number);
    }
    return apr_psprintf(pool,
                        "Quota exceeded: %s allows %" APR_UINT64_T_FMT " %s per %s, try again in "
                        "%" APR_INT64_T_FMT " s",
                        item->quota->name, item->number,
                        item->limit->kind == LA_LIMIT_TOKENS ? "tokens" : "requests",
                        item->limit->period, *seconds);
}

/* What a client is told of its quotas: header fields (draft-ietf-httpapi-ratelimit-headers, and the
 * x-ratelimit fields that SDKs read), and the message of a refusal. No state; any thread. */
#include "quota/fields.h"

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

static const char **add_draft_fields(const la_admission_t *admission, apr_pool_t *pool,
                                     const char **at)
{
    const char *policy = NULL;
    const char *left = NULL;

    for (int i = 0; i < admission->count; i++) {
        const la_quota_item_t *item = &admission->items[i];
        const char *comma = policy ? ", " : "";

        if (!speaks_for_limit(admission, i)) {
            continue;
        }
        policy = apr_psprintf(pool, "%s%s\"%s\";q=%" APR_UINT64_T_FMT ";w=%" APR_INT64_T_FMT,
                              policy ? policy : "", comma, item->limit->name, most_of(item),
                              window_of(item));
        left = apr_psprintf(pool, "%s%s\"%s\";r=%" APR_UINT64_T_FMT ";t=%" APR_INT64_T_FMT,
                            left ? left : "", comma, item->limit->name, item->reading.left,
                            seconds_of(item->reading.reset_us));
    }
    return policy ? add_field(add_field(at, "RateLimit-Policy", policy), "RateLimit", left) : at;
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

static const char **add_sdk_fields(const la_quota_item_t *item, const char *what, apr_pool_t *pool,
                                   const char **at)
{
    if (!item) {
        return at;
    }
    at = add_field(at, apr_pstrcat(pool, "x-ratelimit-limit-", what, NULL),
                   apr_psprintf(pool, "%" APR_UINT64_T_FMT, most_of(item)));
    at = add_field(at, apr_pstrcat(pool, "x-ratelimit-remaining-", what, NULL),
                   apr_psprintf(pool, "%" APR_UINT64_T_FMT, item->reading.left));
    return add_field(
        at, apr_pstrcat(pool, "x-ratelimit-reset-", what, NULL),
        apr_psprintf(pool, "%" APR_INT64_T_FMT "s", seconds_of(item->reading.reset_us)));
}

const char *const *la_admission_fields(const la_admission_t *admission, apr_pool_t *pool)
{
    const char **fields = apr_pcalloc(pool, sizeof(*fields) * FIELDS_MAX);
    const char **at = add_draft_fields(admission, pool, fields);

    at = add_sdk_fields(tightest(admission, 0), "requests", pool, at);
    add_sdk_fields(tightest(admission, 1), "tokens", pool, at);
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

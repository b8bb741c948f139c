/* Reads the lines of a <LlamaAuthQuota> section. Runs while httpd reads its configuration. */
#include "quota/quota.h"

#include "base/units.h"

#include <string.h>
#include <strings.h>

#include <apr_lib.h>
#include <apr_strings.h>

#define PERIOD_MIN_US APR_USEC_PER_SEC

/* Limits of one quota: each has its items in a request. */
#define LIMITS_MAX 16

#define ATTRIBUTE_PREFIX "attribute:"

/* ---- words ---- */

/* The place of a word, in any case, among names that end with NULL; -1: it is none of them. */
static int place_of(const char *word, const char *const *names)
{
    for (int i = 0; names[i]; i++) {
        if (strcasecmp(word, names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static const char *const by_names[] = {"principal",      "client_id", "provider",
                                       ATTRIBUTE_PREFIX, /* and a category */
                                       "client_ip",      "all",       NULL};

static const char *category_of(const char *word)
{
    const char *category = word + strlen(ATTRIBUTE_PREFIX);

    return strncasecmp(word, ATTRIBUTE_PREFIX, strlen(ATTRIBUTE_PREFIX)) == 0 && *category
               ? category
               : NULL;
}

static const char *read_by(apr_pool_t *pool, la_quota_t *quota, const char *const *words)
{
    const char *category = category_of(words[0]);
    int place = category ? LA_QUOTA_BY_ATTRIBUTE : place_of(words[0], by_names);

    if (place >= 0 && (category || place != LA_QUOTA_BY_ATTRIBUTE)) {
        quota->by = (la_quota_by_e)place;
        quota->category = apr_pstrdup(pool, category);
        return NULL;
    }
    return apr_psprintf(pool,
                        "By: '%s' is none of principal, client_id, provider, attribute:CATEGORY, "
                        "client_ip, all",
                        words[0]);
}

static const char *read_when(apr_pool_t *pool, la_quota_t *quota, const char *const *words)
{
    quota->when = apr_pstrdup(pool, words[0]);
    return *words[0] ? NULL : "When: the expression is empty";
}

static const char *read_reserve(apr_pool_t *pool, la_quota_t *quota, const char *const *words)
{
    const char *text = words[0];

    return la_units_number(&text, LA_QUOTA_MOST, &quota->reserve) && !*text
               ? NULL
               : apr_psprintf(pool, "Reserve: '%s' is no number of tokens, as in Reserve 1000",
                              words[0]);
}

static const char *read_shared(apr_pool_t *pool, la_quota_t *quota, const char *const *words)
{
    quota->shared = strcasecmp(words[0], "on") == 0;
    return quota->shared || strcasecmp(words[0], "off") == 0
               ? NULL
               : apr_psprintf(pool, "Shared: '%s' is neither on nor off", words[0]);
}

static const char *read_outage(apr_pool_t *pool, la_quota_t *quota, const char *const *words)
{
    static const char *const names[] = {"local", "allow", "deny", NULL};
    int place = place_of(words[0], names);

    if (place < 0) {
        return apr_psprintf(pool, "Outage: '%s' is none of local, allow, deny", words[0]);
    }
    quota->outage = (la_quota_outage_e)place;
    return NULL;
}

/* Options that stand once and take one word. */
static const struct {
    const char *name;
    const char *(*read)(apr_pool_t *pool, la_quota_t *quota, const char *const *words);
    const char *example;
} options[] = {{"By", read_by, "By attribute:team"},
               {"When", read_when, "When \"'free' in llama_attribute('plan')\""},
               {"Reserve", read_reserve, "Reserve 1000"},
               {"Shared", read_shared, "Shared off"},
               {"Outage", read_outage, "Outage deny"}};

/* ---- limits ---- */

static const struct {
    const char *option;
    const char *name; /* in fields and notes */
    const char *example;
} kinds[] = {{"Rate", "rate", "Rate 60/1m burst=20"},
             {"Requests", "requests", "Requests 5000/1d aligned"},
             {"Tokens", "tokens", "Tokens 200000/1h total"},
             {"Concurrent", "concurrent", "Concurrent 4"}};

static const char *broken(apr_pool_t *pool, const la_limit_t *limit, const char *word,
                          const char *why)
{
    return apr_psprintf(pool, "%s: '%s' %s, as in %s", kinds[limit->kind].option, word, why,
                        kinds[limit->kind].example);
}

/* N, or N/PERIOD. */
static const char *read_amount(apr_pool_t *pool, la_limit_t *limit, const char *word)
{
    const char *text = word;

    if (!la_units_number(&text, LA_QUOTA_MOST, &limit->number) || limit->number == 0) {
        return broken(pool, limit, word, "does not begin with a number above 0");
    }
    if (limit->kind == LA_LIMIT_CONCURRENT) {
        return *text ? broken(pool, limit, word, "is no whole number") : NULL;
    }
    if (*text != '/') {
        return broken(pool, limit, word, "has no /PERIOD");
    }
    limit->period = apr_pstrdup(pool, text + 1);
    if (!la_units_duration(limit->period, &limit->period_us) || limit->period_us < PERIOD_MIN_US) {
        return broken(pool, limit, word, "has no period of at least 1s");
    }
    return NULL;
}

static const char *read_burst(apr_pool_t *pool, la_limit_t *limit, const char *word)
{
    const char *text = word + strlen("burst=");

    return la_units_number(&text, LA_QUOTA_MOST, &limit->burst) && limit->burst > 0 && !*text
               ? NULL
               : broken(pool, limit, word, "is no number above 0");
}

/* One of the words after N/PERIOD. */
static const char *read_word(apr_pool_t *pool, la_limit_t *limit, const char *word)
{
    static const char *const tokens[] = {"total", "input", "output", NULL};
    int is_window = limit->kind == LA_LIMIT_REQUESTS || limit->kind == LA_LIMIT_TOKENS;
    int place = limit->kind == LA_LIMIT_TOKENS ? place_of(word, tokens) : -1;

    if (strncasecmp(word, "from=", 5) == 0) {
        limit->from = category_of(word + 5);
        limit->from = limit->from ? apr_pstrdup(pool, limit->from) : NULL;
        return limit->from ? NULL : broken(pool, limit, word, "is not from=attribute:CATEGORY");
    }
    if (limit->kind == LA_LIMIT_RATE && strncasecmp(word, "burst=", 6) == 0) {
        return read_burst(pool, limit, word);
    }
    if (is_window && strcasecmp(word, "aligned") == 0) {
        limit->aligned = 1;
        return NULL;
    }
    if (place < 0) {
        return broken(pool, limit, word, "is not known here");
    }
    limit->tokens = (la_tokens_e)place;
    return NULL;
}

static const char *read_limit(apr_pool_t *pool, la_quota_t *quota, la_limit_e kind, int count,
                              const char *const *words)
{
    la_limit_t limit = {.kind = kind};
    const char *error;

    if (quota->limits->nelts == LIMITS_MAX) {
        return apr_psprintf(pool, "%s: a quota has at most %d limits", kinds[kind].option,
                            LIMITS_MAX);
    }
    error = read_amount(pool, &limit, words[0]);
    for (int i = 1; i < count && !error; i++) {
        error = read_word(pool, &limit, words[i]);
    }
    APR_ARRAY_PUSH(quota->limits, la_limit_t) = limit;
    return error;
}

/* ---- the section ---- */

const char *la_quota_check_name(apr_pool_t *pool, const char *name)
{
    const char *p = name;

    while (apr_isalnum(*p) || *p == '_' || *p == '.' || *p == '-') {
        p++;
    }
    if (p == name || *p) {
        return apr_psprintf(
            pool, "'%s' is no name of a quota: letters, digits, '_', '.' and '-' make one", name);
    }
    return strcasecmp(name, "none") == 0 || strcasecmp(name, "all") == 0
               ? apr_psprintf(pool, "a quota cannot be named %s", name)
               : NULL;
}

la_quota_t *la_quota_make(apr_pool_t *pool, const char *name)
{
    la_quota_t *quota = apr_pcalloc(pool, sizeof(*quota));

    quota->name = apr_pstrdup(pool, name);
    quota->limits = apr_array_make(pool, 4, sizeof(la_limit_t));
    quota->shared = 1;
    return quota;
}

const char *la_quota_option(apr_pool_t *pool, la_quota_t *quota, const char *option, int count,
                            const char *const *words)
{
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcasecmp(option, kinds[i].option) == 0) {
            return count > 0 ? read_limit(pool, quota, (la_limit_e)i, count, words)
                             : apr_psprintf(pool, "%s: takes a limit, as in %s", option,
                                            kinds[i].example);
        }
    }
    for (unsigned i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (strcasecmp(option, options[i].name) != 0) {
            continue;
        }
        if (count != 1) {
            return apr_psprintf(pool, "%s: takes one argument, as in %s", options[i].name,
                                options[i].example);
        }
        if (quota->given & 1u << i) {
            return apr_psprintf(pool, "%s: stands twice", options[i].name);
        }
        quota->given |= 1u << i;
        return options[i].read(pool, quota, words);
    }
    return apr_psprintf(pool,
                        "%s: is no option of a quota; there are By, When, Rate, Requests, Tokens, "
                        "Concurrent, Reserve, Shared, Outage",
                        option);
}

const char *la_quota_check(apr_pool_t *pool, const la_quota_t *quota)
{
    if (quota->limits->nelts == 0) {
        return "has no limit: Rate, Requests, Tokens or Concurrent is missing";
    }
    for (int i = 0; i < quota->limits->nelts; i++) {
        const la_limit_t *limit = &APR_ARRAY_IDX(quota->limits, i, la_limit_t);

        if (limit->kind == LA_LIMIT_TOKENS && quota->reserve > limit->number) {
            return apr_psprintf(pool,
                                "Reserve: %" APR_INT64_T_FMT
                                " is more than Tokens %" APR_INT64_T_FMT
                                "/%s allows, so no request would be admitted",
                                quota->reserve, limit->number, limit->period);
        }
    }
    return quota->reserve > 0 && !la_quota_counts_tokens(quota)
               ? "Reserve: is for quotas with a Tokens limit"
               : NULL;
}

/* The first limit of a kind has the kind's name, the others a number too. */
void la_quota_name_limits(apr_pool_t *pool, la_quota_t *quota, const char *label)
{
    int places[sizeof(kinds) / sizeof(kinds[0])] = {0};

    for (int i = 0; i < quota->limits->nelts; i++) {
        la_limit_t *limit = &APR_ARRAY_IDX(quota->limits, i, la_limit_t);
        const char *kind = kinds[limit->kind].name;
        int place = ++places[limit->kind];

        limit->name = place == 1 ? apr_pstrcat(pool, quota->name, ".", kind, NULL)
                                 : apr_psprintf(pool, "%s.%s-%d", quota->name, kind, place);
        limit->quota = label;
        limit->identity = apr_psprintf(pool, "%s\n%s\n%" APR_INT64_T_FMT "\n%d\n%d\n%s", label,
                                       kind, (apr_int64_t)limit->period_us, place, (int)quota->by,
                                       quota->category ? quota->category : "");
    }
}

const char *la_quota_by_text(apr_pool_t *pool, const la_quota_t *quota)
{
    return quota->by == LA_QUOTA_BY_ATTRIBUTE
               ? apr_pstrcat(pool, ATTRIBUTE_PREFIX, quota->category, NULL)
               : by_names[quota->by];
}

int la_quota_counts_tokens(const la_quota_t *quota)
{
    for (int i = 0; i < quota->limits->nelts; i++) {
        if (APR_ARRAY_IDX(quota->limits, i, la_limit_t).kind == LA_LIMIT_TOKENS) {
            return 1;
        }
    }
    return 0;
}

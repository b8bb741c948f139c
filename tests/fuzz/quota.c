/* The lines of a <LlamaAuthQuota> section: whatever they are, a limit that is taken can be counted,
 * and what is refused begins with the option's name. */
#include "quota/quota.h"

#include "fuzz.h"

#define WORDS_MAX 8

/* Reads one line. Returns 0 when it is refused. */
static int read_line(apr_pool_t *pool, la_quota_t *quota, char *line)
{
    const char *words[WORDS_MAX];
    const char *error;
    char *state;
    int count = 0;

    for (char *word = apr_strtok(line, " ", &state); word && count < WORDS_MAX;
         word = apr_strtok(NULL, " ", &state)) {
        words[count++] = word;
    }
    if (count == 0) {
        return 1;
    }
    error = la_quota_option(pool, quota, words[0], count - 1, words + 1);
    HOLDS(!error || strncasecmp(error, words[0], strlen(words[0])) == 0);
    return error == NULL;
}

static void check_limit(const la_limit_t *limit)
{
    HOLDS(limit->number > 0 && limit->number <= LA_QUOTA_MOST);
    HOLDS(limit->burst >= 0 && limit->burst <= LA_QUOTA_MOST);
    HOLDS(limit->kind == LA_LIMIT_CONCURRENT || limit->period_us >= APR_USEC_PER_SEC);
    HOLDS(limit->kind != LA_LIMIT_CONCURRENT || limit->period_us == 0);
    HOLDS(!limit->from || *limit->from);
    HOLDS(limit->name && limit->identity);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char *text = apr_pstrmemdup(pool, (const char *)data, size);
    la_quota_t *quota = la_quota_make(pool, "q");
    int holds = 1;
    char *state;

    for (char *line = apr_strtok(text, "\n", &state); line && holds;
         line = apr_strtok(NULL, "\n", &state)) {
        holds = read_line(pool, quota, line);
    }
    if (holds && la_quota_check(pool, quota) == NULL) {
        la_quota_name_limits(pool, quota, "q");
        HOLDS(quota->limits->nelts > 0 && quota->limits->nelts <= 16);
        for (int i = 0; i < quota->limits->nelts; i++) {
            const la_limit_t *limit = &APR_ARRAY_IDX(quota->limits, i, la_limit_t);

            check_limit(limit);
            HOLDS(limit->kind != LA_LIMIT_TOKENS || quota->reserve <= limit->number);
        }
    }
    apr_pool_destroy(pool);
    return 0;
}

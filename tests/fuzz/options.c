/* The lines of a <LlamaAuthProvider> section: the first is its type, each other an option. A message tells no secret. */
#include "provider/host.h"
#include "provider/provider.h"
#include "provider/redis.h"

#include "fuzz.h"

#define SECRET "hunter2-is-a-secret"

static void no_log(la_log_e level, const char *line)
{
    (void)level;
    HOLDS(!strstr(line, SECRET));
}

/* No file is found: a fuzzer is to read none. */
static const char *no_path(apr_pool_t *pool, const char *path)
{
    return apr_pstrcat(pool, "/nowhere/", path, NULL);
}

static const void *any_regex(apr_pool_t *pool, const char *pattern)
{
    return apr_pstrdup(pool, pattern);
}

static int no_match(const void *regex, la_slice_t text)
{
    (void)regex;
    (void)text;
    return 0;
}

static int one(void)
{
    return 1;
}

static const la_host_t host = {.log = no_log,
                               .path = no_path,
                               .regex_compile = any_regex,
                               .regex_match = no_match,
                               .threads = one,
                               .workers = one};

static void try_section(apr_pool_t *pool, const la_provider_type_t *type, la_slice_t rest)
{
    la_provider_t *provider = la_provider_make(pool, "p", type);
    const char *words[8];

    while (rest.len > 0) {
        int count = split_words(pool, take_line(&rest), words, 8);
        const char *error = count > 0 && *words[0]
                                ? la_provider_set(provider, pool, words[0], count - 1, words + 1)
                                : NULL;

        // The name of a file that cannot be read is told, its content never.
        HOLDS(!error || !strstr(error, SECRET) || strcasecmp(words[0], "ClientSecret") != 0 ||
              strncasecmp(words[1], "file:", 5) == 0);
    }
    la_provider_finish(provider, pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char *text = exact(data, size);
    la_slice_t rest = {text, size};
    la_slice_t first = take_line(&rest);
    const la_provider_type_t *type =
        la_provider_type_find(apr_pstrmemdup(pool, first.data, first.len));
    la_redis_options_t redis;
    const char *words[8];
    int count = split_words(pool, first, words, 8);

    la_host_set(&host);
    if (type) {
        try_section(pool, type, rest);
    } else if (count > 0) {
        const char *error = la_redis_parse(pool, count, words, &redis);

        HOLDS(error || redis.path || (redis.host && redis.port > 0 && redis.port < 65536));
    }
    free(text);
    apr_pool_destroy(pool);
    return 0;
}

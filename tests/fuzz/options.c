/* The lines of a <LlamaAuthProvider> section: the first is its type, each other an option. A
 * message tells no secret, and neither does a line as mod_info shows it. */
#include "io/server.h"
#include "provider/mask.h"
#include "provider/provider.h"
#include "io/redis.h"

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

static const la_server_t host = {.log = no_log,
                                 .path = no_path,
                                 .regex_compile = any_regex,
                                 .regex_match = no_match,
                                 .threads = one,
                                 .workers = one};

/* A literal secret is hidden; a word that says where it is stays. */
static void try_shown(la_provider_t *provider, apr_pool_t *pool, int count,
                      const char *const *words)
{
    const char *shown = la_provider_shown(provider, pool, words[0], count - 1, words + 1);

    if (count == 2 && strcasecmp(words[0], "ClientSecret") == 0 &&
        la_provider_type_find("introspection") == provider->type) {
        HOLDS(shown ? strcmp(shown, "***") == 0 || strcmp(words[1], "***") == 0
                    : strncmp(words[1], "file:", 5) == 0 || strncmp(words[1], "env:", 4) == 0 ||
                          strcmp(words[1], "***") == 0);
    }
}

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
        if (count > 0) {
            try_shown(provider, pool, count, words);
        }
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

    la_server_set(&host);
    if (type) {
        try_section(pool, type, rest);
    } else if (count > 0) {
        const char *error = la_redis_parse(pool, count, words, &redis);
        const char *shown = la_mask_redis(pool, count, words);

        HOLDS(!shown || strstr(shown, "***"));
        HOLDS(error || redis.path || redis.master ||
              (redis.host.name && redis.host.port > 0 && redis.host.port < 65536));
        HOLDS(error || !redis.master ||
              (redis.sentinel_count > 0 && redis.sentinels[0].name && redis.sentinels[0].port > 0));
    }
    free(text);
    apr_pool_destroy(pool);
    return 0;
}

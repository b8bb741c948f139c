/* What LlamaAuthCacheShared may say. Runs while the configuration is read. */
#include "io/redis.h"

#include "io/server.h"
#include "provider/option.h"

#include <string.h>
#include <strings.h>

#include <apr_escape.h>
#include <apr_strings.h>
#include <apr_uri.h>

#define DEFAULT_PORT       6379
#define DEFAULT_PREFIX     "llama_auth:"
#define DEFAULT_TIMEOUT_US (100 * APR_TIME_C(1000))
#define DB_MAX             1000000

static int parse_number(const char *text, int max, int *number)
{
    char *end;
    apr_int64_t value = apr_strtoi64(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end || value > max) {
        return 0;
    }
    *number = (int)value;
    return 1;
}

static const char *set_password(apr_pool_t *pool, const char *spec, la_redis_options_t *options)
{
    const char *error = la_secret_make(pool, spec, &options->password);

    return error ? apr_psprintf(pool, "password: %s", error) : NULL;
}

static const char *set_time(apr_pool_t *pool, const char *name, const char *text,
                            apr_interval_time_t *us)
{
    return la_option_parse_duration(text, us) && *us > 0
               ? NULL
               : apr_psprintf(pool, "%s: '%s' is no duration above 0, as 100ms", name, text);
}

static const char *set_prefix(apr_pool_t *pool, const char *text, la_redis_options_t *options)
{
    const char *p;

    for (p = text; *p; p++) {
        if (*p <= ' ' || *p >= 0x7f) {
            return "prefix: visible ASCII characters only";
        }
    }
    options->prefix = apr_pstrdup(pool, text);
    return NULL;
}

typedef enum word_e {
    WORD_TIMEOUT,
    WORD_CONNECT_TIMEOUT,
    WORD_PREFIX,
    WORD_USER,
    WORD_PASSWORD,
    WORD_DB
} word_e;

static const char *const word_names[] = {
    [WORD_TIMEOUT] = "timeout",   [WORD_CONNECT_TIMEOUT] = "connect_timeout",
    [WORD_PREFIX] = "prefix",     [WORD_USER] = "user",
    [WORD_PASSWORD] = "password", [WORD_DB] = "db"};
#define WORDS (sizeof(word_names) / sizeof(word_names[0]))

/* Notes that something is given, in the URL or by name. Returns NULL, or that it had been. */
static const char *note(apr_pool_t *pool, word_e word, la_redis_options_t *options)
{
    unsigned bit = 1u << word;

    if (options->given & bit) {
        return apr_psprintf(pool, "%s is given twice", word_names[word]);
    }
    options->given |= bit;
    return NULL;
}

static const char *set_value(apr_pool_t *pool, word_e word, const char *value,
                             la_redis_options_t *options)
{
    const char *error = note(pool, word, options);

    if (error) {
        return error;
    }
    switch (word) {
    case WORD_TIMEOUT:
        return set_time(pool, word_names[word], value, &options->timeout_us);
    case WORD_CONNECT_TIMEOUT:
        return set_time(pool, word_names[word], value, &options->connect_timeout_us);
    case WORD_PREFIX:
        return set_prefix(pool, value, options);
    case WORD_USER:
        options->user = apr_pstrdup(pool, value);
        return *value ? NULL : "user= is empty";
    case WORD_PASSWORD:
        return set_password(pool, value, options);
    case WORD_DB:
        return parse_number(value, DB_MAX, &options->db) ? NULL : "db must be a number";
    }
    return "unknown";
}

/* Whether a misspelled name may be shown: what has other characters may be a part of a URL with a
 * password. */
static int is_name(const char *name)
{
    return *name &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-") == strlen(name);
}

/* One NAME=VALUE. */
static const char *set_word(apr_pool_t *pool, const char *word, la_redis_options_t *options)
{
    const char *value = strchr(word, '=');
    const char *name = value ? apr_pstrmemdup(pool, word, (apr_size_t)(value - word)) : "";
    unsigned i;

    for (i = 0; i < WORDS; i++) {
        if (strcasecmp(name, word_names[i]) == 0) {
            return set_value(pool, (word_e)i, value + 1, options);
        }
    }
    return apr_psprintf(pool,
                        "%s is not known: timeout=, connect_timeout=, prefix=, user=, "
                        "password= and db= are",
                        is_name(name) ? name : "a word after the URL");
}

static const char *set_query(apr_pool_t *pool, const char *query, la_redis_options_t *options)
{
    char *rest = apr_pstrdup(pool, query);
    char *state;
    char *word;
    const char *error = NULL;

    for (word = apr_strtok(rest, "&", &state); word && !error;
         word = apr_strtok(NULL, "&", &state)) {
        error = set_word(pool, word, options);
    }
    return error;
}

static const char *unescaped(apr_pool_t *pool, const char *text)
{
    return apr_punescape_url(pool, text, NULL, NULL, 0);
}

/* user:password of a URL, either of them empty. */
static const char *set_credentials(apr_pool_t *pool, const apr_uri_t *uri,
                                   la_redis_options_t *options)
{
    const char *user = uri->user ? unescaped(pool, uri->user) : "";
    const char *password = uri->password ? unescaped(pool, uri->password) : "";
    const char *error;

    if (!user || !password) {
        return "the URL's user or password is not well percent-encoded";
    }
    if (user[0] && !password[0]) {
        return "the URL has a user and no password; a password alone is written redis://:PASSWORD@";
    }
    error = user[0] ? set_value(pool, WORD_USER, user, options) : NULL;
    return !error && password[0] ? set_value(pool, WORD_PASSWORD, password, options) : error;
}

static const char *set_tcp(apr_pool_t *pool, const char *url, la_redis_options_t *options)
{
    apr_uri_t uri;
    const char *error;

    if (apr_uri_parse(pool, url, &uri) != APR_SUCCESS || !uri.hostname || !uri.hostname[0] ||
        uri.fragment) {
        return "the URL must be redis://[[user]:password@]host[:port][/db]";
    }
    if (uri.port_str && (!parse_number(uri.port_str, 65535, &options->port) || !options->port)) {
        return "the URL's port must be 1 to 65535";
    }
    options->host = uri.hostname;
    options->address = apr_psprintf(pool, strchr(options->host, ':') ? "[%s]:%d" : "%s:%d",
                                    options->host, options->port);
    if (uri.path && uri.path[0] == '/' && uri.path[1]) {
        if (!parse_number(uri.path + 1, DB_MAX, &options->db)) {
            return "the URL's path must be the number of a database";
        }
        note(pool, WORD_DB, options);
    }
    error = set_credentials(pool, &uri, options);
    return !error && uri.query ? set_query(pool, uri.query, options) : error;
}

static const char *set_socket(apr_pool_t *pool, const char *url, la_redis_options_t *options)
{
    const char *query = strchr(url, '?');
    apr_size_t len = query ? (apr_size_t)(query - url) : strlen(url);
    const char *path = apr_pstrmemdup(pool, url + 5, len - 5);

    if (strncmp(path, "///", 3) == 0) {
        path += 2; /* unix:///path, as others write it */
    }
    if (path[0] != '/' || path[1] == '/') {
        return "the URL of a socket must be unix:/path";
    }
    options->path = path;
    options->address = apr_pstrcat(pool, "unix:", path, NULL);
    return query ? set_query(pool, query + 1, options) : NULL;
}

const char *la_redis_parse(apr_pool_t *pool, int count, const char *const *words,
                           la_redis_options_t *options)
{
    const char *error;
    int i;

    *options = (la_redis_options_t){.port = DEFAULT_PORT,
                                    .prefix = DEFAULT_PREFIX,
                                    .timeout_us = DEFAULT_TIMEOUT_US,
                                    .connect_timeout_us = DEFAULT_TIMEOUT_US};
    if (strncasecmp(words[0], "redis://", 8) == 0) {
        error = set_tcp(pool, words[0], options);
    } else if (strncasecmp(words[0], "unix:", 5) == 0) {
        error = set_socket(pool, words[0], options);
    } else {
        error = "must be redis://[[user]:password@]host[:port][/db], unix:/path or none";
    }
    for (i = 1; i < count && !error; i++) {
        error = set_word(pool, words[i], options);
    }
    return !error && options->user && !options->password ? "user= needs password=" : error;
}

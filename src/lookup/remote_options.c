/* Reads LlamaAuthCacheShared's words. Runs while the configuration is read. */
#include "io/redis.h"

#include "base/units.h"
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

/* ---- the words behind the URL ---- */

/* us: 0 until the word was read. */
static const char *set_time(apr_pool_t *pool, const char *name, const char *text,
                            apr_interval_time_t *us)
{
    if (*us) {
        return apr_psprintf(pool, "%s is given twice", name);
    }
    return la_units_duration(text, us) && *us > 0
               ? NULL
               : apr_psprintf(pool, "%s: '%s' is no duration above 0, as 100ms", name, text);
}

static const char *set_prefix(apr_pool_t *pool, const char *text, la_redis_options_t *options)
{
    const char *p;

    if (options->prefix) {
        return "prefix is given twice";
    }
    for (p = text; p && *p; p++) {
        if (*p <= ' ' || *p >= 0x7f) {
            return "prefix: visible ASCII characters only";
        }
    }
    options->prefix = apr_pstrdup(pool, text);
    return NULL;
}

/* Returns 1 when an unknown name may be shown: other characters may be part of a password. */
static int is_name(const char *name)
{
    return *name &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-") == strlen(name);
}

static const char *set_file(apr_pool_t *pool, const char *name, const char *text, const char **path)
{
    if (*path) {
        return apr_psprintf(pool, "%s is given twice", name);
    }
    *path = *text ? la_host()->path(pool, text) : NULL;
    return *path ? NULL : apr_psprintf(pool, "%s names no path", name);
}

/* Reads one NAME=VALUE. */
static const char *set_word(apr_pool_t *pool, const char *word, la_redis_options_t *options,
                            la_redis_tls_files_t *files)
{
    const char *value = strchr(word, '=');
    const char *name = value ? apr_pstrmemdup(pool, word, (apr_size_t)(value++ - word)) : "";

    if (strcasecmp(name, "timeout") == 0) {
        return set_time(pool, "timeout", value, &options->timeout_us);
    }
    if (strcasecmp(name, "connect_timeout") == 0) {
        return set_time(pool, "connect_timeout", value, &options->connect_timeout_us);
    }
    if (strcasecmp(name, "prefix") == 0) {
        return set_prefix(pool, value, options);
    }
    if (strcasecmp(name, "cafile") == 0) {
        return set_file(pool, "cafile", value, &files->ca);
    }
    if (strcasecmp(name, "certfile") == 0) {
        return set_file(pool, "certfile", value, &files->cert);
    }
    if (strcasecmp(name, "keyfile") == 0) {
        return set_file(pool, "keyfile", value, &files->key);
    }
    return apr_psprintf(pool,
                        "%s is not known: timeout=, connect_timeout=, prefix=, cafile=, certfile= "
                        "and keyfile= are; user, password and database are part of the URL",
                        is_name(name) ? name : "a word after the URL");
}

/* ---- the URL ---- */

/* Reads user:password; either may be empty. The password may be a secret's notation. */
static const char *set_credentials(apr_pool_t *pool, const apr_uri_t *uri,
                                   la_redis_options_t *options)
{
    const char *user = uri->user ? apr_punescape_url(pool, uri->user, NULL, NULL, 0) : "";
    const char *password =
        uri->password ? apr_punescape_url(pool, uri->password, NULL, NULL, 0) : "";
    const char *error;

    if (!user || !password) {
        return "the URL's user or password is not well percent-encoded";
    }
    if (!password[0]) {
        return user[0] ? "the URL has a user and no password; a password alone is written "
                         "redis://:PASSWORD@"
                       : NULL;
    }
    options->user = user[0] ? user : NULL;
    error = la_secret_make(pool, password, &options->password);
    return error ? apr_psprintf(pool, "password: %s", error) : NULL;
}

static const char *set_tcp(apr_pool_t *pool, const apr_uri_t *uri, la_redis_options_t *options)
{
    if (!uri->hostname || !uri->hostname[0]) {
        return "the URL must be redis://[[user]:password@]host[:port][/db], or with rediss://";
    }
    if (uri->port_str && (!parse_number(uri->port_str, 65535, &options->port) || !options->port)) {
        return "the URL's port must be 1 to 65535";
    }
    options->host = uri->hostname;
    options->address = apr_psprintf(pool, strchr(options->host, ':') ? "[%s]:%d" : "%s:%d",
                                    options->host, options->port);
    if (uri->path && strcmp(uri->path, "/") != 0 &&
        !parse_number(uri->path + 1, DB_MAX, &options->db)) {
        return "the URL's path must be the number of a database";
    }
    return NULL;
}

static const char *set_socket(apr_pool_t *pool, const apr_uri_t *uri, la_redis_options_t *options)
{
    if ((uri->hostname && uri->hostname[0]) || !uri->path || uri->path[1] == '/') {
        return "the URL of a socket must be unix:/path or unix://[[user]:password@]/path";
    }
    options->path = uri->path;
    options->address = apr_pstrcat(pool, "unix:", uri->path, NULL);
    return NULL;
}

/* Returns 1 if the URL begins with `scheme`, which is lower case. */
static int has_scheme(const char *url, const char *scheme)
{
    return strncasecmp(url, scheme, strlen(scheme)) == 0;
}

static const char *set_url(apr_pool_t *pool, const char *url, la_redis_options_t *options)
{
    int is_socket = has_scheme(url, "unix:");
    const char *error;
    apr_uri_t uri;

    if (!is_socket && !has_scheme(url, "redis://") && !has_scheme(url, "rediss://")) {
        return "must be redis://[[user]:password@]host[:port][/db], the same with rediss:// for "
               "TLS, unix:/path or none";
    }
    if (is_socket && strncmp(url + 5, "//", 2) != 0) {
        url = apr_pstrcat(pool, "unix://", url + 5, NULL);
    }
    if (apr_uri_parse(pool, url, &uri) != APR_SUCCESS) {
        return "the URL cannot be parsed; a `/` or `@` in a password is written %2F or %40";
    }
    if (uri.query || uri.fragment) {
        return "the URL takes no `?` and no `#`; timeout= and others are words after it";
    }
    error = is_socket ? set_socket(pool, &uri, options) : set_tcp(pool, &uri, options);
    return error ? error : set_credentials(pool, &uri, options);
}

static const char *set_tls(apr_pool_t *pool, const char *url, const la_redis_tls_files_t *files,
                           la_redis_options_t *options)
{
    if (has_scheme(url, "rediss://")) {
        return la_redis_tls_make(pool, files, &options->tls);
    }
    return files->ca || files->cert || files->key
               ? "cafile=, certfile= and keyfile= are for TLS, of which the URL says rediss://"
               : NULL;
}

const char *la_redis_parse(apr_pool_t *pool, int count, const char *const *words,
                           la_redis_options_t *options)
{
    la_redis_tls_files_t files = {NULL};
    const char *error;
    int i;

    *options = (la_redis_options_t){.port = DEFAULT_PORT};
    error = set_url(pool, words[0], options);
    for (i = 1; i < count && !error; i++) {
        error = set_word(pool, words[i], options, &files);
    }
    error = error ? error : set_tls(pool, words[0], &files, options);
    options->prefix = options->prefix ? options->prefix : DEFAULT_PREFIX;
    options->timeout_us = options->timeout_us ? options->timeout_us : DEFAULT_TIMEOUT_US;
    options->connect_timeout_us =
        options->connect_timeout_us ? options->connect_timeout_us : DEFAULT_TIMEOUT_US;
    return error;
}

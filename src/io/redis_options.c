/* Reads LlamaAuthCacheShared's words. Runs while the configuration is read. */
#include "io/redis_options.h"

#include "base/units.h"
#include "io/redis_socket.h"
#include "io/server.h"

#include <string.h>
#include <strings.h>

#include <apr_escape.h>
#include <apr_strings.h>
#include <apr_uri.h>

#define DEFAULT_PORT       6379
#define SENTINEL_PORT      26379
#define SENTINEL_SCHEME    "redis+sentinel://"
#define MASTER_MAX         200
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

/* Reads user and password, NULL or percent-encoded; either may be empty. The password may be a
 * secret's notation. */
static const char *set_credentials(apr_pool_t *pool, const char *user, const char *password,
                                   la_redis_options_t *options)
{
    const char *error;

    user = user ? apr_punescape_url(pool, user, NULL, NULL, 0) : "";
    password = password ? apr_punescape_url(pool, password, NULL, NULL, 0) : "";
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

/* Reads a port, NULL for the default. */
static const char *set_port(const char *text, int *port)
{
    return text && (!parse_number(text, 65535, port) || !*port)
               ? "the URL's port must be 1 to 65535"
               : NULL;
}

static const char *host_and_port(apr_pool_t *pool, const la_redis_host_t *host)
{
    return apr_psprintf(pool, strchr(host->name, ':') ? "[%s]:%d" : "%s:%d", host->name,
                        host->port);
}

static const char *set_tcp(apr_pool_t *pool, const apr_uri_t *uri, la_redis_options_t *options)
{
    const char *error;

    if (!uri->hostname || !uri->hostname[0]) {
        return "the URL must be redis://[[user]:password@]host[:port][/db], or with rediss://";
    }
    options->host = (la_redis_host_t){.name = uri->hostname, .port = DEFAULT_PORT};
    error = set_port(uri->port_str, &options->host.port);
    if (error) {
        return error;
    }
    options->address = host_and_port(pool, &options->host);
    if (uri->path && strcmp(uri->path, "/") != 0 &&
        !parse_number(uri->path + 1, DB_MAX, &options->db)) {
        return "the URL's path must be the number of a database";
    }
    return NULL;
}

/* ---- the URL of sentinels ---- */

#define SENTINEL_FORM                                                                              \
    "the URL must be redis+sentinel://[[user]:password@]host[:port],.../NAME[/db], with the name " \
    "that the sentinels know the master by"

static const char *add_sentinel(apr_pool_t *pool, const char *text, la_redis_host_t *sentinel)
{
    apr_uri_t uri;

    if (apr_uri_parse(pool, apr_pstrcat(pool, "redis://", text, NULL), &uri) != APR_SUCCESS ||
        !uri.hostname || !uri.hostname[0] || uri.user || uri.path || uri.query || uri.fragment) {
        return SENTINEL_FORM;
    }
    *sentinel = (la_redis_host_t){.name = uri.hostname, .port = SENTINEL_PORT};
    return set_port(uri.port_str, &sentinel->port);
}

/* Reads host[:port],... */
static const char *set_sentinels(apr_pool_t *pool, const char *hosts, la_redis_options_t *options)
{
    la_redis_host_t *sentinels = apr_pcalloc(pool, sizeof(*sentinels) * LA_REDIS_SENTINELS_MAX);
    const char *address = "redis+sentinel:/";
    const char *error = NULL;

    options->sentinels = sentinels;
    while (hosts && !error) {
        const char *comma = strchr(hosts, ',');
        const char *text = comma ? apr_pstrmemdup(pool, hosts, (apr_size_t)(comma - hosts)) : hosts;

        if (options->sentinel_count == LA_REDIS_SENTINELS_MAX) {
            return "the URL names more than 16 sentinels";
        }
        error = add_sentinel(pool, text, &sentinels[options->sentinel_count]);
        if (!error) {
            address = apr_pstrcat(pool, address, options->sentinel_count ? "," : "/",
                                  host_and_port(pool, &sentinels[options->sentinel_count]), NULL);
            options->sentinel_count++;
        }
        hosts = comma ? comma + 1 : NULL;
    }
    options->address = address;
    return error;
}

/* Reads NAME[/db]. */
static const char *set_master(apr_pool_t *pool, const char *path, la_redis_options_t *options)
{
    apr_size_t len = strcspn(path, "/");
    const char *name = apr_pstrmemdup(pool, path, len);

    if (len == 0 || len > MASTER_MAX ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != len) {
        return SENTINEL_FORM;
    }
    if (path[len] && path[len + 1] && !parse_number(path + len + 1, DB_MAX, &options->db)) {
        return "what stands behind the master's name must be the number of a database";
    }
    options->master = name;
    options->address = apr_pstrcat(pool, options->address, "/", name, NULL);
    return NULL;
}

/* rest: what stands behind the scheme. */
static const char *set_sentinel_url(apr_pool_t *pool, const char *rest, la_redis_options_t *options)
{
    const char *slash = strchr(rest, '/');
    char *hosts = apr_pstrmemdup(pool, rest, slash ? (apr_size_t)(slash - rest) : strlen(rest));
    char *at = strrchr(hosts, '@');
    char *user = at ? hosts : NULL;
    char *password = NULL;
    const char *error;

    if (at) {
        *at = '\0';
        hosts = at + 1;
        password = strchr(user, ':');
    }
    if (password) {
        *password++ = '\0';
    }
    if (!slash || (user && strchr(user, '@')) || (password && strchr(password, '@'))) {
        return SENTINEL_FORM "; a `/` or `@` in a password is written %2F or %40";
    }
    error = set_sentinels(pool, hosts, options);
    error = error ? error : set_master(pool, slash + 1, options);
    return error ? error : set_credentials(pool, user, password, options);
}

/* ---- the URL of a socket ---- */

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

/* Schemes that others have, and we do not. Returns NULL, or what is wrong. */
static const char *refuse_scheme(const char *url)
{
    if (has_scheme(url, "redis+cluster:") || has_scheme(url, "rediss+cluster:") ||
        has_scheme(url, "redis-cluster:") || has_scheme(url, "rediss-cluster:")) {
        return "a cluster cannot be used: name one server, or sentinels with redis+sentinel://";
    }
    if (has_scheme(url, "rediss+sentinel:") || has_scheme(url, "rediss-sentinel:")) {
        return "rediss+sentinel:// cannot be used: sentinels are asked without TLS, and what they "
               "name is too; write redis+sentinel://, or rediss:// and one server";
    }
    return has_scheme(url, "redis-sentinel:") ? SENTINEL_FORM : NULL;
}

/* A URL with one authority. */
static const char *set_plain_url(apr_pool_t *pool, const char *url, la_redis_options_t *options)
{
    int is_socket = has_scheme(url, "unix:");
    const char *error;
    apr_uri_t uri;

    if (!is_socket && !has_scheme(url, "redis://") && !has_scheme(url, "rediss://")) {
        return "must be redis://[[user]:password@]host[:port][/db], the same with rediss:// for "
               "TLS, redis+sentinel://host,.../NAME, unix:/path or none";
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
    return error ? error : set_credentials(pool, uri.user, uri.password, options);
}

static const char *set_url(apr_pool_t *pool, const char *url, la_redis_options_t *options)
{
    const char *error = refuse_scheme(url);

    if (error) {
        return error;
    }
    return has_scheme(url, SENTINEL_SCHEME)
               ? set_sentinel_url(pool, url + strlen(SENTINEL_SCHEME), options)
               : set_plain_url(pool, url, options);
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
    la_redis_tls_files_t files = {0};
    const char *error;
    int i;

    *options = (la_redis_options_t){.db = 0};
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

/* ---- names ---- */

static void resolve(la_redis_host_t *host, apr_pool_t *pool)
{
    char ip[INET6_ADDRSTRLEN];

    host->ip = la_redis_address(host->name, 0, ip) ? apr_pstrdup(pool, ip) : NULL;
}

int la_redis_resolve_options(la_redis_options_t *options, apr_pool_t *pool)
{
    la_redis_host_t *sentinels;
    int found = 0;

    if (options->host.name) {
        resolve(&options->host, pool);
        return options->host.ip != NULL;
    }
    sentinels = apr_pmemdup(pool, options->sentinels,
                            sizeof(*sentinels) * (apr_size_t)options->sentinel_count);
    options->sentinels = sentinels;
    for (int i = 0; i < options->sentinel_count; i++) {
        resolve(&sentinels[i], pool);
        found |= sentinels[i].ip != NULL;
    }
    return options->path || found;
}

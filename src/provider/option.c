/* The parsers behind option tables, and the finding of names. Runs only while the
 * configuration is read, in one thread.
 */
#include "provider/option.h"

#include "access/claims.h"
#include "base/json_scan.h"
#include "base/params.h"
#include "base/units.h"
#include "io/file.h"
#include "io/secret.h"
#include "io/server.h"
#include "io/http.h"

#include <stdio.h>
#include <unistd.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include <openssl/err.h>
#include <openssl/pem.h>

/* The field that the option fills, as a pointer to `type`. */
#define FIELD(type, option, base) ((type *)(void *)((char *)(base) + (option)->offset))

const char *la_option_text(apr_pool_t *pool, const la_option_t *option, void *base, int count,
                           const char *const *words)
{
    (void)count;
    *FIELD(const char *, option, base) = apr_pstrdup(pool, words[0]);
    return NULL;
}

static int is_plain_text(const char *text);

/* What is wrong with a word that is compared with what clients or providers send, which is text. */
static const char *word_fault(const char *word)
{
    if (!*word) {
        return "may not be empty";
    }
    return is_plain_text(word) ? NULL : "must be UTF-8 without control characters";
}

const char *la_option_word(apr_pool_t *pool, const la_option_t *option, void *base, int count,
                           const char *const *words)
{
    const char *error = word_fault(words[0]);

    return error ? error : la_option_text(pool, option, base, count, words);
}

const char *la_option_words(apr_pool_t *pool, const la_option_t *option, void *base, int count,
                            const char *const *words)
{
    apr_array_header_t **list = FIELD(apr_array_header_t *, option, base);
    int i;

    if (!*list) {
        *list = apr_array_make(pool, count, sizeof(const char *));
    }
    for (i = 0; i < count; i++) {
        const char *error = word_fault(words[i]);

        if (error) {
            return apr_pstrcat(pool, "a name ", error, NULL);
        }
        APR_ARRAY_PUSH(*list, const char *) = apr_pstrdup(pool, words[i]);
    }
    return NULL;
}

const char *la_option_on_off(apr_pool_t *pool, const la_option_t *option, void *base, int count,
                             const char *const *words)
{
    int on = strcasecmp(words[0], "on") == 0;

    (void)pool;
    (void)count;
    if (!on && strcasecmp(words[0], "off") != 0) {
        return "must be on or off";
    }
    *FIELD(int, option, base) = on;
    return NULL;
}

const char *la_option_choice(apr_pool_t *pool, const la_option_t *option, void *base, int count,
                             const char *const *words)
{
    const char *choice = option->help;
    int index;

    (void)count;
    for (index = 0; *choice; index++) {
        apr_size_t len = strcspn(choice, "|");

        if (strlen(words[0]) == len && strncasecmp(words[0], choice, len) == 0) {
            *FIELD(int, option, base) = index;
            return NULL;
        }
        choice += choice[len] ? len + 1 : len;
    }
    return apr_psprintf(pool, "'%s' is none of %s", words[0], option->help);
}

const char *la_option_duration(apr_pool_t *pool, const la_option_t *option, void *base, int count,
                               const char *const *words)
{
    (void)count;
    if (!la_units_duration(words[0], FIELD(apr_interval_time_t, option, base))) {
        return apr_psprintf(
            pool, "'%s' is no duration: write 500ms, 10s, 5m, 1h, 1d or a number of seconds",
            words[0]);
    }
    return NULL;
}

const char *la_option_positive_duration(apr_pool_t *pool, const la_option_t *option, void *base,
                                        int count, const char *const *words)
{
    const char *error = la_option_duration(pool, option, base, count, words);

    if (!error && *FIELD(apr_interval_time_t, option, base) == 0) {
        error = "must be above 0";
    }
    return error;
}

const char *la_option_size(apr_pool_t *pool, const la_option_t *option, void *base, int count,
                           const char *const *words)
{
    apr_size_t *bytes = FIELD(apr_size_t, option, base);

    (void)count;
    if (!la_units_size(words[0], bytes) || *bytes == 0) {
        return apr_psprintf(
            pool, "'%s' is no size: write a number of bytes above 0, or 64K, 1M, 1G", words[0]);
    }
    return NULL;
}

const char *la_option_path(apr_pool_t *pool, const la_option_t *option, void *base, int count,
                           const char *const *words)
{
    const char *path = la_host()->path(pool, words[0]);

    (void)count;
    *FIELD(const char *, option, base) = path;
    return path ? NULL : apr_psprintf(pool, "'%s' is no path", words[0]);
}

/* Opens the file that the option names, for whoever reads it later by its name. fd: -1 on failure.
 */
static const char *open_named(apr_pool_t *pool, const la_option_t *option, void *base, int count,
                              const char *const *words, int *fd)
{
    const char *error = la_option_path(pool, option, base, count, words);
    const char *path = *FIELD(const char *, option, base);

    *fd = -1;
    if (error) {
        return error;
    }
    error = la_file_open(pool, path, fd);
    return error ? apr_psprintf(pool, "%s: %s", path, error) : NULL;
}

const char *la_option_readable_file(apr_pool_t *pool, const la_option_t *option, void *base,
                                    int count, const char *const *words)
{
    int fd;
    const char *error = open_named(pool, option, base, count, words, &fd);

    if (!error) {
        close(fd);
    }
    return error;
}

/* Whether an open file, which is closed, has a certificate in PEM. */
static int has_certificate(int fd)
{
    FILE *file = fdopen(fd, "r");
    X509 *certificate = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    int found = certificate != NULL;

    if (file) {
        fclose(file);
    } else {
        close(fd);
    }
    X509_free(certificate);
    ERR_clear_error();
    return found;
}

const char *la_option_certificates(apr_pool_t *pool, const la_option_t *option, void *base,
                                   int count, const char *const *words)
{
    int fd;
    const char *error = open_named(pool, option, base, count, words, &fd);

    if (!error && !has_certificate(fd)) {
        error = apr_psprintf(pool, "%s holds no certificate in PEM",
                             *FIELD(const char *, option, base));
    }
    return error;
}

const char *la_option_url(apr_pool_t *pool, const la_option_t *option, void *base, int count,
                          const char *const *words)
{
    la_url_t *url = FIELD(la_url_t, option, base);
    const char *error;

    (void)count;
    error = la_url_check(pool, words[0], &url->authority);
    url->url = error ? NULL : apr_pstrdup(pool, words[0]);
    return error;
}

const char *la_option_base_url(apr_pool_t *pool, const la_option_t *option, void *base, int count,
                               const char *const *words)
{
    la_url_t *url = FIELD(la_url_t, option, base);
    const char *error = la_option_url(pool, option, base, count, words);
    apr_size_t len = strlen(words[0]);

    if (error) {
        return error;
    }
    while (words[0][len - 1] == '/') {
        len--;
    }
    url->url = apr_pstrmemdup(pool, words[0], len);
    return strchr(words[0], '?') ? "must have no query" : NULL;
}

const char *la_option_proxy(apr_pool_t *pool, const la_option_t *option, void *base, int count,
                            const char *const *words)
{
    const char *authority;
    const char *error = la_url_check(pool, words[0], &authority);

    (void)count;
    *FIELD(const char *, option, base) = apr_pstrdup(pool, words[0]);
    if (!error && strncasecmp(words[0], "http://", 7) != 0) {
        error = "must be an http:// URL";
    }
    return error;
}

const char *la_option_secret(apr_pool_t *pool, const la_option_t *option, void *base, int count,
                             const char *const *words)
{
    (void)count;
    return la_secret_make(pool, words[0], FIELD(la_secret_t *, option, base));
}

const char *la_option_regex(apr_pool_t *pool, const la_option_t *option, void *base, int count,
                            const char *const *words)
{
    const void *regex;

    (void)count;
    if (!*words[0]) {
        return "may not be empty: without it all tokens are given to this provider";
    }
    regex = la_host()->regex_compile(pool, words[0]);
    *FIELD(const void *, option, base) = regex;
    return regex ? NULL : apr_psprintf(pool, "'%s' is no regular expression", words[0]);
}

/* One field of CacheVary; returns 0 when there is none of that name. */
static int add_vary(apr_pool_t *pool, la_vary_t *vary, const char *word)
{
    static const char header[] = "header:";

    if (strcasecmp(word, "path") == 0) {
        vary->path = 1;
    } else if (strcasecmp(word, "params") == 0) {
        vary->params = 1;
    } else if (strcasecmp(word, "client_ip") == 0) {
        vary->client_ip = 1;
    } else if (strncasecmp(word, header, sizeof(header) - 1) == 0 &&
               la_params_is_name(word + sizeof(header) - 1)) {
        if (!vary->headers) {
            vary->headers = apr_array_make(pool, 2, sizeof(const char *));
        }
        APR_ARRAY_PUSH(vary->headers, const char *) = apr_pstrdup(pool, word + sizeof(header) - 1);
    } else {
        return 0;
    }
    return 1;
}

const char *la_option_vary(apr_pool_t *pool, const la_option_t *option, void *base, int count,
                           const char *const *words)
{
    la_vary_t vary = {0};
    int i;

    if (count > 1 || strcasecmp(words[0], "none") != 0) {
        for (i = 0; i < count; i++) {
            if (!add_vary(pool, &vary, words[i])) {
                return apr_psprintf(pool,
                                    "'%s' is none of path, params, header:NAME, client_ip, or "
                                    "none alone",
                                    words[i]);
            }
        }
    }
    if (vary.headers && vary.headers->nelts > LA_VARY_HEADERS_MAX) {
        return apr_psprintf(pool, "names more than %d headers", LA_VARY_HEADERS_MAX);
    }
    *FIELD(la_vary_t, option, base) = vary;
    return NULL;
}

const char *la_option_permits(apr_pool_t *pool, const la_option_t *option, void *base, int count,
                              const char *const *words)
{
    const char *text = words[0];
    apr_int64_t number;

    (void)count;
    if (!la_units_number(&text, LA_PERMITS_MAX, &number) || *text || number == 0) {
        return apr_psprintf(pool, "'%s' is no number from 1 to %d", words[0], LA_PERMITS_MAX);
    }
    *FIELD(apr_uint32_t, option, base) = (apr_uint32_t)number;
    return NULL;
}

const char *la_option_breaker(apr_pool_t *pool, const la_option_t *option, void *base, int count,
                              const char *const *words)
{
    la_breaker_t *breaker = FIELD(la_breaker_t, option, base);
    const char *text = words[0];
    apr_int64_t failures;

    if (count == 1 && strcasecmp(words[0], "off") == 0) {
        *breaker = (la_breaker_t){0};
        return NULL;
    }
    if (count != 2 || !la_units_number(&text, 1000000, &failures) || *text || failures == 0) {
        return "takes a number of failures above 0 and a duration, or off";
    }
    if (!la_units_duration(words[1], &breaker->open_us) || breaker->open_us == 0) {
        return apr_psprintf(pool, "'%s' is no duration above 0", words[1]);
    }
    breaker->failures = (apr_uint32_t)failures;
    return NULL;
}

/* Two names that are not UTF-8 could look the same in JSON. */
static int is_plain_text(const char *text)
{
    apr_size_t len = strlen(text);
    apr_size_t at = 0;
    unsigned code;

    while (at < len) {
        at += la_utf8_decode((const unsigned char *)text + at, len - at, &code);
        if (code == LA_NOT_UTF8 || code < ' ' || code == 0x7f) {
            return 0;
        }
    }
    return 1;
}

/* How a Claim line's third word says that its values are taken; returns 0 when there is no such
 * word. */
static int parse_claim_form(const char *word, la_claim_form_e *form)
{
    *form = strcasecmp(word, "split") == 0 ? LA_CLAIM_SPLIT : LA_CLAIM_KEYS;
    return *form == LA_CLAIM_SPLIT || strcasecmp(word, "keys") == 0;
}

const char *la_option_claim(apr_pool_t *pool, const la_option_t *option, void *base, int count,
                            const char *const *words)
{
    apr_array_header_t **maps = FIELD(apr_array_header_t *, option, base);
    la_claim_form_e form = LA_CLAIM_WHOLE;
    la_claim_map_t *map;

    if (!*words[0] || !*words[1]) {
        return "neither the claim nor the category may be empty";
    }
    if (!is_plain_text(words[1])) {
        return "the category must be UTF-8 without control characters";
    }
    if (!is_plain_text(words[0])) {
        return "the claim must be UTF-8 without control characters";
    }
    if (count > 2 && !parse_claim_form(words[2], &form)) {
        return apr_psprintf(pool, "'%s' is neither split nor keys", words[2]);
    }
    if (!*maps) {
        *maps = apr_array_make(pool, 4, sizeof(la_claim_map_t));
    }
    map = apr_array_push(*maps);
    map->source = apr_pstrdup(pool, words[0]);
    map->category = apr_pstrdup(pool, words[1]);
    map->form = form;
    return NULL;
}

const la_option_t *la_option_find(const la_option_t *table, const char *name)
{
    for (; table->name; table++) {
        if (strcasecmp(table->name, name) == 0) {
            return table;
        }
    }
    return NULL;
}

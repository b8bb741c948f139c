/* Parses options. Runs while the configuration is read. */
#include "provider/option.h"

#include "access/claims.h"
#include "base/json_scan.h"
#include "base/params.h"
#include "base/units.h"
#include "io/file.h"
#include "io/http.h"
#include "io/secret.h"
#include "io/server.h"

#include <unistd.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include <openssl/err.h>
#include <openssl/pem.h>

/* Whether it is UTF-8 without control characters: other names could look the same in JSON. */
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

/* What is wrong with a word that is compared with what clients or providers send. */
static const char *find_fault(const char *word)
{
    if (!*word) {
        return "may not be empty";
    }
    return is_plain_text(word) ? NULL : "must be UTF-8 without control characters";
}

const char *la_option_word(const la_option_line_t *line)
{
    *LA_OPTION_FIELD(const char *, line) = apr_pstrdup(line->pool, line->words[0]);
    return find_fault(line->words[0]);
}

const char *la_option_words(const la_option_line_t *line)
{
    apr_array_header_t **list = LA_OPTION_FIELD(apr_array_header_t *, line);

    if (!*list) {
        *list = apr_array_make(line->pool, line->count, sizeof(const char *));
    }
    for (int i = 0; i < line->count; i++) {
        const char *error = find_fault(line->words[i]);

        if (error) {
            return apr_pstrcat(line->pool, "a name ", error, NULL);
        }
        APR_ARRAY_PUSH(*list, const char *) = apr_pstrdup(line->pool, line->words[i]);
    }
    return NULL;
}

const char *la_option_on_off(const la_option_line_t *line)
{
    int on = strcasecmp(line->words[0], "on") == 0;

    if (!on && strcasecmp(line->words[0], "off") != 0) {
        return "must be on or off";
    }
    *LA_OPTION_FIELD(int, line) = on;
    return NULL;
}

const char *la_option_choice(const la_option_line_t *line)
{
    const char *choice = line->option->help;

    for (int index = 0; *choice; index++) {
        apr_size_t len = strcspn(choice, "|");

        if (strlen(line->words[0]) == len && strncasecmp(line->words[0], choice, len) == 0) {
            *LA_OPTION_FIELD(int, line) = index;
            return NULL;
        }
        choice += choice[len] ? len + 1 : len;
    }
    return apr_psprintf(line->pool, "'%s' is none of %s", line->words[0], line->option->help);
}

const char *la_option_duration(const la_option_line_t *line)
{
    if (!la_units_duration(line->words[0], LA_OPTION_FIELD(apr_interval_time_t, line))) {
        return apr_psprintf(
            line->pool, "'%s' is no duration: write 500ms, 10s, 5m, 1h, 1d or a number of seconds",
            line->words[0]);
    }
    return NULL;
}

const char *la_option_positive_duration(const la_option_line_t *line)
{
    const char *error = la_option_duration(line);

    if (!error && *LA_OPTION_FIELD(apr_interval_time_t, line) == 0) {
        error = "must be above 0";
    }
    return error;
}

const char *la_option_size(const la_option_line_t *line)
{
    apr_size_t *bytes = LA_OPTION_FIELD(apr_size_t, line);

    if (!la_units_size(line->words[0], bytes) || *bytes == 0) {
        return apr_psprintf(line->pool,
                            "'%s' is no size: write a number of bytes above 0, or 64K, 1M, 1G",
                            line->words[0]);
    }
    return NULL;
}

const char *la_option_path(const la_option_line_t *line)
{
    const char *path = la_host()->path(line->pool, line->words[0]);

    *LA_OPTION_FIELD(const char *, line) = path;
    return path ? NULL : apr_psprintf(line->pool, "'%s' is no path", line->words[0]);
}

/* Opens the file that the line names. fd: -1 on failure. */
static const char *open_named(const la_option_line_t *line, int *fd)
{
    const char *error = la_option_path(line);
    const char *path = *LA_OPTION_FIELD(const char *, line);

    *fd = -1;
    if (error) {
        return error;
    }
    error = la_file_open(line->pool, path, fd);
    return error ? apr_psprintf(line->pool, "%s: %s", path, error) : NULL;
}

const char *la_option_readable_file(const la_option_line_t *line)
{
    int fd;
    const char *error = open_named(line, &fd);

    if (!error) {
        close(fd);
    }
    return error;
}

/* Whether a file has a certificate in PEM. Closes it. */
static int has_certificate(int fd)
{
    BIO *file = BIO_new_fd(fd, BIO_NOCLOSE);
    X509 *certificate = file ? PEM_read_bio_X509(file, NULL, NULL, NULL) : NULL;
    int found = certificate != NULL;

    X509_free(certificate);
    BIO_free(file);
    ERR_clear_error();
    close(fd);
    return found;
}

const char *la_option_certificates(const la_option_line_t *line)
{
    int fd;
    const char *error = open_named(line, &fd);

    if (!error && !has_certificate(fd)) {
        error = apr_psprintf(line->pool, "%s holds no certificate in PEM",
                             *LA_OPTION_FIELD(const char *, line));
    }
    return error;
}

const char *la_option_url(const la_option_line_t *line)
{
    la_url_t *url = LA_OPTION_FIELD(la_url_t, line);
    const char *error = la_url_check(line->pool, line->words[0], &url->authority);

    url->url = error ? NULL : apr_pstrdup(line->pool, line->words[0]);
    return error;
}

const char *la_option_base_url(const la_option_line_t *line)
{
    la_url_t *url = LA_OPTION_FIELD(la_url_t, line);
    const char *error = la_option_url(line);
    apr_size_t len = strlen(line->words[0]);

    if (error) {
        return error;
    }
    while (line->words[0][len - 1] == '/') {
        len--;
    }
    url->url = apr_pstrmemdup(line->pool, line->words[0], len);
    return strchr(line->words[0], '?') ? "must have no query" : NULL;
}

const char *la_option_proxy(const la_option_line_t *line)
{
    const char *authority;
    const char *error = la_url_check(line->pool, line->words[0], &authority);

    *LA_OPTION_FIELD(const char *, line) = apr_pstrdup(line->pool, line->words[0]);
    if (!error && strncasecmp(line->words[0], "http://", 7) != 0) {
        error = "must be an http:// URL";
    }
    return error;
}

const char *la_option_secret(const la_option_line_t *line)
{
    return la_secret_make(line->pool, line->words[0], LA_OPTION_FIELD(la_secret_t *, line));
}

const char *la_option_regex(const la_option_line_t *line)
{
    const void *regex;

    if (!*line->words[0]) {
        return "may not be empty: without it all tokens are given to this provider";
    }
    regex = la_host()->regex_compile(line->pool, line->words[0]);
    *LA_OPTION_FIELD(const void *, line) = regex;
    return regex ? NULL : apr_psprintf(line->pool, "'%s' is no regular expression", line->words[0]);
}

static const char *add_vary_header(apr_pool_t *pool, la_vary_t *vary, const char *name)
{
    if (strcasecmp(name, "DPoP") == 0) {
        return "header:DPoP is another one in each request: no verdict would be found again";
    }
    if (!vary->headers) {
        vary->headers = apr_array_make(pool, 2, sizeof(const char *));
    }
    APR_ARRAY_PUSH(vary->headers, const char *) = apr_pstrdup(pool, name);
    return vary->headers->nelts > LA_VARY_HEADERS_MAX
               ? apr_psprintf(pool, "names more than %d headers", LA_VARY_HEADERS_MAX)
               : NULL;
}

/* Adds one field of CacheVary. Returns NULL, or what is wrong. */
static const char *add_vary(apr_pool_t *pool, la_vary_t *vary, const char *word)
{
    static const char header[] = "header:";

    if (strncasecmp(word, header, sizeof(header) - 1) == 0 &&
        la_params_is_name(word + sizeof(header) - 1)) {
        return add_vary_header(pool, vary, word + sizeof(header) - 1);
    }
    if (strcasecmp(word, "path") == 0) {
        vary->path = 1;
    } else if (strcasecmp(word, "params") == 0) {
        vary->params = 1;
    } else if (strcasecmp(word, "client_ip") == 0) {
        vary->client_ip = 1;
    } else {
        return apr_psprintf(
            pool, "'%s' is none of path, params, header:NAME, client_ip, or none alone", word);
    }
    return NULL;
}

const char *la_option_vary(const la_option_line_t *line)
{
    la_vary_t vary = {0};
    const char *error = NULL;

    if (line->count > 1 || strcasecmp(line->words[0], "none") != 0) {
        for (int i = 0; i < line->count && !error; i++) {
            error = add_vary(line->pool, &vary, line->words[i]);
        }
    }
    if (!error) {
        *LA_OPTION_FIELD(la_vary_t, line) = vary;
    }
    return error;
}

const char *la_option_permits(const la_option_line_t *line)
{
    const char *text = line->words[0];
    apr_int64_t number;

    if (!la_units_number(&text, LA_PERMITS_MAX, &number) || *text || number == 0) {
        return apr_psprintf(line->pool, "'%s' is no number from 1 to %d", line->words[0],
                            LA_PERMITS_MAX);
    }
    *LA_OPTION_FIELD(apr_uint32_t, line) = (apr_uint32_t)number;
    return NULL;
}

const char *la_option_breaker(const la_option_line_t *line)
{
    la_breaker_t *breaker = LA_OPTION_FIELD(la_breaker_t, line);
    const char *text = line->words[0];
    apr_int64_t failures;

    if (line->count == 1 && strcasecmp(line->words[0], "off") == 0) {
        *breaker = (la_breaker_t){0};
        return NULL;
    }
    if (line->count != 2 || !la_units_number(&text, 1000000, &failures) || *text || failures == 0) {
        return "takes a number of failures above 0 and a duration, or off";
    }
    if (!la_units_duration(line->words[1], &breaker->open_us) || breaker->open_us == 0) {
        return apr_psprintf(line->pool, "'%s' is no duration above 0", line->words[1]);
    }
    breaker->failures = (apr_uint32_t)failures;
    return NULL;
}

/* Reads a Claim line's third word. Returns 0 if it is neither. */
static int parse_claim_form(const char *word, la_claim_form_e *form)
{
    *form = strcasecmp(word, "split") == 0 ? LA_CLAIM_SPLIT : LA_CLAIM_KEYS;
    return *form == LA_CLAIM_SPLIT || strcasecmp(word, "keys") == 0;
}

const char *la_option_claim(const la_option_line_t *line)
{
    apr_array_header_t **maps = LA_OPTION_FIELD(apr_array_header_t *, line);
    la_claim_form_e form = LA_CLAIM_WHOLE;
    la_claim_map_t *map;

    if (!*line->words[0] || !*line->words[1]) {
        return "neither the claim nor the category may be empty";
    }
    if (!is_plain_text(line->words[1])) {
        return "the category must be UTF-8 without control characters";
    }
    if (!is_plain_text(line->words[0])) {
        return "the claim must be UTF-8 without control characters";
    }
    if (line->count > 2 && !parse_claim_form(line->words[2], &form)) {
        return apr_psprintf(line->pool, "'%s' is neither split nor keys", line->words[2]);
    }
    if (!*maps) {
        *maps = apr_array_make(line->pool, 4, sizeof(la_claim_map_t));
    }
    map = apr_array_push(*maps);
    map->source = apr_pstrdup(line->pool, line->words[0]);
    map->category = apr_pstrdup(line->pool, line->words[1]);
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

/* ---- what a misspelled name may mean ---- */

#define NAME_MAX_BYTES 40

static int least(int a, int b, int c)
{
    int ab = a < b ? a : b;

    return ab < c ? ab : c;
}

/* Levenshtein's distance in any case, with two rows of the table in one. */
static int distance(const char *a, const char *b)
{
    int row[NAME_MAX_BYTES + 1];
    int width = (int)strlen(b);

    for (int j = 0; j <= width; j++) {
        row[j] = j;
    }
    for (int i = 0; a[i]; i++) {
        int diagonal = row[0];

        row[0] = i + 1;
        for (int j = 1; j <= width; j++) {
            int same = apr_tolower(a[i]) == apr_tolower(b[j - 1]);
            int above = row[j];

            row[j] = least(above + 1, row[j - 1] + 1, diagonal + !same);
            diagonal = above;
        }
    }
    return row[width];
}

const char *la_option_nearest(const apr_array_header_t *names, const char *name)
{
    const char *best = NULL;
    int best_distance = (int)strlen(name) / 2 + 1;

    if (strlen(name) > NAME_MAX_BYTES) {
        return NULL;
    }
    for (int i = 0; i < names->nelts; i++) {
        const char *candidate = APR_ARRAY_IDX(names, i, const char *);
        int d = strlen(candidate) <= NAME_MAX_BYTES ? distance(name, candidate) : best_distance;

        if (d < best_distance) {
            best = candidate;
            best_distance = d;
        }
    }
    return best;
}

#include "io/http.h"

#include <string.h>
#include <strings.h>

#include <apr_strings.h>

#include <curl/curl.h>

/* Where the authority begins, or NULL if the URL is neither http nor https. */
static const char *find_authority(const char *url)
{
    if (strncasecmp(url, "http://", 7) == 0) {
        return url + 7;
    }
    return strncasecmp(url, "https://", 8) == 0 ? url + 8 : NULL;
}

/* Checks what curl's parser lets through. */
static const char *check_text(const char *url)
{
    const char *authority = find_authority(url);
    const char *p;

    for (p = url; *p; p++) {
        if (*p <= ' ' || *p >= 0x7f) {
            return "a URL holds no spaces, no control characters and nothing beyond ASCII";
        }
    }
    if (!authority) {
        return "must begin with http:// or https://";
    }
    if (strchr(url, '#')) {
        return "must have no fragment";
    }
    if (memchr(authority, '@', strcspn(authority, "/?"))) {
        return "must have no user and no password";
    }
    return strcspn(authority, "/?") > 0 ? NULL : "names no host";
}

/* A part of a parsed URL, NULL if it has none. */
static const char *url_part(apr_pool_t *pool, CURLU *parsed, CURLUPart which)
{
    char *text = NULL;
    const char *part = NULL;

    if (curl_url_get(parsed, which, &text, 0) == CURLUE_OK && text) {
        part = apr_pstrdup(pool, text);
    }
    curl_free(text);
    return part;
}

static const char *parse_url(apr_pool_t *pool, CURLU *parsed, const char *url,
                             const char **authority)
{
    CURLUcode code = curl_url_set(parsed, CURLUPART_URL, url, 0);
    const char *host;
    const char *port;

    if (code != CURLUE_OK) {
        return apr_psprintf(pool, "is not a URL (%s)", curl_url_strerror(code));
    }
    host = url_part(pool, parsed, CURLUPART_HOST);
    port = url_part(pool, parsed, CURLUPART_PORT);
    if (!host || !*host) {
        return "names no host";
    }
    if (port && strspn(port, "0") == strlen(port)) {
        return "port 0 cannot be called";
    }
    *authority = port ? apr_pstrcat(pool, host, ":", port, NULL) : host;
    return NULL;
}

const char *la_url_without_query(apr_pool_t *pool, const char *url)
{
    return apr_pstrmemdup(pool, url, strcspn(url, "?"));
}

const char *la_url_check(apr_pool_t *pool, const char *url, const char **authority)
{
    const char *error = check_text(url);
    CURLU *parsed;

    *authority = NULL;
    if (error) {
        return error;
    }
    parsed = curl_url();
    if (!parsed) {
        return "out of memory";
    }
    error = parse_url(pool, parsed, url, authority);
    curl_url_cleanup(parsed);
    return error;
}

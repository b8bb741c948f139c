/* Discovery: where an issuer's metadata is, and what of it is believed. Called by documents'
 * fetches (remote_doc.c), in any thread, by one at a time. The metadata decides whose signatures
 * count. So nothing is read from metadata that names another issuer (RFC 8414 section 3.3), and an
 * https issuer cannot lead to plain http. */
#include "provider/discovery.h"

#include "base/json.h"

#include <string.h>

#include <apr_strings.h>

#include <arpa/inet.h>

#define OPENID "/.well-known/openid-configuration"
#define OAUTH  "/.well-known/oauth-authorization-server"

#define MAX_PLACES 3

/* Where the name of a metadata document begins in a URL, or NULL. */
static const char *metadata_path(const char *url)
{
    const char *found = strstr(url, OPENID);
    const char *end = found ? found + strlen(OPENID) : NULL;

    if (!found) {
        found = strstr(url, OAUTH);
        end = found ? found + strlen(OAUTH) : NULL;
    }
    return end && (!*end || *end == '/') ? found : NULL;
}

const char *la_discovery_issuer_check(apr_pool_t *pool, const char *issuer, const char **authority)
{
    const char *error = la_url_check(pool, issuer, authority);
    const char *metadata = metadata_path(issuer);

    if (error || !metadata) {
        return error || !strchr(issuer, '?') ? error : "must have no query";
    }
    return apr_pstrcat(pool, "is the URL of the metadata; write the issuer that it names, as in: ",
                       apr_pstrmemdup(pool, issuer, (apr_size_t)(metadata - issuer)), NULL);
}

const char *la_discovery_issuer_option(const la_option_line_t *line)
{
    la_url_t *issuer = LA_OPTION_FIELD(la_url_t, line);
    const char *error = la_discovery_issuer_check(line->pool, line->words[0], &issuer->authority);

    issuer->url = error ? NULL : apr_pstrdup(line->pool, line->words[0]);
    return error;
}

static int is_https(const char *url)
{
    return strncasecmp(url, "https://", 8) == 0;
}

/* Where the path begins, or the query, or the end. */
static const char *after_authority(const char *url)
{
    const char *authority = url + (is_https(url) ? 8 : 7);

    return authority + strcspn(authority, "/?");
}

int la_discovery_same_origin(const char *a, const char *b)
{
    apr_size_t len = (apr_size_t)(after_authority(a) - a);

    return len == (apr_size_t)(after_authority(b) - b) && strncasecmp(a, b, len) == 0;
}

static int is_loopback(const char *authority)
{
    char host[INET6_ADDRSTRLEN + 1];
    int bracketed = *authority == '[';
    apr_size_t len = strcspn(authority, bracketed ? "]" : ":");
    struct in6_addr six;
    struct in_addr four;

    if (len >= sizeof(host)) {
        return 0;
    }
    apr_cpystrn(host, authority, len + 1);
    if (bracketed) {
        return inet_pton(AF_INET6, host + 1, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
    }
    return strcasecmp(host, "localhost") == 0 ||
           (inet_pton(AF_INET, host, &four) == 1 && ntohl(four.s_addr) >> 24 == 127);
}

int la_discovery_is_exposed(const la_url_t *url)
{
    return !is_https(url->url) && !is_loopback(url->authority);
}

/* Lists where an issuer's metadata may be, likeliest first. A slash at the issuer's end does not
 * count (OpenID Connect Discovery section 4.1, RFC 8414 section 3.1). Returns how many places. */
static int places_of(const char *issuer, apr_pool_t *pool, const char *places[MAX_PLACES])
{
    apr_size_t len = strlen(issuer);
    const char *base = apr_pstrmemdup(pool, issuer, issuer[len - 1] == '/' ? len - 1 : len);
    const char *path = after_authority(base);
    const char *origin = apr_pstrmemdup(pool, base, (apr_size_t)(path - base));

    places[0] = apr_pstrcat(pool, base, OPENID, NULL);
    places[1] = apr_pstrcat(pool, origin, OAUTH, path, NULL);
    places[2] = apr_pstrcat(pool, origin, OPENID, path, NULL);
    return *path ? MAX_PLACES : MAX_PLACES - 1; /* without a path the third is the first */
}

const char *la_discovery_get(la_http_t *http, const char *url, const apr_table_t *headers,
                             apr_time_t deadline_us, apr_pool_t *pool, la_slice_t *body,
                             int *status)
{
    la_http_request_t request = {
        .method = "GET", .url = url, .headers = headers, .deadline_us = deadline_us};
    la_http_response_t response;
    int answered;

    la_http_call(http, &request, pool, &response);
    answered = response.outcome == LA_HTTP_ANSWERED;
    *status = answered ? response.status : 0;
    *body = *status == 200 ? response.body : LA_SLICE("");
    if (!answered) {
        return apr_psprintf(pool, "%s: %s", la_url_without_query(pool, url), response.reason);
    }
    return *status == 200 ? NULL
                          : apr_psprintf(pool, "%s: the answer was %d, expected 200",
                                         la_url_without_query(pool, url), *status);
}

/* Whether a status says that there is no metadata in that place; else it is an outage. */
static int is_elsewhere(int status)
{
    return status >= 400 && status < 500 && status != 408 && status != 425 && status != 429;
}

static const char *check_issuer(const la_json_t *metadata, const char *issuer, apr_pool_t *pool)
{
    const la_json_t *member;
    la_slice_t text;

    if (!la_json_member(metadata, "issuer", &member)) {
        return apr_psprintf(pool, "issuer is missing, expected %s", issuer);
    }
    if (!la_json_string(member, &text)) {
        return "issuer is not a string";
    }
    if (!la_slice_is(text, issuer)) {
        return apr_psprintf(pool,
                            "issuer is %s, expected %s (Issuer must be spelt as the metadata "
                            "does)",
                            la_json_quoted(pool, text), issuer);
    }
    return NULL;
}

static const char *take_url(const la_json_t *metadata, const char *issuer, const char *name,
                            apr_pool_t *pool, const char **url)
{
    const la_json_t *member;
    const char *authority;
    const char *error;
    const char *found;
    la_slice_t text;

    if (!la_json_member(metadata, name, &member)) {
        return apr_psprintf(pool, "%s is missing", name);
    }
    if (!la_json_string(member, &text) || memchr(text.data, '\0', text.len)) {
        return apr_psprintf(pool, "%s is not a string", name);
    }
    found = apr_pstrmemdup(pool, text.data, text.len);
    error = la_url_check(pool, found, &authority);
    if (error) {
        return apr_psprintf(pool, "%s: %s", name, error);
    }
    if (is_https(issuer) && !is_https(found)) {
        return apr_psprintf(pool, "%s is plain http, expected https as in Issuer", name);
    }
    *url = found;
    return NULL;
}

static const char *read_metadata(la_slice_t body, const char *issuer, const char *name,
                                 apr_pool_t *pool, const char **url)
{
    const la_json_t *metadata;
    const char *error = la_json_parse(pool, body, &metadata);

    if (error) {
        return apr_psprintf(pool, "not JSON: %s", error);
    }
    if (la_json_type(metadata) != LA_JSON_OBJECT) {
        return "not a JSON object";
    }
    error = check_issuer(metadata, issuer, pool);
    return error ? error : take_url(metadata, issuer, name, pool, url);
}

const char *la_discovery_find(la_http_t *http, const char *issuer, const char *member,
                              apr_time_t deadline_us, apr_pool_t *pool, const char **url)
{
    apr_table_t *headers = apr_table_make(pool, 1);
    const char *places[MAX_PLACES];
    int count = places_of(issuer, pool, places);
    const char *errors = "";

    *url = NULL;
    apr_table_setn(headers, "Accept", "application/json");
    for (int i = 0; i < count; i++) {
        la_slice_t body;
        int status;
        const char *error =
            la_discovery_get(http, places[i], headers, deadline_us, pool, &body, &status);

        if (!error) {
            error = read_metadata(body, issuer, member, pool, url);
            return error ? apr_psprintf(pool, "%s: %s", places[i], error) : NULL;
        }
        errors = apr_pstrcat(pool, errors, i > 0 ? "; " : "", error, NULL);
        if (!is_elsewhere(status)) {
            break;
        }
    }
    return errors;
}

/* The `github` provider: GitHub's REST API, asked under the caller's own token, says who the caller
 * is and, where the configuration wants it, the organizations and teams. Owns the questions, the
 * pages and the verdicts; the calls are http.c's.
 *
 * Options and finish run while the configuration is read; verify in any request thread, on
 * a configuration that nobody changes.
 */
#include "provider/provider.h"

#include "access/claims.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/timestamp.h"
#include "io/server.h"

#include <stddef.h>
#include <string.h>

#include <apr_strings.h>

#define DEFAULT_BASE     "https://api.github.com"
#define MESSAGE_REJECTED "GitHub token validation failed. Please check your token and try again."

/* The most that the API puts on a page, and the pages that are read of one list. */
#define PAGE_ENTRIES 100
#define PAGES_MAX    10

#define SCOPE_SEPARATORS ", \t\r"

typedef struct github_conf_t {
    la_url_t base;
    int organizations;
    int teams;
    const char *root; /* what paths are appended to: the base without a slash at its end */
} github_conf_t;

/* One verification under way: its calls, which share one deadline, and what they have brought. */
typedef struct session_t {
    const la_provider_t *provider;
    const apr_table_t *headers;
    apr_time_t deadline_us;
    apr_pool_t *pool;
    la_result_t *result;
    const char *login;
    const char *id;                    /* NULL when the answer has none */
    const char *scopes;                /* the field; NULL when it did not come */
    apr_array_header_t *organizations; /* of const char * */
    apr_array_header_t *teams;         /* of const char * */
} session_t;

/* ---- options ---- */

#define CONF(field) offsetof(github_conf_t, field)

static const la_option_t github_options[] = {
    {"ApiBase", la_option_url, CONF(base), 1, 1, 0, "URL"},
    {"Organizations", la_option_on_off, CONF(organizations), 1, 1, 0, "on|off"},
    {"Teams", la_option_on_off, CONF(teams), 1, 1, 0, "on|off"},
    LA_OPTION_END};

static const char *github_finish(la_provider_t *provider, apr_pool_t *pool)
{
    github_conf_t *conf = provider->conf;
    const char *base = conf->base.url ? conf->base.url : DEFAULT_BASE;
    apr_size_t len = strlen(base);

    if (strchr(base, '?')) {
        return "ApiBase: must have no query";
    }
    la_provider_warn_of_plain_http(provider, "ApiBase", &conf->base);
    while (base[len - 1] == '/') {
        len--;
    }
    conf->root = apr_pstrmemdup(pool, base, len);
    return NULL;
}

static const char *github_hint(const la_provider_t *provider, apr_pool_t *pool)
{
    (void)provider;
    (void)pool;
    return "Authentication required. Please provide a valid GitHub access token "
           "(https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/"
           "managing-your-personal-access-tokens) in the Authorization header (Bearer <token>)";
}

/* ---- one call ---- */

static int malformed(const session_t *s, const char *path, const char *what)
{
    la_result_set(s->result, LA_VERDICT_UNAVAILABLE, LA_MESSAGE_ERROR,
                  apr_pstrcat(s->pool, "GitHub's answer to ", path, ": ", what, NULL));
    return 0;
}

static int unusable(const session_t *s, const char *path, const char *what)
{
    la_result_set_unusable(s->result, LA_MESSAGE_ERROR,
                           apr_pstrcat(s->pool, "in GitHub's answer to ", path, " ", what, NULL));
    return 0;
}

/* What a 403 says when it refuses everybody for a while, valid tokens too, and has no header field
 * that tells. */
static int speaks_of_a_limit(la_slice_t body, apr_pool_t *pool)
{
    static const char *const phrases[] = {"rate limit", "login attempts exceeded", NULL};
    const char *const *phrase;
    const la_json_t *answer;
    const la_json_t *member;
    la_slice_t text;

    if (la_json_parse(pool, body, &answer) || !la_json_member(answer, "message", &member) ||
        !la_json_string(member, &text)) {
        return 0;
    }
    for (phrase = phrases; *phrase; phrase++) {
        if (strcasestr(apr_pstrmemdup(pool, text.data, text.len), *phrase)) {
            return 1;
        }
    }
    return 0;
}

/* Whether a 403 is about too many calls (docs.github.com, "Rate limits for the REST API"). */
static int is_limited(const la_http_response_t *response, apr_pool_t *pool)
{
    const char *remaining = apr_table_get(response->headers, "X-RateLimit-Remaining");

    return (remaining && strcmp(remaining, "0") == 0) ||
           apr_table_get(response->headers, "Retry-After") ||
           speaks_of_a_limit(response->body, pool);
}

/* Judges a status. Returns 1 when there is a body to read, else 0 with the result set. */
static int judge_status(const session_t *s, const char *path, const la_http_response_t *response,
                        apr_pool_t *pool)
{
    int status = response->status;
    int limited = status == 429 || (status == 403 && is_limited(response, pool));
    const char *reason = apr_psprintf(s->pool, "GitHub answered %d to %s%s", status, path,
                                      limited ? ": the rate limit is exhausted" : "");

    if (status == 200) {
        return 1;
    }
    if (status == 401 || (status == 403 && !limited)) {
        la_result_set(s->result, LA_VERDICT_REJECTED, MESSAGE_REJECTED, reason);
    } else {
        la_result_set(s->result, LA_VERDICT_UNAVAILABLE, LA_MESSAGE_ERROR, reason);
    }
    return 0;
}

/* Asks for one document. `pool` holds it and all that the call needs; only the result is in the
 * session's.
 *
 * path: with its query. Returns 1, or 0 with the result set.
 */
static int get(const session_t *s, const char *path, apr_pool_t *pool, la_http_response_t *response,
               const la_json_t **document)
{
    static const char *const wanted[] = {"X-OAuth-Scopes", "X-RateLimit-Remaining", "Retry-After",
                                         "GitHub-Authentication-Token-Expiration", NULL};
    const github_conf_t *conf = s->provider->conf;
    la_http_request_t request = {.method = "GET",
                                 .url = apr_pstrcat(pool, conf->root, path, NULL),
                                 .headers = s->headers,
                                 .wanted = wanted,
                                 .deadline_us = s->deadline_us};
    const char *error;

    la_http_call(s->provider->child->http, &request, pool, response);
    la_result_take_call(s->result, response);
    if (response->outcome != LA_HTTP_ANSWERED) {
        la_result_set_failed(s->result, response);
        s->result->reason = apr_pstrdup(s->pool, s->result->reason);
        return 0;
    }
    if (!judge_status(s, path, response, pool)) {
        return 0;
    }
    error = la_json_parse(pool, response->body, document);
    return error ? malformed(s, path, apr_pstrcat(pool, "not JSON: ", error, NULL)) : 1;
}

/* ---- the user ---- */

/* A member that names a user, an organization or a team: visible ASCII, and no `/`, which joins an
 * organization and its team. In the session's pool; NULL when it is anything else. */
static const char *name_in(const session_t *s, const la_json_t *object, const char *member)
{
    const la_json_t *value;
    la_slice_t name;
    apr_size_t i;

    la_json_member(object, member, &value);
    if (!la_json_string(value, &name) || name.len == 0) {
        return NULL;
    }
    for (i = 0; i < name.len; i++) {
        if (name.data[i] <= ' ' || name.data[i] >= 0x7f || name.data[i] == '/') {
            return NULL;
        }
    }
    return apr_pstrmemdup(s->pool, name.data, name.len);
}

/* The numeric id as text. Returns 0 when there is one that is no number. */
static int read_id(session_t *s, const la_json_t *user)
{
    const la_json_t *value;
    la_slice_t text;

    if (!la_json_member(user, "id", &value) || !value) {
        return 1;
    }
    if (la_json_type(value) != LA_JSON_NUMBER || !la_json_scalar_text(s->pool, value, &text)) {
        return 0;
    }
    s->id = apr_pstrmemdup(s->pool, text.data, text.len);
    return 1;
}

static int read_user(session_t *s)
{
    la_http_response_t response;
    const la_json_t *user;
    const char *end;

    if (!get(s, "/user", s->pool, &response, &user)) {
        return 0;
    }
    if (la_json_type(user) != LA_JSON_OBJECT) {
        return malformed(s, "/user", "not an object");
    }
    s->login = name_in(s, user, "login");
    if (!s->login) {
        return unusable(s, "/user", "login is not a name");
    }
    if (!read_id(s, user)) {
        return unusable(s, "/user", "id is not a number");
    }
    s->scopes = apr_table_get(response.headers, "X-OAuth-Scopes");
    end = apr_table_get(response.headers, "GitHub-Authentication-Token-Expiration");
    if (end && la_timestamp_parse_zoned(end, &s->result->expires) && s->result->expires <= 0) {
        s->result->expires = 1; /* long past; 0 would mean never */
    }
    return 1;
}

/* ---- organizations and teams ---- */

/* Makes the value of one entry of a list, in the session's pool; NULL when the entry is of another
 * form. */
typedef const char *entry_fn(const session_t *s, const la_json_t *entry);

static const char *organization_of(const session_t *s, const la_json_t *entry)
{
    return name_in(s, entry, "login");
}

static const char *team_of(const session_t *s, const la_json_t *entry)
{
    const la_json_t *organization;
    const char *owner;
    const char *slug = name_in(s, entry, "slug");

    la_json_member(entry, "organization", &organization);
    owner = name_in(s, organization, "login");
    return owner && slug ? apr_pstrcat(s->pool, owner, "/", slug, NULL) : NULL;
}

static int take_entries(const session_t *s, const char *path, const la_json_t *list,
                        entry_fn *value_of, apr_array_header_t *values)
{
    apr_size_t i;

    for (i = 0; i < la_json_count(list); i++) {
        const la_json_t *entry = la_json_item(list, i);
        const char *value = entry ? value_of(s, entry) : NULL;

        if (entry && !value) {
            return malformed(s, path, "an entry has no name");
        }
        if (value) {
            APR_ARRAY_PUSH(values, const char *) = value;
        }
    }
    return 1;
}

/* One page, in memory that goes with it. full: whether there may be more. Returns 1, or 0 with the
 * result set. */
static int read_page(const session_t *s, const char *path, entry_fn *value_of,
                     apr_array_header_t *values, int *full)
{
    la_http_response_t response;
    const la_json_t *list;
    apr_pool_t *pool;
    int good;

    *full = 0;
    apr_pool_create(&pool, s->pool);
    good = get(s, path, pool, &response, &list);
    if (good && la_json_type(list) != LA_JSON_ARRAY) {
        good = malformed(s, path, "not a list");
    }
    if (good) {
        good = take_entries(s, path, list, value_of, values);
        *full = la_json_count(list) >= PAGE_ENTRIES;
    }
    apr_pool_destroy(pool);
    return good;
}

/* Reads a list, page by page. What is beyond the last page that is read only takes rights away. */
static int read_list(const session_t *s, const char *path, entry_fn *value_of,
                     apr_array_header_t **values)
{
    int full = 1;
    int page;

    *values = apr_array_make(s->pool, 8, sizeof(const char *));
    for (page = 1; full && page <= PAGES_MAX; page++) {
        const char *target =
            apr_psprintf(s->pool, "%s?per_page=%d&page=%d", path, PAGE_ENTRIES, page);

        if (!read_page(s, target, value_of, *values, &full)) {
            return 0;
        }
    }
    if (full) {
        la_log(LA_LOG_WARNING,
               LA_LOGNO(0085) "provider %s: %s lists more than %d entries for a caller; the rest "
                              "counts as not there",
               s->provider->name, path, PAGE_ENTRIES * PAGES_MAX);
    }
    return 1;
}

static int read_memberships(session_t *s)
{
    const github_conf_t *conf = s->provider->conf;

    return (!conf->organizations ||
            read_list(s, "/user/orgs", organization_of, &s->organizations)) &&
           (!conf->teams || read_list(s, "/user/teams", team_of, &s->teams));
}

/* ---- the identity ---- */

static void write_member(la_json_writer_t *writer, const char *name)
{
    la_json_write_raw(writer, writer->len > 0 ? LA_SLICE(",") : LA_SLICE("{"));
    la_json_write_string(writer, la_slice_of(name));
    la_json_write_raw(writer, LA_SLICE(":"));
}

static void write_list(la_json_writer_t *writer, const char *name, const apr_array_header_t *values)
{
    if (!values) {
        return;
    }
    write_member(writer, name);
    la_json_write_strings(writer, values);
}

/* "repo, user:email" as a list; NULL where GitHub names no scopes, as for fine-grained tokens. The
 * carriage return is what libcurl 7.88 leaves of an empty field. */
static apr_array_header_t *split_scopes(const char *field, apr_pool_t *pool)
{
    apr_array_header_t *scopes;
    char *state;
    char *word;

    if (!field) {
        return NULL;
    }
    scopes = apr_array_make(pool, 8, sizeof(const char *));
    for (word = apr_strtok(apr_pstrdup(pool, field), SCOPE_SEPARATORS, &state); word;
         word = apr_strtok(NULL, SCOPE_SEPARATORS, &state)) {
        APR_ARRAY_PUSH(scopes, const char *) = word;
    }
    return scopes;
}

/* All that was learnt, as one object of claims. */
static const char *make_claims(const session_t *s, const la_json_t **claims)
{
    la_json_writer_t writer;

    la_json_writer_init(&writer, s->pool);
    write_member(&writer, "login");
    la_json_write_string(&writer, la_slice_of(s->login));
    if (s->id) {
        write_member(&writer, "id");
        la_json_write_string(&writer, la_slice_of(s->id));
    }
    write_list(&writer, "organizations", s->organizations);
    write_list(&writer, "teams", s->teams);
    write_list(&writer, "scopes", split_scopes(s->scopes, s->pool));
    la_json_write_raw(&writer, LA_SLICE("}"));
    return la_json_parse(s->pool, (la_slice_t){writer.data, writer.len}, claims);
}

/* Returns NULL with the identity in the result, or what stands in its way. */
static const char *make_identity(const session_t *s)
{
    const la_provider_common_t *common = &s->provider->common;
    la_identity_builder_t *builder = la_identity_builder_make(s->pool);
    la_claims_t claims = {0};
    int found = 0;
    const char *error = make_claims(s, &claims.first);

    if (!error) {
        error = la_claims_principal(&claims, common->principal_claims, builder, s->pool, &found);
    }
    if (error) {
        return error;
    }
    if (!found) {
        return "none of PrincipalClaim is there";
    }
    la_claims_map(&claims, common->claims, builder, s->pool);
    return la_identity_build(builder, s->pool, &s->result->identity) == APR_SUCCESS
               ? NULL
               : "the identity is too large";
}

/* The fields that the API asks for; User-Agent is http.c's. */
static const apr_table_t *make_headers(la_slice_t token, apr_pool_t *pool)
{
    apr_table_t *headers = apr_table_make(pool, 4);
    const char *bearer = apr_pstrmemdup(pool, token.data, token.len);

    apr_table_setn(headers, "Authorization", apr_pstrcat(pool, "Bearer ", bearer, NULL));
    apr_table_setn(headers, "Accept", "application/vnd.github+json");
    apr_table_setn(headers, "X-GitHub-Api-Version", "2022-11-28");
    return headers;
}

static void github_verify(const la_provider_t *provider, const la_call_t *call, apr_pool_t *pool,
                          la_result_t *result)
{
    session_t s = {.provider = provider,
                   .headers = make_headers(call->token, pool),
                   .deadline_us = la_clock_us() + provider->common.http.timeout_us,
                   .pool = pool,
                   .result = result};
    const char *error;

    if (!read_user(&s) || !read_memberships(&s)) {
        return;
    }
    error = make_identity(&s);
    if (error) {
        la_result_set_unusable(result, LA_MESSAGE_ERROR, error);
    } else {
        result->verdict = LA_VERDICT_ACCEPTED;
    }
}

static const la_claim_map_t github_claims[] = {{"login", "roles", LA_CLAIM_WHOLE},
                                               {"organizations", "teams", LA_CLAIM_WHOLE},
                                               {"scopes", LA_CATEGORY_SCOPES, LA_CLAIM_WHOLE},
                                               {NULL, NULL, LA_CLAIM_WHOLE}};

static const char *const github_principal[] = {"login", NULL};

const la_provider_type_t la_github_type = {
    .name = "github",
    .options = github_options,
    .conf_bytes = sizeof(github_conf_t),
    .calls_out = 1,
    .cache_vary = &la_vary_nothing,
    .claims = github_claims,
    .principal_claims = github_principal,
    .finish = github_finish,
    .verify = github_verify,
    .hint = github_hint,
};

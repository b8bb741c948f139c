/* The `github` provider: asks GitHub's REST API, with the caller's own token, who the caller is
 * and, if configured, in which organizations and teams. */
#include "provider/answer.h"

#include "access/claims.h"
#include "base/clock.h"
#include "base/timestamp.h"
#include "io/server.h"

#include <stddef.h>
#include <string.h>

#include <apr_strings.h>

#define DEFAULT_BASE     "https://api.github.com"
#define MESSAGE_REJECTED "GitHub token validation failed. Please check your token and try again."

/* The API's largest page, and how many pages of one list are read. */
#define PAGE_ENTRIES 100
#define PAGES_MAX    10

/* The carriage return is what libcurl 7.88 leaves of an empty field. */
#define SCOPE_SEPARATORS ", \t\r"

typedef struct github_conf_t {
    la_url_t base;
    int organizations;
    int teams;
} github_conf_t;

typedef enum claim_e { LOGIN, ID, ORGANIZATIONS, TEAMS, SCOPES, CLAIMS } claim_e;

static const char *const claim_names[CLAIMS] = {"login", "id", "organizations", "teams", "scopes"};

/* One verification under way. Its calls share one deadline. */
typedef struct session_t {
    la_answer_t answer;
    const apr_table_t *headers;
    apr_time_t deadline_us;
    apr_array_header_t *claims[CLAIMS]; /* of const char *; NULL: unknown */
} session_t;

/* ---- options ---- */

#define CONF(field) offsetof(github_conf_t, field)

static const la_option_t github_options[] = {
    {"ApiBase", la_option_base_url, CONF(base), 1, 1, 0, "URL"},
    {"Organizations", la_option_on_off, CONF(organizations), 1, 1, 0, "on|off"},
    {"Teams", la_option_on_off, CONF(teams), 1, 1, 0, "on|off"},
    LA_OPTION_END};

static const char *github_finish(la_provider_t *provider, apr_pool_t *pool)
{
    github_conf_t *conf = provider->conf;

    (void)pool;
    la_provider_warn_of_plain_http(provider, "ApiBase", &conf->base);
    conf->base.url = conf->base.url ? conf->base.url : DEFAULT_BASE;
    return NULL;
}

/* ---- one call ---- */

/* Whether a 403 refuses everybody for a while, which some say in their text only. */
static int mentions_limit(la_slice_t body, apr_pool_t *pool)
{
    const la_json_t *answer;
    const char *message;
    la_slice_t text;

    if (la_json_parse(pool, body, &answer) ||
        !la_json_string(la_json_get(answer, "message"), &text)) {
        return 0;
    }
    message = apr_pstrmemdup(pool, text.data, text.len);
    return strcasestr(message, "rate limit") || strcasestr(message, "login attempts exceeded");
}

/* Whether a 403 means too many calls (docs.github.com, "Rate limits for the REST API"). */
static int is_limited(const la_http_response_t *response, apr_pool_t *pool)
{
    const char *remaining = apr_table_get(response->headers, "X-RateLimit-Remaining");

    return (remaining && strcmp(remaining, "0") == 0) ||
           apr_table_get(response->headers, "Retry-After") || mentions_limit(response->body, pool);
}

/* What a refusal says in words. */
static const char *quote_body(const session_t *s, apr_pool_t *pool)
{
    const la_json_t *body;

    return la_json_parse(pool, s->answer.response.body, &body) ? ""
                                                               : la_answer_quote(&s->answer, body);
}

/* Judges the status. Returns 1 if there is a body to read, else 0 with the result set. */
static int judge_status(const session_t *s, apr_pool_t *pool)
{
    const la_http_response_t *response = &s->answer.response;
    int limited =
        response->status == 429 || (response->status == 403 && is_limited(response, pool));

    if (response->status == 200) {
        return 1;
    }
    if (response->status == 401 || (response->status == 403 && !limited)) {
        la_answer_set_status(&s->answer, LA_VERDICT_REJECTED, MESSAGE_REJECTED,
                             quote_body(s, pool));
    } else {
        la_answer_set_status(&s->answer, LA_VERDICT_UNAVAILABLE, LA_MESSAGE_ERROR,
                             limited ? ": the rate limit is exhausted" : "");
    }
    return 0;
}

/* Asks for one document, which lives in `pool`. path: with its query. Returns NULL if there is
 * none, with the result set. */
static const la_json_t *get(session_t *s, const char *path, la_json_e expected, apr_pool_t *pool)
{
    static const char *const wanted[] = {"X-OAuth-Scopes", "X-RateLimit-Remaining", "Retry-After",
                                         "GitHub-Authentication-Token-Expiration", NULL};
    const github_conf_t *conf = s->answer.provider->conf;
    la_http_request_t request = {.method = "GET",
                                 .url = apr_pstrcat(s->answer.pool, conf->base.url, path, NULL),
                                 .headers = s->headers,
                                 .wanted = wanted,
                                 .deadline_us = s->deadline_us};

    if (!la_answer_ask(&s->answer, &request, pool) || !judge_status(s, pool)) {
        return NULL;
    }
    return la_answer_parse(&s->answer, expected, pool);
}

/* ---- the user ---- */

/* The member that names a user, an organization or a team: visible ASCII without `/`, which joins
 * an organization and its team. NULL if it is anything else. */
static const char *read_name(const session_t *s, const la_json_t *object, const char *member)
{
    la_slice_t name;

    if (!la_json_string(la_json_get(object, member), &name) || name.len == 0) {
        return NULL;
    }
    for (apr_size_t i = 0; i < name.len; i++) {
        if (name.data[i] <= ' ' || name.data[i] >= 0x7f || name.data[i] == '/') {
            return NULL;
        }
    }
    return apr_pstrmemdup(s->answer.pool, name.data, name.len);
}

static apr_array_header_t *list_of(const session_t *s, const char *text)
{
    apr_array_header_t *list = apr_array_make(s->answer.pool, 1, sizeof(const char *));

    APR_ARRAY_PUSH(list, const char *) = text;
    return list;
}

/* Takes login, and id if there is one, as text. Returns NULL, or what is wrong. */
static const char *read_user(session_t *s, const la_json_t *user)
{
    const char *login = read_name(s, user, "login");
    const la_json_t *id = la_json_get(user, "id");
    la_slice_t text;

    if (!login) {
        return "login is not a name";
    }
    s->claims[LOGIN] = list_of(s, login);
    if (!id) {
        return NULL;
    }
    if (la_json_type(id) != LA_JSON_NUMBER || !la_json_scalar_text(s->answer.pool, id, &text)) {
        return la_claims_wrong_kind(s->answer.pool, "id", id, "a number");
    }
    s->claims[ID] = list_of(s, apr_pstrmemdup(s->answer.pool, text.data, text.len));
    return NULL;
}

/* Splits "repo, user:email". NULL if GitHub names no scopes, as for fine-grained tokens. */
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

static int ask_user(session_t *s)
{
    const la_json_t *user = get(s, "/user", LA_JSON_OBJECT, s->answer.pool);
    const char *error;
    const char *end;

    if (!user) {
        return 0;
    }
    error = read_user(s, user);
    if (error) {
        la_answer_conclude(&s->answer, error);
        return 0;
    }
    s->claims[SCOPES] =
        split_scopes(apr_table_get(s->answer.response.headers, "X-OAuth-Scopes"), s->answer.pool);
    end = apr_table_get(s->answer.response.headers, "GitHub-Authentication-Token-Expiration");
    if (end && la_timestamp_parse_zoned(end, &s->answer.result->expires) &&
        s->answer.result->expires <= 0) {
        s->answer.result->expires = 1; /* long past; 0 would mean never */
    }
    return 1;
}

/* ---- organizations and teams ---- */

/* Makes the value of one entry of a list; NULL if the entry is of another form. */
typedef const char *entry_fn(const session_t *s, const la_json_t *entry);

static const char *read_organization(const session_t *s, const la_json_t *entry)
{
    return read_name(s, entry, "login");
}

static const char *read_team(const session_t *s, const la_json_t *entry)
{
    const char *slug = read_name(s, entry, "slug");
    const char *owner = read_name(s, la_json_get(entry, "organization"), "login");

    return owner && slug ? apr_pstrcat(s->answer.pool, owner, "/", slug, NULL) : NULL;
}

static int read_entries(const session_t *s, const la_json_t *list, entry_fn *read,
                        apr_array_header_t *values)
{
    for (apr_size_t i = 0; i < la_json_count(list); i++) {
        const la_json_t *entry = la_json_item(list, i);
        const char *value = entry ? read(s, entry) : NULL;

        if (entry && !value) {
            la_answer_set_malformed(&s->answer, "an entry has no name");
            return 0;
        }
        if (value) {
            APR_ARRAY_PUSH(values, const char *) = value;
        }
    }
    return 1;
}

/* Reads one page, in memory that goes with it. full: whether there may be more. Returns 1, or 0
 * with the result set. */
static int read_page(session_t *s, const char *path, entry_fn *read, apr_array_header_t *values,
                     int *full)
{
    const la_json_t *list;
    apr_pool_t *pool;
    int good;

    apr_pool_create(&pool, s->answer.pool);
    list = get(s, path, LA_JSON_ARRAY, pool);
    good = list && read_entries(s, list, read, values);
    *full = good && la_json_count(list) >= PAGE_ENTRIES;
    apr_pool_destroy(pool);
    return good;
}

/* Reads a list page by page. What is beyond the last page only takes rights away. */
static int read_list(session_t *s, const char *path, entry_fn *read, claim_e claim)
{
    apr_array_header_t *values = apr_array_make(s->answer.pool, 8, sizeof(const char *));
    int full = 1;

    s->claims[claim] = values;
    for (int page = 1; full && page <= PAGES_MAX; page++) {
        const char *target =
            apr_psprintf(s->answer.pool, "%s?per_page=%d&page=%d", path, PAGE_ENTRIES, page);

        if (!read_page(s, target, read, values, &full)) {
            return 0;
        }
    }
    if (full) {
        la_log(LA_LOG_WARNING,
               LA_LOGNO(0085) "provider %s: %s lists more than %d entries for a caller; the rest "
                              "counts as not there",
               s->answer.provider->name, path, PAGE_ENTRIES * PAGES_MAX);
    }
    return 1;
}

/* ---- the identity ---- */

/* The claim of that name, or CLAIMS if it is unknown. */
static claim_e find_claim(const session_t *s, const char *name)
{
    claim_e claim = LOGIN;

    while (claim < CLAIMS && (!s->claims[claim] || strcmp(claim_names[claim], name) != 0)) {
        claim++;
    }
    return claim;
}

/* Sets the principal. Returns NULL, or why there is none. */
static const char *set_principal(const session_t *s, la_identity_builder_t *builder)
{
    const apr_array_header_t *names = s->answer.provider->common.principal_claims;

    for (int i = 0; i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);
        claim_e claim = find_claim(s, name);

        if (claim == LOGIN || claim == ID) {
            return la_identity_set_principal(
                builder, la_slice_of(APR_ARRAY_IDX(s->claims[claim], 0, const char *)));
        }
        if (claim != CLAIMS) {
            return apr_pstrcat(s->answer.pool, "PrincipalClaim ", name, " is a list", NULL);
        }
    }
    return "none of PrincipalClaim is there";
}

/* Makes the identity. Returns NULL, or why there is none. */
static const char *make_identity(const session_t *s)
{
    const apr_array_header_t *maps = s->answer.provider->common.claims;
    la_identity_builder_t *builder = la_identity_builder_make(s->answer.pool);
    const char *error = set_principal(s, builder);

    for (int i = 0; !error && i < maps->nelts; i++) {
        const la_claim_map_t *map = &APR_ARRAY_IDX(maps, i, la_claim_map_t);
        claim_e claim = find_claim(s, map->source);

        if (claim != CLAIMS) {
            la_claims_map_texts(s->claims[claim], map, builder);
        }
    }
    return error ? error : la_identity_build(builder, s->answer.pool, &s->answer.result->identity);
}

/* The fields that the API asks for, except User-Agent. */
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
    const github_conf_t *conf = provider->conf;
    session_t s = {.answer = {provider, call, pool, result, .malformed = LA_MESSAGE_ERROR},
                   .headers = make_headers(call->token, pool),
                   .deadline_us = la_clock_us() + provider->common.http.timeout_us};

    if (ask_user(&s) &&
        (!conf->organizations || read_list(&s, "/user/orgs", read_organization, ORGANIZATIONS)) &&
        (!conf->teams || read_list(&s, "/user/teams", read_team, TEAMS))) {
        la_answer_conclude(&s.answer, make_identity(&s));
    }
}

static const la_claim_map_t github_claims[] = {{"login", "roles", LA_CLAIM_WHOLE},
                                               {"organizations", "teams", LA_CLAIM_WHOLE},
                                               {"scopes", LA_CATEGORY_SCOPES, LA_CLAIM_WHOLE},
                                               {NULL, NULL, LA_CLAIM_WHOLE}};

static const char *const github_principal[] = {"login", NULL};

const la_provider_type_t la_github_type = {
    .name = "github",
    .hint = "Authentication required. Please provide a valid GitHub access token "
            "(https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/"
            "managing-your-personal-access-tokens) in the Authorization header (Bearer <token>)",
    .options = github_options,
    .conf_bytes = sizeof(github_conf_t),
    .calls_out = 1,
    .cache_vary = &la_vary_nothing,
    .claims = github_claims,
    .principal_claims = github_principal,
    .finish = github_finish,
    .verify = github_verify,
};

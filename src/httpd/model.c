/* Looks for a model where LlamaAuthModelSource says. In request threads. */
#include "httpd/model.h"

#include "access/pattern_rules.h"
#include "base/json_text.h"
#include "base/params.h"
#include "base/units.h"
#include "httpd/body.h"
#include "httpd/request.h"
#include "httpd/respond.h"
#include "httpd/section.h"
#include "io/server.h"

#include <apr_strings.h>
#include <http_log.h>

APLOG_USE_MODULE(llama_auth);

/* Members that say how many tokens an answer may have. */
static const char *const token_members[] = {"max_tokens", "max_completion_tokens",
                                            "max_output_tokens"};
#define TOKEN_MEMBERS ((int)(sizeof(token_members) / sizeof(token_members[0])))

/* A longer number is none that anybody can use. */
#define NUMBER_BYTES 16
#define MOST_TOKENS  ((apr_int64_t)1 << 53)

/* What was found so far. */
typedef struct found_t {
    la_slice_t model; /* data NULL: none */
    int in_path;
    const char *fault; /* for the client */
} found_t;

static void note_model(found_t *found, la_slice_t model)
{
    if (!la_model_is_name(model)) {
        found->fault = "The request names a model that is not 1 to 256 bytes of UTF-8 without "
                       "control characters";
    } else if (found->model.data && !la_slice_equals(found->model, model)) {
        found->fault = "The request names more than one model";
    }
    found->model = model;
}

/* ---- the path and the query ---- */

/* The path with the slashes that `AllowEncodedSlashes NoDecode` leaves escaped. NULL if it cannot
 * be told whether an escape that is left was one, or was written as %252F. */
static const char *decoded_path(request_rec *r)
{
    const char *percent = strstr(r->unparsed_uri, "%25");
    const char *query = strchr(r->unparsed_uri, '?');
    char *path = apr_pstrdup(r->pool, r->uri);
    char *to = path;
    int decoded = 0;

    for (const char *from = path; *from; from++) {
        if (strncasecmp(from, "%2f", 3) == 0) {
            *to++ = '/';
            from += 2;
            decoded = 1;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    return decoded && percent && (!query || percent < query) ? NULL : path;
}

static void look_in_path(request_rec *r, const la_model_source_t *source, found_t *found)
{
    ap_regmatch_t groups[2];
    const char *path = decoded_path(r);

    if (!path) {
        found->fault = "The path is escaped twice";
        return;
    }
    if (ap_regexec(source->regex, path, 2, groups, 0) == 0 && groups[1].rm_so >= 0 &&
        groups[1].rm_eo > groups[1].rm_so) {
        const la_slice_t model = {path + groups[1].rm_so,
                                  (apr_size_t)(groups[1].rm_eo - groups[1].rm_so)};

        found->in_path = 1;
        note_model(found, model);
        if (la_operation_has_dots(model)) {
            found->fault = "The path has dot segments";
        }
    }
}

/* Returns how many parameters name a model. */
static int look_in_parameters(request_rec *r, const char *query, const char *wanted, found_t *found)
{
    la_slice_t name;
    la_slice_t value;
    int count = 0;

    while (la_params_next(&query, &name, &value) && !found->fault) {
        name = la_params_decode(r->pool, name);
        if (la_slice_is(name, wanted)) {
            note_model(found, la_params_decode(r->pool, value));
            count++;
        } else if (la_json_text_is_name(name, wanted)) {
            found->fault = apr_psprintf(r->pool, "The query has '%s' in another case", wanted);
        }
    }
    return count;
}

/* Some readers take `;` for `&`, and must find the same model. */
static void look_in_query(request_rec *r, const la_model_source_t *source, found_t *found)
{
    char *query = apr_pstrdup(r->pool, r->args);
    int count = look_in_parameters(r, query, source->name, found);

    for (char *at = query ? strchr(query, ';') : NULL; at; at = strchr(at, ';')) {
        *at = '&';
    }
    if (!found->fault && look_in_parameters(r, query, source->name, found) != count) {
        found->fault = "The query has a ';' before the model";
    }
}

/* ---- the body ---- */

static void look_in_member(request_rec *r, const la_member_t *member, found_t *found)
{
    if (member->is_ambiguous) {
        found->fault = apr_psprintf(r->pool, "The request body has '%s' twice, or in another case",
                                    member->name);
    } else if (member->is_unusable) {
        note_model(found, LA_SLICE(""));
    } else if (member->kind == LA_MEMBER_STRING) {
        note_model(found, member->value);
    } else if (member->kind != LA_MEMBER_ABSENT) {
        found->fault = apr_psprintf(r->pool, "'%s' in the request body is no string", member->name);
    }
}

/* The largest number of tokens that a member names; 0 if there is none, or if a member says what
 * backends may read in several ways. */
static uint64_t largest_number(apr_pool_t *pool, const la_member_t *members, int count)
{
    apr_int64_t largest = 0;

    for (int i = 0; i < count; i++) {
        const la_member_t *member = &members[i];
        const char *text = apr_pstrmemdup(pool, member->value.data, member->value.len);
        apr_int64_t number = 0;

        if (member->kind == LA_MEMBER_ABSENT && !member->is_ambiguous) {
            continue;
        }
        if (member->kind != LA_MEMBER_NUMBER || member->is_ambiguous || member->is_unusable ||
            !la_units_number(&text, MOST_TOKENS, &number) || *text) {
            return 0;
        }
        largest = number > largest ? number : largest;
    }
    return (uint64_t)largest;
}

static int look_in_body(request_rec *r, const la_model_sources_t *sources, found_t *found)
{
    int count = sources->in_body + TOKEN_MEMBERS;
    la_member_t *members = apr_pcalloc(r->pool, (apr_size_t)count * sizeof(*members));
    apr_off_t size;
    int status;
    int at = 0;

    for (int i = 0; i < sources->count; i++) {
        if (sources->sources[i].kind == LA_MODEL_IN_BODY) {
            members[at++] =
                (la_member_t){.name = sources->sources[i].name, .limit_bytes = LA_MODEL_BYTES};
        }
    }
    for (int i = 0; i < TOKEN_MEMBERS; i++) {
        members[at++] = (la_member_t){.name = token_members[i], .limit_bytes = NUMBER_BYTES};
    }
    status = la_body_read(r, members, count, &size);
    for (int i = 0; status == OK && i < sources->in_body && !found->fault; i++) {
        look_in_member(r, &members[i], found);
    }
    la_request_make(r)->reserve =
        largest_number(r->pool, members + sources->in_body, status == OK ? TOKEN_MEMBERS : 0);
    return status;
}

static int look_everywhere(request_rec *r, found_t *found)
{
    const la_model_sources_t *own = la_config_dir(r)->model_sources;
    const la_model_sources_t *sources = own ? own : &la_model_sources_default;

    for (int i = 0; i < sources->count && !found->fault; i++) {
        const la_model_source_t *source = &sources->sources[i];

        if (source->kind == LA_MODEL_IN_PATH) {
            look_in_path(r, source, found);
        } else if (source->kind == LA_MODEL_IN_QUERY) {
            look_in_query(r, source, found);
        }
    }
    return sources->in_body > 0 && !found->fault ? look_in_body(r, sources, found) : OK;
}

/* ---- deciding ---- */

static int check(request_rec *r, apr_pool_t *pool, la_slice_t model, la_policy_refusal_t *refusal)
{
    const la_caller_t *caller = la_request_caller(r);
    const la_subject_t subject = {caller ? caller->identity : NULL, NULL};
    const la_asked_t asked = {&subject, model, NULL};

    return la_policy_check_model(pool, la_config_dir(r)->models, la_section_methods(r), &asked,
                                 refusal);
}

int la_model_is_allowed(void *request, apr_pool_t *pool, la_slice_t model)
{
    la_policy_refusal_t refusal;

    return check(request, pool, model, &refusal);
}

static int deny(request_rec *r, const la_policy_refusal_t *refusal)
{
    const la_request_t *state = la_request_get(r);
    la_denial_t denial = la_denial_make(LA_DENIAL_MODEL, refusal->message);

    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, LA_LOGNO(0283) "%s, token %.8s, for %s: %s: %s",
                  r->user ? r->user : "nobody", state->client_id, r->uri, refusal->message,
                  refusal->reason);
    if (la_config_dir(r)->model_refusal == HTTP_NOT_FOUND) {
        denial = la_denial_make(
            LA_DENIAL_UNKNOWN_MODEL,
            apr_psprintf(r->pool, "The model '%s' does not exist or you do not have access to it",
                         state->model));
    }
    return la_respond_deny(r, denial);
}

/* Whether it is a GET of a place whose lists are filtered, and names no model in its path. */
static int is_list(request_rec *r, const found_t *found)
{
    return la_config_dir(r)->model_list == LA_ON && !found->in_path && r->method_number == M_GET &&
           la_request_method(r) == M_GET;
}

int la_model_check(request_rec *r)
{
    la_request_t *state = la_request_make(r);
    found_t found = {{NULL, 0}, 0, NULL};
    la_policy_refusal_t refusal;
    int status;

    state->model = NULL;
    state->reserve = 0;
    state->is_model_list = 0;
    if (!la_config_dir(r)->models ||
        !la_policy_applies(la_config_dir(r)->models, la_section_methods(r))) {
        return OK;
    }
    status = look_everywhere(r, &found);
    if (status != OK) {
        return status;
    }
    if (found.fault) {
        return la_body_refuse(r, LA_DENIAL_BODY, found.fault);
    }
    state->is_model_list = is_list(r, &found);
    if (!found.model.data) {
        return state->is_model_list
                   ? OK
                   : la_body_refuse(r, LA_DENIAL_BODY, "The request names no model");
    }
    state->model = apr_pstrmemdup(r->pool, found.model.data, found.model.len);
    apr_table_setn(r->notes, LA_NOTE_MODEL, state->model);
    return check(r, r->pool, found.model, &refusal) ? OK : deny(r, &refusal);
}

void la_model_forward(request_rec *r)
{
    const la_forwards_t *forwards = la_config_dir(r)->forwards;
    const char *model = la_request_make(r)->model;

    for (int i = 0; model && forwards && i < forwards->lines->nelts; i++) {
        const la_forward_line_t *line = &APR_ARRAY_IDX(forwards->lines, i, la_forward_line_t);

        if (line->what == LA_FORWARD_MODEL) {
            apr_table_setn(r->headers_in, line->header, la_identity_ascii(r->pool, model));
        }
    }
}

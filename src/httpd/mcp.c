/* Reads one JSON-RPC message of MCP, and compares it with the fields that repeat what it says. */
#include "httpd/mcp.h"

#include "access/pattern_rules.h"
#include "base/json.h"
#include "httpd/body.h"
#include "httpd/request.h"
#include "httpd/respond.h"
#include "httpd/section.h"
#include "io/server.h"

#include <apr_base64.h>
#include <apr_strings.h>
#include <http_log.h>

APLOG_USE_MODULE(llama_auth);

/* A longer method, name or URI is refused. */
#define NAME_BYTES 8192

/* A longer id is not repeated in an error. */
#define ID_BYTES 256

/* The members of a message that are looked at. */
typedef enum part_e { METHOD, ID, PARAMS, NAME, URI, TASK, PARTS } part_e;

static void prepare(la_member_t *parts)
{
    const la_member_t *params = &parts[PARAMS];

    parts[METHOD] = (la_member_t){.name = "method", .limit_bytes = NAME_BYTES};
    parts[ID] = (la_member_t){.name = "id", .limit_bytes = ID_BYTES};
    parts[PARAMS] = (la_member_t){.name = "params"};
    parts[NAME] = (la_member_t){.name = "name", .within = params, .limit_bytes = NAME_BYTES};
    parts[URI] = (la_member_t){.name = "uri", .within = params, .limit_bytes = NAME_BYTES};
    parts[TASK] = (la_member_t){.name = "taskId", .within = params, .limit_bytes = NAME_BYTES};
}

/* The member that names what a method is about. */
static part_e name_part(la_slice_t method)
{
    if (la_slice_begins(method, "resources/")) {
        return URI;
    }
    return la_slice_begins(method, "tasks/") ? TASK : NAME;
}

static const char *id_text(apr_pool_t *pool, const la_member_t *id)
{
    la_json_writer_t writer;

    if (id->is_ambiguous || id->is_unusable || !id->value.data) {
        return NULL;
    }
    la_json_writer_init(&writer, pool);
    if (id->kind == LA_MEMBER_STRING) {
        la_json_write_string(&writer, id->value);
    } else {
        la_json_write_raw(&writer, id->value);
    }
    return writer.data;
}

/* What is wrong with a member that may be absent, and is a string if it is there; or NULL. */
static const char *string_fault(apr_pool_t *pool, const la_member_t *member)
{
    if (member->is_ambiguous) {
        return apr_psprintf(pool, "The request body has '%s' twice, or in another case",
                            member->name);
    }
    if (member->kind != LA_MEMBER_ABSENT && member->kind != LA_MEMBER_STRING) {
        return apr_psprintf(pool, "'%s' in the request body is no string", member->name);
    }
    return member->is_unusable || la_pattern_has_control(member->value)
               ? apr_psprintf(pool, "'%s' in the request body is too long or no plain text",
                              member->name)
               : NULL;
}

static const char *find_operation(apr_pool_t *pool, la_member_t *parts, la_operation_t *operation)
{
    const la_member_t *method = &parts[METHOD];
    const la_member_t *params = &parts[PARAMS];
    const la_member_t *name;
    const char *fault = string_fault(pool, method);

    if (fault || method->kind == LA_MEMBER_ABSENT) {
        return fault;
    }
    if (method->value.len == 0) {
        return "'method' in the request body is empty";
    }
    operation->method = la_slice_of(apr_pstrmemdup(pool, method->value.data, method->value.len));
    name = &parts[name_part(operation->method)];
    if (params->is_ambiguous ||
        (params->kind != LA_MEMBER_ABSENT && params->kind != LA_MEMBER_OBJECT)) {
        return "'params' in the request body is no object, or there twice, or in another case";
    }
    fault = string_fault(pool, name);
    operation->name = name->value.data ? name->value : LA_SLICE("");
    if (!fault && name == &parts[URI] && la_operation_has_dots(operation->name)) {
        fault = "'uri' in the request body has dot segments";
    }
    return fault;
}

#define BASE64_START "=?base64?"
#define BASE64_END   "?="

/* Whether a reader of the fields takes a value for an encoded one. */
static int is_encoded(const char *value)
{
    apr_size_t len = strlen(value);

    return len >= sizeof(BASE64_START BASE64_END) - 1 &&
           strncmp(value, BASE64_START, sizeof(BASE64_START) - 1) == 0 &&
           strcmp(value + len - (sizeof(BASE64_END) - 1), BASE64_END) == 0;
}

/* Whether a field is absent, or says what the body says. */
static int agrees(request_rec *r, const char *field, la_slice_t text)
{
    const char *value = apr_table_get(la_request_first(r)->headers_in, field);
    char *encoded;

    if (!value || !is_encoded(value)) {
        return !value || la_slice_is(text, value);
    }
    encoded = apr_palloc(r->pool, (apr_size_t)apr_base64_encode_len((int)text.len));
    (void)apr_base64_encode(encoded, text.data, (int)text.len);
    return strcmp(value, apr_pstrcat(r->pool, BASE64_START, encoded, BASE64_END, NULL)) == 0;
}

static int deny(request_rec *r, la_denial_t denial, const la_policy_refusal_t *refusal)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, LA_LOGNO(0285) "%s, token %.8s, for %s: %s: %s",
                  r->user ? r->user : "nobody", la_request_get(r)->client_id, r->uri,
                  refusal->message, refusal->reason);
    return la_respond_deny(r, denial);
}

static int decide(request_rec *r, const la_operation_t *operation)
{
    const la_dir_conf_t *conf = la_config_dir(r);
    const la_caller_t *caller = la_request_caller(r);
    const la_subject_t subject = {caller ? caller->identity : NULL,
                                  la_config_server(r->server)->implied_scopes};
    const la_asked_t asked = {&subject, {"", 0}, operation};
    la_methods_t methods = la_section_methods(r);
    la_policy_refusal_t refusal;
    la_denial_t denial;

    if (!la_policy_check_operation(r->pool, conf->mcp, methods, &asked, &refusal)) {
        return deny(r, la_denial_make(LA_DENIAL_OPERATION, refusal.message), &refusal);
    }
    if (la_policy_check_operation_scopes(r->pool, conf->mcp_scopes, methods, &asked, &refusal)) {
        return OK;
    }
    denial = la_denial_make(LA_DENIAL_SCOPE, refusal.message);
    denial.scope = la_policy_operation_scopes(r->pool, conf->mcp_scopes, methods, operation,
                                              la_policy_scopes(r->pool, conf->scopes, methods));
    return deny(r, denial, &refusal);
}

static int names_operation(int method_number)
{
    return method_number != M_GET && method_number != M_DELETE && method_number != M_OPTIONS;
}

/* Whether the rules of the section need the request's message. */
static int is_concerned(request_rec *r)
{
    const la_dir_conf_t *conf = la_config_dir(r);
    const request_rec *first;

    if (!conf->mcp && !conf->mcp_scopes) {
        return 0;
    }
    first = la_request_first(r);
    /* A backend may take a request with a body for a POST, if a field says so. */
    return (names_operation(r->method_number) || names_operation(la_request_method(r)) ||
            (la_section_has_body(first) && la_section_overrides_method(first))) &&
           (la_policy_applies(conf->mcp, la_section_methods(r)) ||
            la_policy_applies(conf->mcp_scopes, la_section_methods(r)));
}

int la_mcp_check(request_rec *r)
{
    la_member_t parts[PARTS];
    la_operation_t operation = {{"", 0}, {"", 0}};
    const char *fault;
    apr_off_t size;
    int status;

    if (!is_concerned(r)) {
        return OK;
    }
    prepare(parts);
    status = la_body_read(r, parts, PARTS, &size);
    if (status != OK) {
        return status;
    }
    la_request_make(r)->rpc_id = id_text(r->pool, &parts[ID]);
    fault = size == 0 ? "The request has no body" : find_operation(r->pool, parts, &operation);
    if (fault) {
        return la_body_refuse(r, LA_DENIAL_BODY, fault);
    }
    if (!agrees(r, "Mcp-Method", operation.method) || !agrees(r, "Mcp-Name", operation.name)) {
        return la_body_refuse(r, LA_DENIAL_DISAGREES, NULL);
    }
    if (operation.method.len > 0) {
        apr_table_setn(r->notes, LA_NOTE_MCP, la_operation_text(r->pool, &operation));
    }
    return decide(r, &operation);
}

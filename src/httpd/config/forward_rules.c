/* The names of all lines are reserved: every request loses the client's own fields of such a name.
 * Names are compared as CGI would see them, since X_User, X.User and x-user become one variable. */
#include "httpd/config/forward_rules.h"

#include "access/policy.h"
#include "base/params.h"
#include "httpd/config/collected.h"
#include "httpd/field.h"

#include <apr_strings.h>

static apr_uint64_t length_bit(apr_size_t len)
{
    return (apr_uint64_t)1 << (len & 63);
}

int la_forward_is_reserved(la_slice_t name)
{
    /* Most names differ from the reserved ones in length. */
    if (!(la_collected.forwarded_lengths & length_bit(name.len))) {
        return 0;
    }
    for (int i = 0; i < la_collected.forwarded->nelts; i++) {
        if (la_field_has_name(name, APR_ARRAY_IDX(la_collected.forwarded, i, const char *))) {
            return 1;
        }
    }
    return 0;
}

void la_forward_reserve(const char *header)
{
    if (!la_field_is_same(header, "Authorization") &&
        !la_forward_is_reserved(la_slice_of(header))) {
        APR_ARRAY_PUSH(la_collected.forwarded, const char *) = header;
        la_collected.forwarded_lengths |= length_bit(strlen(header));
    }
}

static const char *parse_what(apr_pool_t *pool, const char *word, la_forward_line_t *line)
{
    static const struct {
        const char *name; /* with a colon: a category follows */
        la_forward_what_e what;
    } names[] = {{"principal", LA_FORWARD_PRINCIPAL},
                 {"client_id", LA_FORWARD_CLIENT_ID},
                 {"provider", LA_FORWARD_PROVIDER},
                 {"model", LA_FORWARD_MODEL},
                 {"attributes", LA_FORWARD_ATTRIBUTES},
                 {"attribute:", LA_FORWARD_ATTRIBUTE},
                 {"json:", LA_FORWARD_JSON},
                 {"one:", LA_FORWARD_ONE},
                 {"assertion:", LA_FORWARD_ASSERTION}};

    for (apr_size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        apr_size_t len = strlen(names[i].name);
        int has_category = names[i].name[len - 1] == ':';

        if (strncasecmp(word, names[i].name, len) == 0 && has_category == (word[len] != '\0')) {
            line->what = names[i].what;
            line->category = la_slice_of(apr_pstrdup(pool, word + len));
            return la_policy_is_text(word) ? NULL : "the category is UTF-8";
        }
    }
    return apr_psprintf(pool,
                        "'%s' is none of principal, client_id, provider, model, attributes, "
                        "attribute:CATEGORY, json:CATEGORY, one:CATEGORY, assertion:SIGNER",
                        word);
}

static const la_forward_line_t *find_line(const apr_array_header_t *lines, la_slice_t header)
{
    for (int i = 0; i < lines->nelts; i++) {
        const la_forward_line_t *line = &APR_ARRAY_IDX(lines, i, la_forward_line_t);

        if (la_field_has_name(header, line->header)) {
            return line;
        }
    }
    return NULL;
}

/* Whether a line puts an assertion in place of the token. */
static int replaces_token(const la_forward_line_t *line)
{
    return line->what == LA_FORWARD_ASSERTION && la_field_is_same(line->header, "Authorization");
}

static const char *check_header(apr_pool_t *pool, const la_forward_line_t *line)
{
    if (!la_params_is_name(line->header)) {
        return apr_psprintf(pool, "'%s' is no name of a header field", line->header);
    }
    if (!la_field_is_vital(line->header) || replaces_token(line)) {
        return NULL;
    }
    return apr_psprintf(
        pool, "%s cannot carry the caller%s: the request needs it itself", line->header,
        la_field_is_same(line->header, "Authorization") ? ", except as assertion:SIGNER" : "");
}

const char *la_forwards_add(apr_pool_t *pool, const la_forwards_t **forwards, const char *header,
                            const char *what, const la_signer_t *signer)
{
    la_forwards_t *made = apr_palloc(pool, sizeof(*made));
    la_forward_line_t line = {.header = apr_pstrdup(pool, header), .signer = signer};
    const char *error = parse_what(pool, what, &line);

    error = error ? error : check_header(pool, &line);
    if (error) {
        return error;
    }
    if (*forwards && find_line((*forwards)->lines, la_slice_of(header))) {
        return apr_psprintf(pool, "%s is named twice in this section", header);
    }
    made->lines = *forwards ? apr_array_copy(pool, (*forwards)->lines)
                            : apr_array_make(pool, 2, sizeof(la_forward_line_t));
    APR_ARRAY_PUSH(made->lines, la_forward_line_t) = line;
    made->sends_one = line.what == LA_FORWARD_ONE || (signer && signer->sends_one) ||
                      (*forwards && (*forwards)->sends_one);
    made->replaces_token = replaces_token(&line) || (*forwards && (*forwards)->replaces_token);
    *forwards = made;
    return NULL;
}

const la_forwards_t *la_forwards_merge(apr_pool_t *pool, const la_forwards_t *parent,
                                       const la_forwards_t *section)
{
    la_forwards_t *made;

    if (!parent || !section) {
        return section ? section : parent;
    }
    made = apr_palloc(pool, sizeof(*made));
    made->lines = apr_array_copy(pool, section->lines);
    made->sends_one = section->sends_one || parent->sends_one;
    made->replaces_token = section->replaces_token || parent->replaces_token;
    for (int i = 0; i < parent->lines->nelts; i++) {
        const la_forward_line_t *line = &APR_ARRAY_IDX(parent->lines, i, la_forward_line_t);

        if (!find_line(section->lines, la_slice_of(line->header))) {
            APR_ARRAY_PUSH(made->lines, la_forward_line_t) = *line;
        }
    }
    return made;
}

int la_forward_is_ours(const void *forwards, la_slice_t name)
{
    return la_forward_is_reserved(name) ||
           (forwards && find_line(((const la_forwards_t *)forwards)->lines, name));
}

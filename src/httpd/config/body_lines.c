/* Reads the lines that say how a rule finds what a request names. */
#include "httpd/config/body_lines.h"

#include "base/json_members.h"
#include "base/units.h"
#include "httpd/config/place.h"

#include <apr_strings.h>

const la_model_sources_t la_model_sources_default = {1, 1, {{LA_MODEL_IN_BODY, "model", NULL}}};

static const char *compile(apr_pool_t *pool, const char *text, la_model_source_t *source)
{
    ap_regex_t *regex = ap_pregcomp(pool, text, AP_REG_EXTENDED);

    if (!regex) {
        return apr_psprintf(pool, "path:%s is no regular expression", text);
    }
    if (regex->re_nsub < 1) {
        return apr_psprintf(pool, "path:%s has no group: the model is the first one", text);
    }
    source->regex = regex;
    return NULL;
}

static const char *parse_source(apr_pool_t *pool, const char *word, la_model_source_t *source)
{
    static const struct {
        const char *prefix;
        la_model_source_e kind;
    } kinds[] = {
        {"body:", LA_MODEL_IN_BODY}, {"path:", LA_MODEL_IN_PATH}, {"query:", LA_MODEL_IN_QUERY}};

    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        apr_size_t len = strlen(kinds[i].prefix);

        if (strncasecmp(word, kinds[i].prefix, len) == 0 && word[len]) {
            source->kind = kinds[i].kind;
            source->name = apr_pstrdup(pool, word + len);
            if (strlen(source->name) > LA_MEMBERS_NAME_BYTES && source->kind == LA_MODEL_IN_BODY) {
                return apr_psprintf(pool, "the name in %s is longer than %d bytes", word,
                                    LA_MEMBERS_NAME_BYTES);
            }
            return source->kind == LA_MODEL_IN_PATH ? compile(pool, source->name, source) : NULL;
        }
    }
    return apr_psprintf(pool, "'%s' is none of body:NAME, path:REGEX, query:NAME", word);
}

const char *la_body_set_sources(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    const la_model_sources_t **field = la_place_field(cmd, dconf);
    la_model_sources_t *sources =
        apr_pcalloc(cmd->pool, sizeof(*sources) + (apr_size_t)argc * sizeof(la_model_source_t));
    const char *error = ap_check_cmd_context(cmd, NOT_IN_LIMIT);

    if (error) {
        return error;
    }
    error = *field      ? "may be given only once in a section"
            : argc == 0 ? "takes body:NAME, path:REGEX, query:NAME"
                        : NULL;
    for (int i = 0; i < argc && !error; i++) {
        error = parse_source(cmd->pool, argv[i], &sources->sources[i]);
        sources->in_body += sources->sources[i].kind == LA_MODEL_IN_BODY;
    }
    sources->count = argc;
    *field = sources;
    return la_place_error(cmd, error);
}

const char *la_body_set_refusal(cmd_parms *cmd, void *dconf, const char *arg)
{
    int *status = la_place_field(cmd, dconf);

    if (strcmp(arg, "403") != 0 && strcmp(arg, "404") != 0) {
        return la_place_error(cmd, "must be 403 or 404");
    }
    *status = arg[2] == '3' ? HTTP_FORBIDDEN : HTTP_NOT_FOUND;
    return NULL;
}

const char *la_body_set_limit(cmd_parms *cmd, void *dconf, const char *arg)
{
    apr_size_t *limit = la_place_field(cmd, dconf);
    const char *error = ap_check_cmd_context(cmd, NOT_IN_HTACCESS | NOT_IN_LIMIT);

    if (error) {
        return error;
    }
    return la_place_error(cmd, la_units_size(arg, limit) && *limit > 0
                                   ? NULL
                                   : "takes a size above 0, as 8M (K, M, G)");
}

/* Reads lines of LlamaAuthBackendToken, while the configuration is read. No message repeats an
 * argument that could be the secret. */
#include "httpd/config/backend_line.h"

#include "base/params.h"
#include "httpd/field.h"

#include <apr_strings.h>

#define HEADER "header:"

static const char *parse_header(apr_pool_t *pool, const char *name, la_backend_token_t *token)
{
    if (!la_params_is_name(name)) {
        return "header: takes the name of a header field";
    }
    if (la_field_is_vital(name) && !la_field_is_same(name, "Authorization")) {
        return apr_psprintf(
            pool, "header:%s cannot carry a credential: the request needs it itself", name);
    }
    token->header = apr_pstrdup(pool, name);
    token->prefix = "";
    return NULL;
}

static const char *parse_word(apr_pool_t *pool, const char *word, la_backend_token_t *token)
{
    if (strcasecmp(word, "always") == 0 && !token->always) {
        token->always = 1;
        return NULL;
    }
    if (strncasecmp(word, HEADER, sizeof(HEADER) - 1) == 0 && *token->prefix) {
        return parse_header(pool, word + sizeof(HEADER) - 1, token);
    }
    return "takes a secret (file:PATH, env:NAME or the text itself, in quotes if it has blanks), "
           "then header:NAME and always, each once at most";
}

const char *la_backend_parse(apr_pool_t *pool, int count, char *const words[],
                             const la_backend_token_t **token)
{
    la_backend_token_t *made = apr_pcalloc(pool, sizeof(*made));
    const char *error = NULL;

    made->header = "Authorization";
    made->prefix = "Bearer ";
    *token = made;
    if (count == 0 || strncasecmp(words[0], HEADER, sizeof(HEADER) - 1) == 0 ||
        strcasecmp(words[0], "always") == 0) {
        return "begins with the secret: file:PATH, env:NAME or the text itself; or takes none";
    }
    if (strcasecmp(words[0], "none") == 0) {
        return count == 1 ? NULL : "none stands alone";
    }
    for (int i = 1; i < count && !error; i++) {
        error = parse_word(pool, words[i], made);
    }
    return error ? error : la_secret_make(pool, words[0], &made->secret);
}

const la_forward_line_t *la_backend_clash(const la_backend_token_t *token,
                                          const la_forwards_t *forwards)
{
    for (int i = 0; token && token->secret && forwards && i < forwards->lines->nelts; i++) {
        const la_forward_line_t *line = &APR_ARRAY_IDX(forwards->lines, i, la_forward_line_t);

        if (la_field_is_same(line->header, "Authorization") ||
            la_field_is_same(line->header, token->header)) {
            return line;
        }
    }
    return NULL;
}

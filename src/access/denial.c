/* The table is spec section 8 in C. Whoever refuses says the kind and may change the status (an
 * outage as 503, httpd's own denial as 401). Called on denials only, from any thread. */
#include "access/denial.h"

#include <apr_strings.h>

#define DEFAULT_REALM "llama_auth"

typedef struct row_t {
    int status;
    int has_detail; /* llama's document calls the message "detail" */
    const char *code;
    const char *error; /* of RFC 6750 in a challenge, or NULL */
    const char *text;  /* if nobody gives another message */
} row_t;

static const row_t rows[] = {
    [LA_DENIAL_MISCONFIGURED] = {500, 0, "misconfigured", NULL, "Authentication is not configured"},
    [LA_DENIAL_MISSING_TOKEN] = {401, 0, "missing_token", NULL, "Authentication required"},
    [LA_DENIAL_MALFORMED_CREDENTIAL] = {401, 0, "invalid_request", "invalid_request",
                                        "Invalid Authorization header format"},
    [LA_DENIAL_SEVERAL_TOKENS] = {400, 0, "invalid_request", "invalid_request",
                                  "More than one token in the request"},
    [LA_DENIAL_REJECTED] = {401, 0, "invalid_token", "invalid_token", "Invalid token"},
    [LA_DENIAL_TIMEOUT] = {401, 0, "provider_timeout", NULL, "Authentication service timeout"},
    [LA_DENIAL_OUTAGE] = {401, 0, "provider_error", NULL, "Authentication service error"},
    [LA_DENIAL_SCOPE] = {403, 1, "insufficient_scope", "insufficient_scope", "Access denied"},
    [LA_DENIAL_ATTRIBUTE] = {403, 1, "insufficient_attributes", "insufficient_scope",
                             "Access denied"},
    [LA_DENIAL_ORIGIN] = {403, 1, "origin_not_allowed", NULL, "Access denied: origin not allowed"},
    [LA_DENIAL_BODY] = {400, 0, "invalid_request", NULL, "The request body cannot be used"},
    [LA_DENIAL_DISAGREES] = {400, 0, "invalid_request", NULL,
                             "Header fields do not agree with the request body"},
    [LA_DENIAL_BODY_SIZE] = {413, 0, "body_too_large", NULL, "The request body is too large"},
    [LA_DENIAL_MEDIA_TYPE] = {415, 0, "unsupported_media_type", NULL,
                              "The request body must be JSON in UTF-8, without Content-Encoding"},
    [LA_DENIAL_MODEL] = {403, 1, "model_not_allowed", NULL, "Access denied"},
    [LA_DENIAL_UNKNOWN_MODEL] = {404, 0, "model_not_found", NULL, "The model does not exist"},
    [LA_DENIAL_OPERATION] = {403, 1, "operation_not_allowed", NULL, "Access denied"},
    [LA_DENIAL_MODEL_LIST] = {502, 0, "model_list_error", NULL,
                              "The list of models cannot be used"},
    [LA_DENIAL_REQUESTS] = {429, 0, "rate_limit_exceeded", NULL, "Quota exceeded"},
    [LA_DENIAL_TOKENS] = {429, 0, "insufficient_quota", NULL, "Quota exceeded"},
    [LA_DENIAL_QUOTA] = {503, 0, "quota_error", NULL, "Quota service unavailable"},
    [LA_DENIAL_ACCESS] = {403, 1, "access_denied", "insufficient_scope", "Access denied"},
};

_Static_assert(sizeof(rows) / sizeof(rows[0]) == LA_DENIAL_ACCESS + 1, "a row for each kind");

/* A kind that does not exist is our own mistake: 500, and no look past the table. */
static const row_t *row_of(la_denial_e kind)
{
    return &rows[(unsigned int)kind <= LA_DENIAL_ACCESS ? kind : LA_DENIAL_MISCONFIGURED];
}

la_denial_t la_denial_make(la_denial_e kind, const char *message)
{
    const row_t *row = row_of(kind);

    return (la_denial_t){.kind = kind,
                         .status = row->status,
                         .message = message ? message : row->text,
                         .retry_after_s = 1};
}

const char *la_denial_code(la_denial_e kind)
{
    return row_of(kind)->code;
}

int la_denial_has_detail(la_denial_e kind)
{
    return row_of(kind)->has_detail;
}

/* The text as it may stand in a quoted-string (RFC 9110 section 5.6.4). */
static const char *quoted(apr_pool_t *pool, const char *text)
{
    char *out = apr_palloc(pool, 2 * strlen(text) + 1);
    apr_size_t len = 0;

    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;

        if (byte < 0x20 || byte == 0x7f) {
            continue;
        }
        if (byte == '"' || byte == '\\') {
            out[len++] = '\\';
        }
        out[len++] = *text;
    }
    out[len] = '\0';
    return out;
}

/* The text in the characters that RFC 6750 section 3 allows in error_description and scope: a
 * control character becomes a space, any other character `?`. */
static const char *plain(apr_pool_t *pool, const char *text)
{
    char *out = apr_palloc(pool, strlen(text) + 1);
    apr_size_t len = 0;

    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;

        if (byte >= 0x80 && byte < 0xc0) { /* not the first byte of its character */
            continue;
        }
        out[len] = *text;
        if (byte < 0x20 || byte == 0x7f) {
            out[len] = ' ';
        } else if (byte == '"' || byte == '\\' || byte >= 0xc0) {
            out[len] = '?';
        }
        len++;
    }
    out[len] = '\0';
    return out;
}

const char *la_denial_challenge(apr_pool_t *pool, const la_denial_t *denial, const char *realm)
{
    const char *error = row_of(denial->kind)->error;
    const char *challenge;

    if (denial->status != 401 && !(denial->status == 403 && denial->kind == LA_DENIAL_SCOPE)) {
        return NULL;
    }
    if (!realm || !*realm) {
        realm = DEFAULT_REALM;
    }
    challenge = apr_pstrcat(pool, "Bearer realm=\"", quoted(pool, realm), "\"", NULL);
    if (error) {
        challenge = apr_pstrcat(pool, challenge, ", error=\"", error, "\", error_description=\"",
                                plain(pool, denial->message), "\"", NULL);
    }
    if (denial->scope && *denial->scope) {
        challenge =
            apr_pstrcat(pool, challenge, ", scope=\"", plain(pool, denial->scope), "\"", NULL);
    }
    if (denial->resource_metadata) {
        challenge = apr_pstrcat(pool, challenge, ", resource_metadata=\"",
                                quoted(pool, denial->resource_metadata), "\"", NULL);
    }
    return challenge;
}

const char *la_denial_proof_challenge(apr_pool_t *pool, const la_denial_t *denial)
{
    if (denial->status != 401 || !denial->proof_algs) {
        return NULL;
    }
    return denial->proof_error ? apr_pstrcat(pool, "DPoP error=\"", denial->proof_error,
                                             "\", algs=\"", denial->proof_algs, "\"", NULL)
                               : apr_pstrcat(pool, "DPoP algs=\"", denial->proof_algs, "\"", NULL);
}

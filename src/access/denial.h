/* Refusals: the code, the status, the message and the challenge of each kind. */
#pragma once

#include "base/slice.h"

#include <apr_pools.h>

typedef enum la_denial_e {
    LA_DENIAL_MISCONFIGURED, /* zero: what is forgotten is refused */
    LA_DENIAL_MISSING_TOKEN,
    LA_DENIAL_MALFORMED_CREDENTIAL,
    LA_DENIAL_SEVERAL_TOKENS,
    LA_DENIAL_REJECTED,
    LA_DENIAL_TIMEOUT,
    LA_DENIAL_OUTAGE,
    LA_DENIAL_SCOPE,
    LA_DENIAL_ATTRIBUTE,
    LA_DENIAL_ORIGIN,
    LA_DENIAL_BODY,       /* a rule cannot use the body, or the request names no model */
    LA_DENIAL_DISAGREES,  /* Mcp-Method or Mcp-Name with the body */
    LA_DENIAL_BODY_SIZE,  /* over LlamaAuthBodyLimit */
    LA_DENIAL_MEDIA_TYPE, /* not JSON in UTF-8, as the fields say */
    LA_DENIAL_MODEL,
    LA_DENIAL_UNKNOWN_MODEL, /* LlamaAuthModelRefusal 404 */
    LA_DENIAL_OPERATION,     /* of MCP */
    LA_DENIAL_MODEL_LIST,    /* a list of models that cannot be filtered */
    LA_DENIAL_REQUESTS,      /* a quota of requests */
    LA_DENIAL_TOKENS,        /* a quota of LLM tokens */
    LA_DENIAL_QUOTA,         /* a quota cannot be counted */
    LA_DENIAL_ACCESS
} la_denial_e;

/* One denial, complete enough to be answered. */
typedef struct la_denial_t {
    la_denial_e kind;
    int status;                    /* HTTP status; la_denial_make() sets the kind's own */
    const char *message;           /* for the client, NUL-terminated UTF-8 */
    const char *scope;             /* scopes of the resource, space-separated, or NULL */
    const char *resource_metadata; /* URL for the challenge (RFC 9728 section 5.1), or NULL */
    const char *proof_algs;  /* of the challenge for DPoP, space-separated; NULL: there is none */
    const char *proof_error; /* its error, or NULL */
    int retry_after_s;       /* for a 503: seconds, 1 to 30 */
} la_denial_t;

/* A denial with the kind's own status; no scope, Retry-After 1 second.
 * message: borrowed; NULL for the kind's own text. */
la_denial_t la_denial_make(la_denial_e kind, const char *message);

/* The code of spec section 8: "missing_token", "invalid_request" ... A constant. */
const char *la_denial_code(la_denial_e kind);

/* Whether the default document has the message as "detail" (Llama Stack's 403). */
int la_denial_has_detail(la_denial_e kind);

/* The WWW-Authenticate value (RFC 6750 section 3), or NULL: a 401 and an insufficient_scope have
 * one. It has `error` and `error_description` unless no token was sent or the denial is an outage.
 * realm: AuthName, or NULL for the module's own name. It is quoted (RFC 9110 section 5.6.4) and
 * loses control characters. */
const char *la_denial_challenge(apr_pool_t *pool, const la_denial_t *denial, const char *realm);

/* The second WWW-Authenticate value, for DPoP (RFC 9449 section 7.1), or NULL if the denial asks
 * for no proof or is not a 401. */
const char *la_denial_proof_challenge(apr_pool_t *pool, const la_denial_t *denial);

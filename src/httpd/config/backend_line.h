/* What one LlamaAuthBackendToken line says. */
#pragma once

#include "httpd/config/forward_rules.h"
#include "io/secret.h"

/* The backend's own credential. Constant, except what la_secret_get() reads again. */
typedef struct la_backend_token_t {
    la_secret_t *secret; /* NULL: none, in place of what a section above says */
    const char *header;
    const char *prefix; /* before the secret: "Bearer ", or "" */
    int always;         /* for requests without a caller too */
} la_backend_token_t;

/* Reads the arguments of LlamaAuthBackendToken: a secret, then header:NAME and always; or none.
 * Returns NULL, or what is wrong, which never holds the secret. */
const char *la_backend_parse(apr_pool_t *pool, int count, char *const words[],
                             const la_backend_token_t **token);

/* The line of LlamaAuthForward that cannot stand beside the token, or NULL: one of the same header,
 * or of Authorization. Both may be NULL. */
const la_forward_line_t *la_backend_clash(const la_backend_token_t *token,
                                          const la_forwards_t *forwards);

/* Lines of LlamaAuthForward, and the header fields that only we send. */
#pragma once

#include "base/slice.h"
#include "signer/signer.h"

#include <httpd.h>

typedef enum la_forward_what_e {
    LA_FORWARD_PRINCIPAL,
    LA_FORWARD_CLIENT_ID,
    LA_FORWARD_PROVIDER,
    LA_FORWARD_MODEL,
    LA_FORWARD_ATTRIBUTES,
    LA_FORWARD_ATTRIBUTE, /* the values, joined */
    LA_FORWARD_JSON,      /* the values as a JSON list */
    LA_FORWARD_ONE,       /* the only value */
    LA_FORWARD_ASSERTION  /* signed */
} la_forward_what_e;

typedef struct la_forward_line_t {
    const char *header;
    la_forward_what_e what;
    la_slice_t category;       /* of the last three but assertions */
    const la_signer_t *signer; /* of an assertion; else NULL */
} la_forward_line_t;

/* The lines of one section. Constant. */
typedef struct la_forwards_t {
    apr_array_header_t *lines; /* of la_forward_line_t */
    int sends_one;             /* one of them is LA_FORWARD_ONE, or its signer sends one */
    int replaces_token;        /* one of them is an assertion in Authorization */
} la_forwards_t;

/* Adds one line to a section's.
 * forwards: the lines so far, replaced; may point to NULL. signer: of assertion:SIGNER, else NULL.
 * Returns NULL, or what is wrong. */
const char *la_forwards_add(apr_pool_t *pool, const la_forwards_t **forwards, const char *header,
                            const char *what, const la_signer_t *signer);

/* A nested section's lines and those of its parent for other headers. Either may be NULL. */
const la_forwards_t *la_forwards_merge(apr_pool_t *pool, const la_forwards_t *parent,
                                       const la_forwards_t *section);

/* Reserves one more header, while the configuration is read: no request may bring it. Authorization
 * is reserved in the sections that send it only. */
void la_forward_reserve(const char *header);

/* Whether a field's name is a reserved one, as CGI would see it: any case, every character except
 * letters and digits as `_`. */
int la_forward_is_reserved(la_slice_t name);

/* Whether only we send fields of that name: a reserved one, or one of a section's own lines, which
 * an .htaccess may have. For fields.h; forwards: a la_forwards_t, or NULL. */
int la_forward_is_ours(const void *forwards, la_slice_t name);
